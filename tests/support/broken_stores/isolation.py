"""Stores with a fault in isolation, index keys, subclasses or tenants."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sessiondex import Channel, ScanSessionStore, Session, TenantMismatchError
from tests.support.broken_stores.fault import found_by

# -- isolation, keys --


@found_by(
    "changing-a-saved-object-changes-nothing-stored",
    "changing-objects-saved-in-bulk-changes-nothing-stored",
    "a-change-is-seen-after-save-and-not-before",
    "a-session-is-found-under-its-saved-keys",
)
class SharesGivenSessions(ScanSessionStore[Any]):
    def _commit_writes(self, writes: Any) -> None:
        super()._commit_writes(writes)
        self._snapshots.update((write.session_id, write.session) for write in writes)


@found_by(
    "changing-a-result-of-get-changes-nothing-stored",
    "changing-a-result-of-get-of-a-tenant-changes-nothing-stored",
    "changing-a-result-moves-no-session",
)
class SharesResultsOfGet(ScanSessionStore[Any]):
    def _get(self, session_id: UUID, tenant_id: UUID | None, since: Any) -> Any:
        return self._snapshots.get(session_id) if super()._get(session_id, tenant_id, since) else None


@found_by(
    "changing-a-result-of-get-by-channel-changes-nothing-stored",
    "changing-a-result-of-list-by-agent-changes-nothing-stored",
    "changing-a-result-of-list-by-agent-of-a-status-changes-nothing-stored",
    "changing-a-result-of-list-by-customer-changes-nothing-stored",
    "changing-a-result-of-find-sessions-by-step-hash-changes-nothing-stored",
)
class SharesVariables(ScanSessionStore[Any]):
    def _latest_by_channel(self, *identity: Any, is_open: bool) -> Any:
        found = super()._latest_by_channel(*identity, is_open=is_open)
        return found and self.sharing(found)

    def _given_out(self, found: Any) -> list[Any]:
        return [self.sharing(session) for session in super()._given_out(found)]

    def sharing(self, session: Any) -> Any:
        vars(session)["variables"] = self._snapshots[session.session_id].variables
        return session


@found_by("changing-a-result-of-get-or-create-changes-nothing-stored")
class SharesResultsOfGetOrCreate(ScanSessionStore[Any]):
    async def get_or_create(self, *identity: Any) -> Any:
        found, was_created = await super().get_or_create(*identity)
        return self._snapshots.get(found.session_id, found), was_created


@found_by(
    "changing-a-result-of-iter-by-agent-changes-nothing-stored",
    "changing-a-result-of-iter-by-customer-changes-nothing-stored",
)
class SharesIteratedSessions(ScanSessionStore[Any]):
    async def iter_by_agent(self, *of: Any, **options: Any) -> Any:
        async for session in super().iter_by_agent(*of, **options):
            yield self._snapshots.get(session.session_id, session)

    async def iter_by_customer(self, *of: Any, **options: Any) -> Any:
        async for session in super().iter_by_customer(*of, **options):
            yield self._snapshots.get(session.session_id, session)


@found_by("changing-a-result-of-update-changes-nothing-stored")
class SharesUpdatedSessions(ScanSessionStore[Any]):
    async def update(self, session_id: UUID, change: Any, **options: Any) -> Any:
        await super().update(session_id, change, **options)
        return self._snapshots.get(session_id)


@found_by("saving-a-changed-session-moves-it-in-every-index")
class NeverUnfilesAgents(ScanSessionStore[Any]):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.ever: set[tuple[UUID, UUID]] = set()

    def _apply(self, plan: Any) -> None:
        super()._apply(plan)
        if not isinstance(plan, UUID):
            self.ever.add((plan.agent_id, plan.session_id))

    def _newest_by_agent(self, tenant: Any, agent: Any, status: Any, limit: int, before: Any, since: Any) -> Any:  # noqa: PLR0917  # as the store has them
        found = super()._newest_by_agent(tenant, agent, status, limit, before, since)
        ghosts = [one for one in self._seen(tenant) if (agent, one.session_id) in self.ever and one not in found]
        return [*found, *ghosts]


@found_by("deleting-the-newest-session-of-an-identity-reveals-the-one-before", "a-deleted-session-leaves-every-index")
class FindsDeletedSessions(ScanSessionStore[Any]):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.latest: dict[Any, Any] = {}

    def _apply(self, plan: Any) -> None:
        super()._apply(plan)
        if not isinstance(plan, UUID):
            self.latest[plan.tenant_id, plan.channel, plan.user_channel_id] = plan

    async def get_by_channel(self, tenant_id: UUID, channel: Channel, user_channel_id: str) -> Any:
        return await super().get_by_channel(tenant_id, channel, user_channel_id) or self.latest.get(
            (tenant_id, channel, user_channel_id)
        )


@found_by("fields-of-a-subclass-come-back", "sessions-of-several-classes-live-side-by-side")
class ForgetsTheClass(ScanSessionStore[Any]):
    def _get(self, session_id: UUID, tenant_id: UUID | None, since: Any) -> Any:
        return _plain(super()._get(session_id, tenant_id, since))

    def _given_out(self, found: Any) -> list[Any]:
        return [_plain(session) for session in super()._given_out(found)]


def _plain(session: Any) -> Any:
    return session and Session(**{name: getattr(session, name) for name in Session.model_fields})


# -- tenants --


@found_by(
    "get-with-another-tenant-finds-nothing",
    "get-of-a-tenant-sees-one-tenant",
    "update-with-another-tenant-finds-nothing",
)
class LeaksInGet(ScanSessionStore[Any]):
    async def get(self, session_id: UUID, *, tenant_id: UUID | None = None) -> Any:
        await super().get(session_id, tenant_id=tenant_id)
        return await super().get(session_id)


@found_by(
    "list-by-agent-sees-one-tenant",
    "list-by-agent-of-a-status-sees-one-tenant",
    "get-by-channel-sees-one-tenant",
    "list-by-customer-sees-one-tenant",
    "find-sessions-by-step-hash-sees-one-tenant",
    "count-by-agent-sees-one-tenant",
    "count-by-customer-sees-one-tenant",
    "count-by-customer-is-the-length-of-the-list",
    "count-by-step-hash-sees-one-tenant",
)
class LeaksInQueries(ScanSessionStore[Any]):
    def _seen(self, tenant_id: UUID, since: Any = None) -> Any:  # noqa: ARG002  # the fault
        return iter(list(self._snapshots.values()))


@found_by("get-or-create-sees-one-tenant")
class FindsSessionsOfAnyTenant(ScanSessionStore[Any]):
    async def get_or_create(self, tenant_id: UUID, channel: Any, user: str, create: Any) -> Any:
        for snapshot in list(self._snapshots.values()):
            if (snapshot.channel, snapshot.user_channel_id) == (channel, user):
                return snapshot.model_copy(deep=True), False
        return await super().get_or_create(tenant_id, channel, user, create)


@found_by("delete-with-another-tenant-deletes-nothing", "delete-many-with-a-tenant-leaves-other-tenants-alone")
class DeletesForAnyTenant(ScanSessionStore[Any]):
    def _remove(self, session_ids: Iterable[UUID], tenant_id: UUID | None) -> int:  # noqa: ARG002  # the fault
        return super()._remove(session_ids, None)


@found_by("an-id-is-free-for-any-tenant-once-it-was-deleted", by=TenantMismatchError)
class RemembersOwners(ScanSessionStore[Any]):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.owners: dict[UUID, UUID] = {}

    def _plan(self, kept: Any, earlier: Any, *, in_bulk: bool) -> Any:
        plan = super()._plan(kept, earlier, in_bulk=in_bulk)
        if self.owners.setdefault(plan.session_id, plan.tenant_id) != plan.tenant_id:
            raise TenantMismatchError(plan.session_id)
        return plan


@found_by(
    "an-id-of-another-tenant-is-refused",
    "an-id-of-another-tenant-in-a-batch-changes-nothing",
    "a-refusal-reveals-nothing-of-the-other-tenant",
)
class OverwritesOtherTenants(ScanSessionStore[Any]):
    def _plan(self, kept: Any, earlier: Any, *, in_bulk: bool) -> Any:  # noqa: ARG002  # the fault
        return super()._plan(kept, None, in_bulk=in_bulk)
