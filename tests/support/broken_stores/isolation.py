"""Stores with a fault in isolation, index keys, subclasses or tenants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from sessiondex import ScanSessionStore, Session, TenantMismatchError
from sessiondex.queries import AgentQuery, Expected, ListQuery, Page
from sessiondex.snapshots.codec import Prepared
from sessiondex.stores.scan import ScanPlan
from tests.support.broken_stores.fault import found_by
from tests.support.broken_stores.parts import OpenBackend, PartsStore

# -- isolation, keys --


@found_by(
    "changing-a-saved-object-changes-nothing-stored",
    "changing-objects-saved-in-bulk-changes-nothing-stored",
    "a-change-is-seen-after-save-and-not-before",
    "a-session-is-found-under-its-saved-keys",
    "own-fields-are-remembered-as-saved",
)
class SharesGivenSessions(PartsStore):
    async def _put(self, session: Any, expected: Expected | None, *, touch: bool) -> UUID:
        session_id = await super()._put(session, expected, touch=touch)
        self.backend.plant(session)
        return session_id

    async def _put_many(self, sessions: Sequence[Any], *rest: Any, **options: Any) -> list[UUID]:
        ids = await super()._put_many(sessions, *rest, **options)
        for session in sessions:
            self.backend.plant(session)
        return ids


class _SharesInGet(OpenBackend):
    def get(self, session_id: UUID, tenant_id: UUID | None, cutoff: int | None) -> Any:
        return self.find(session_id) if super().get(session_id, tenant_id, cutoff) else None


@found_by(
    "changing-a-result-of-get-changes-nothing-stored",
    "changing-a-result-of-get-of-a-tenant-changes-nothing-stored",
    "changing-a-result-moves-no-session",
)
class SharesResultsOfGet(PartsStore):
    backend_class = _SharesInGet


class _SharesVariables(OpenBackend):
    def latest(self, query: Any, cutoff: int | None) -> Any:
        found = super().latest(query, cutoff)
        return found and self.to_session(found)

    def to_session(self, stored: Any) -> Any:
        session = super().to_session(stored)
        vars(session)["variables"] = self._snapshots[session.session_id].variables
        return session


@found_by(
    "changing-a-result-of-get-by-channel-changes-nothing-stored",
    "changing-a-result-of-list-by-agent-changes-nothing-stored",
    "changing-a-result-of-list-by-agent-of-a-status-changes-nothing-stored",
    "changing-a-result-of-list-by-customer-changes-nothing-stored",
    "changing-a-result-of-list-by-customer-of-a-status-changes-nothing-stored",
    "changing-a-result-of-list-by-channel-changes-nothing-stored",
    "changing-a-result-of-list-by-tenant-changes-nothing-stored",
    "changing-a-result-of-list-by-tenant-of-a-status-changes-nothing-stored",
    "changing-a-result-of-get-many-changes-nothing-stored",
    "changing-a-result-of-find-sessions-by-step-hash-changes-nothing-stored",
)
class SharesVariables(PartsStore):
    backend_class = _SharesVariables


@found_by("changing-a-result-of-get-or-create-changes-nothing-stored")
class SharesResultsOfGetOrCreate(PartsStore):
    async def get_or_create(self, *identity: Any) -> Any:
        found, was_created = await super().get_or_create(*identity)
        return self.backend.find(found.session_id) or found, was_created


@found_by(
    "changing-a-result-of-iter-by-agent-changes-nothing-stored",
    "changing-a-result-of-iter-by-customer-changes-nothing-stored",
    "changing-a-result-of-iter-by-channel-changes-nothing-stored",
    "changing-a-result-of-iter-by-tenant-changes-nothing-stored",
)
class SharesIteratedSessions(PartsStore):
    async def _pages(self, *arguments: Any) -> Any:
        async for session in super()._pages(*arguments):
            yield self.backend.find(session.session_id) or session


@found_by("changing-a-result-of-update-changes-nothing-stored")
class SharesUpdatedSessions(PartsStore):
    async def update(self, session_id: UUID, change: Any, **options: Any) -> Any:
        await super().update(session_id, change, **options)
        return self.backend.find(session_id)


class _NeverUnfilesAgents(OpenBackend):
    def __init__(self, codec: Any) -> None:
        super().__init__(codec)
        self.filed: set[tuple[UUID, UUID]] = set()

    def apply(self, plan: ScanPlan[Any]) -> None:
        super().apply(plan)
        if plan.snapshot is not None:
            self.filed.add((plan.snapshot.agent_id, plan.session_id))

    def newest(self, query: ListQuery, page: Page, cutoff: int | None) -> Sequence[Any]:
        found = super().newest(query, page, cutoff)
        if not isinstance(query, AgentQuery):
            return found
        stale = [one for one in self._visible(query.tenant_id) if (query.agent_id, one.session_id) in self.filed]
        return [*found, *(one for one in stale if one not in found)]


@found_by("saving-a-changed-session-moves-it-in-every-index")
class NeverUnfilesAgents(PartsStore):
    backend_class = _NeverUnfilesAgents


class _RemembersIdentities(OpenBackend):
    def __init__(self, codec: Any) -> None:
        super().__init__(codec)
        self.last_saved: dict[tuple[Any, ...], Any] = {}

    def apply(self, plan: ScanPlan[Any]) -> None:
        super().apply(plan)
        saved = plan.snapshot
        if saved is not None:
            self.last_saved[saved.tenant_id, saved.channel, saved.user_channel_id, False] = saved

    def latest(self, query: Any, cutoff: int | None) -> Any:
        return super().latest(query, cutoff) or self.last_saved.get(query)


@found_by("deleting-the-newest-session-of-an-identity-reveals-the-one-before", "a-deleted-session-leaves-every-index")
class FindsDeletedSessions(PartsStore):
    backend_class = _RemembersIdentities


class _ForgetsTheClass(OpenBackend):
    def get(self, session_id: UUID, tenant_id: UUID | None, cutoff: int | None) -> Any:
        return _plain(super().get(session_id, tenant_id, cutoff))

    def to_session(self, stored: Any) -> Any:
        return _plain(super().to_session(stored))


def _plain(session: Any) -> Any:
    return session and Session(**{name: getattr(session, name) for name in Session.model_fields})


@found_by("fields-of-a-subclass-come-back", "sessions-of-several-classes-live-side-by-side")
class ForgetsTheClass(PartsStore):
    backend_class = _ForgetsTheClass


# -- tenants --


@found_by(
    "get-with-another-tenant-finds-nothing",
    "get-of-a-tenant-sees-one-tenant",
    "update-with-another-tenant-finds-nothing",
)
class LeaksInGet(ScanSessionStore[Any]):
    async def _find(self, session_id: UUID, tenant_id: UUID | None) -> Any:  # noqa: ARG002  # the fault
        return await super()._find(session_id, None)


class _LeaksInQueries(OpenBackend):
    def _visible(self, tenant_id: UUID, cutoff: int | None = None) -> Iterator[Any]:  # noqa: ARG002  # the fault
        return iter(list(self._snapshots.values()))


@found_by(
    "list-by-agent-sees-one-tenant",
    "list-by-agent-of-a-status-sees-one-tenant",
    "get-by-channel-sees-one-tenant",
    "list-by-customer-sees-one-tenant",
    "list-by-customer-of-a-status-sees-one-tenant",
    "list-by-channel-sees-one-tenant",
    "list-by-tenant-sees-one-tenant",
    "list-by-tenant-of-a-status-sees-one-tenant",
    "an-own-field-sees-one-tenant",
    "find-sessions-by-step-hash-sees-one-tenant",
    "count-by-agent-sees-one-tenant",
    "count-by-customer-sees-one-tenant",
    "count-by-customer-of-a-status-sees-one-tenant",
    "count-by-channel-sees-one-tenant",
    "count-by-tenant-sees-one-tenant",
    "count-by-tenant-of-a-status-sees-one-tenant",
    "count-by-customer-is-the-length-of-the-list",
    "count-by-step-hash-sees-one-tenant",
    "get-or-create-sees-one-tenant",
)
class LeaksInQueries(PartsStore):
    backend_class = _LeaksInQueries


@found_by("delete-with-another-tenant-deletes-nothing", "delete-many-with-a-tenant-leaves-other-tenants-alone")
class DeletesForAnyTenant(ScanSessionStore[Any]):
    async def _remove(self, session_ids: Sequence[UUID], tenant_id: UUID | None) -> int:  # noqa: ARG002  # the fault
        return await super()._remove(session_ids, None)


class _RemembersOwners(OpenBackend):
    def __init__(self, codec: Any) -> None:
        super().__init__(codec)
        self.owners: dict[UUID, UUID] = {}

    def plan_put(self, prepared: Prepared, stamp: int, revision: int, **options: Any) -> ScanPlan[Any]:
        if self.owners.setdefault(prepared.session_id, prepared.tenant_id) != prepared.tenant_id:
            raise TenantMismatchError(prepared.session_id)
        return super().plan_put(prepared, stamp, revision, **options)


@found_by("an-id-is-free-for-any-tenant-once-it-was-deleted", by=TenantMismatchError)
class RemembersOwners(PartsStore):
    backend_class = _RemembersOwners


@found_by(
    "an-id-of-another-tenant-is-refused",
    "update-creates-nothing-under-another-tenants-id",
    "an-id-of-another-tenant-in-a-batch-changes-nothing",
    "a-refusal-reveals-nothing-of-the-other-tenant",
)
class OverwritesOtherTenants(ScanSessionStore[Any]):
    async def _put(self, session: Any, expected: Expected | None, *, touch: bool) -> UUID:
        try:
            return await super()._put(session, expected, touch=touch)
        except TenantMismatchError:
            await self._remove([session.session_id], None)
            return await super()._put(session, expected, touch=touch)

    async def _put_many(self, sessions: Sequence[Any], *rest: Any, **options: Any) -> list[UUID]:  # noqa: ARG002  # the fault
        return [await self._put(session, None, touch=True) for session in sessions]
