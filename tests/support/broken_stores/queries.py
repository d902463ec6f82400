"""Stores with a fault in queries, pages, counts or steps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any
from uuid import UUID

from sessiondex import Channel, InMemorySessionStore, ScanSessionStore, SessionStatus
from sessiondex.queries import AgentQuery, CountQuery, ListQuery, Page, ScenarioQuery, StepQuery
from sessiondex.testing.cases import pages
from tests.support.broken_stores.fault import found_by
from tests.support.broken_stores.parts import OpenBackend, PartsStore

# -- queries, pages, counts --


@found_by(
    "list-by-agent-is-newest-first",
    "list-by-agent-of-a-status-is-newest-first",
    "list-by-customer-is-newest-first",
    "list-by-customer-of-a-status-is-newest-first",
    "list-by-channel-is-newest-first",
    "list-by-tenant-is-newest-first",
    "list-by-tenant-of-a-status-is-newest-first",
    "a-list-by-a-field-is-newest-first",
    "limits-cut-the-oldest",
)
class OldestFirst(ScanSessionStore[Any]):
    async def list_by_agent(self, *arguments: Any, **options: Any) -> Any:
        return (await super().list_by_agent(*arguments, **options))[::-1]

    async def list_by_customer(self, *arguments: Any, **options: Any) -> Any:
        return (await super().list_by_customer(*arguments, **options))[::-1]

    async def list_by_channel(self, *arguments: Any, **options: Any) -> Any:
        return (await super().list_by_channel(*arguments, **options))[::-1]

    async def list_by_tenant(self, *arguments: Any, **options: Any) -> Any:
        return (await super().list_by_tenant(*arguments, **options))[::-1]

    async def list_by_field(self, *arguments: Any, **options: Any) -> Any:
        return (await super().list_by_field(*arguments, **options))[::-1]


class _ReturnsTheOldest(OpenBackend):
    def latest(self, query: Any, cutoff: int | None) -> Any:
        identity = query.channel, query.user_channel_id
        for snapshot in self._visible(query.tenant_id, cutoff):
            if (snapshot.channel, snapshot.user_channel_id) == identity:
                return self.to_session(snapshot)
        return None


@found_by(
    "get-by-channel-returns-the-most-recent-session",
    "deleting-the-newest-session-of-an-identity-reveals-the-one-before",
)
class ReturnsTheOldest(PartsStore):
    backend_class = _ReturnsTheOldest


class _KnowsItsChannels(OpenBackend):
    def latest(self, query: Any, cutoff: int | None) -> Any:
        return super().latest(query, cutoff) if query.channel in {*Channel} else None

    def at_step(self, query: StepQuery, now: int, cutoff: int | None) -> Sequence[Any]:
        return [one for one in super().at_step(query, now, cutoff) if one.channel in {*Channel}]


@found_by("any-channel-is-kept-and-found", "a-filter-of-any-channels")
class KnowsItsChannels(PartsStore):
    backend_class = _KnowsItsChannels


class _JoinsTexts(OpenBackend):
    def latest(self, query: Any, cutoff: int | None) -> Any:
        wanted = f"{query.channel}:{query.user_channel_id}"
        for snapshot in reversed(list(self._visible(query.tenant_id, cutoff))):
            if f"{snapshot.channel}:{snapshot.user_channel_id}" == wanted:
                return self.to_session(snapshot)
        return None


@found_by("channels-and-users-do-not-run-into-each-other")
class JoinsTexts(PartsStore):
    backend_class = _JoinsTexts


class _MixesAgents(OpenBackend):
    def newest(self, query: ListQuery, page: Page, cutoff: int | None) -> Sequence[Any]:
        found = list(super().newest(query, page, cutoff))
        if isinstance(query, AgentQuery):
            for other in {one.agent_id for one in self._visible(query.tenant_id)} - {query.agent_id}:
                found += super().newest(query._replace(agent_id=other), page, cutoff)
        return found


@found_by("each-agent-and-each-customer-has-a-list-of-its-own")
class MixesAgents(PartsStore):
    backend_class = _MixesAgents


class _OrdersByFirstSave(OpenBackend):
    def at_step(self, query: StepQuery, now: int, cutoff: int | None) -> Sequence[Any]:
        found = {one.session_id for one in super().at_step(query, now, cutoff)}
        return [one for one in self._snapshots.values() if one.session_id in found][::-1]


@found_by("find-sessions-by-step-hash-is-newest-first")
class OrdersByFirstSave(PartsStore):
    backend_class = _OrdersByFirstSave


@found_by("identities-are-compared-byte-for-byte")
class FoldsCase(ScanSessionStore[Any]):
    async def _latest(self, query: Any) -> Any:
        folded = query._replace(user_channel_id=query.user_channel_id.lower())
        return await super()._latest(query) or await super()._latest(folded)


@found_by("limits-cut-the-oldest", "the-default-limit-is-100", "a-limit-of-0-gives-an-empty-list")
@found_by("limits-and-defaults-hold-for-tenants-and-channels")
class IgnoresLimits(ScanSessionStore[Any]):
    async def list_by_tenant(self, *arguments: Any, limit: int = 100, **options: Any) -> Any:
        return await super().list_by_tenant(*arguments, limit=limit + 1_000, **options)

    async def list_by_agent(self, *arguments: Any, limit: int = 100, **options: Any) -> Any:
        return await super().list_by_agent(*arguments, limit=limit + 1_000, **options)


@found_by(*map(str, pages.PAGES), *(f"iter-by-{kind.replace(' ', '-')}-gives-all" for kind in pages.KINDS))
class CursorThatIncludes(ScanSessionStore[Any]):
    async def _newest(self, query: ListQuery, page: Page) -> list[Any]:
        return await super()._newest(query, page if page.before is None else page._replace(before=page.before + 1))


@found_by("an-iterator-allows-deletes-and-saves-during-the-iteration")
class PagesByOffset(ScanSessionStore[Any]):
    async def iter_by_agent(self, *arguments: Any, page_size: int = 100, **options: Any) -> AsyncIterator[Any]:
        seen = 0
        while page := (await self.list_by_agent(*arguments, limit=seen + page_size, **options))[seen:]:
            for session in page:
                yield session
            seen += page_size


def _iterate_by_last_stamp(kind: str) -> Any:
    """Return an iterator that asks for the stamp of the last session when it is too late."""

    async def iterate(self: Any, *arguments: Any, page_size: int = 100, **options: Any) -> AsyncIterator[Any]:
        read, before = getattr(self, f"list_by_{kind}"), None
        while page := await read(*arguments, limit=page_size, before=before, **options):
            for session in page:
                yield session
            before = page[-1].last_activity_at

    return iterate


CursorThatMoves = type(
    "CursorThatMoves",
    (ScanSessionStore,),
    {
        f"iter_by_{kind}": _iterate_by_last_stamp(kind)
        for kind in dict.fromkeys(kind.partition(" ")[0] for kind in pages.KINDS)
    },
)
found_by(*(f"iter-by-{kind.replace(' ', '-')}-repeats-no-session-saved-during-the-iteration" for kind in pages.KINDS))(
    CursorThatMoves
)


@found_by(*map(str, pages.BOUNDED), *map(str, pages.BOUNDED_ITERATORS))
class IgnoresAfter(ScanSessionStore[Any]):
    async def _newest(self, query: ListQuery, page: Page) -> list[Any]:
        return await super()._newest(query, page._replace(after=None))


@found_by(*map(str, pages.BOUNDED), *map(str, pages.BOUNDED_ITERATORS))
class IncludesTheSessionOfAfter(ScanSessionStore[Any]):
    async def _newest(self, query: ListQuery, page: Page) -> list[Any]:
        return await super()._newest(query, page if page.after is None else page._replace(after=page.after - 1))


@found_by("list-by-agent-is-bounded-by-after", "list-by-tenant-is-bounded-by-after")
class ReadsOnFromAfter(ScanSessionStore[Any]):
    """Gives the sessions that come next after the cursor, instead of the newest."""

    async def _newest(self, query: ListQuery, page: Page) -> list[Any]:
        if page.after is None:
            return await super()._newest(query, page)
        found = await super()._newest(query, page._replace(limit=1_000))
        return found[max(0, len(found) - page.limit) :]


@found_by("count-by-agent-is-the-length-of-the-list")
class CountsAPage(ScanSessionStore[Any]):
    async def count_by_agent(self, *arguments: Any, **options: Any) -> int:
        await super().count_by_agent(*arguments, **options)
        return len(await self.list_by_agent(*arguments, **options))


class _IgnoresStatus(OpenBackend):
    def _visible(self, tenant_id: UUID, cutoff: int | None = None) -> Iterator[Any]:
        for snapshot in super()._visible(tenant_id, cutoff):
            yield snapshot.model_copy(update={"status": SessionStatus.ACTIVE})


@found_by("a-session-that-is-not-active-stands-at-no-step", "count-by-step-hash-is-the-length-of-the-list")
class IgnoresStatusAtSteps(PartsStore):
    backend_class = _IgnoresStatus


@found_by("a-list-of-a-status-has-that-status-alone", "list-by-agent-of-a-status-sees-nothing-that-has-expired")
class IgnoresTheStatus(PartsStore):
    """Ignores the status, and expiry if a status is given."""

    async def _newest(self, query: ListQuery, page: Page) -> list[Any]:
        if not isinstance(query, AgentQuery) or query.status is None:
            return await super()._newest(query, page)
        return await self._sessions.readable(self.backend.newest(query._replace(status=None), page, None))


@found_by("count-by-agent-is-the-length-of-the-list", "count-by-agent-of-a-status-sees-one-tenant")
class CountsIdleOnes(InMemorySessionStore[Any]):
    async def _count(self, query: CountQuery) -> int:
        if isinstance(query, AgentQuery) and query.status is not None:
            query = query._replace(status=SessionStatus.IDLE)
        return await super()._count(query)


@found_by("a-filter-of-channel-node-and-age-at-once")
class IgnoresAgesWithChannels(ScanSessionStore[Any]):
    async def _at_step(self, query: StepQuery) -> list[Any]:
        scope = query.scope_filter
        if scope is not None and (scope.include_channels or scope.exclude_channels):
            ageless = scope.model_copy(update={"min_session_age_days": None, "max_session_age_days": None})
            query = query._replace(scope_filter=ageless)
        return await super()._at_step(query)


@found_by("a-filter-of-ages", "a-filter-of-ages-is-exact")
class RoundsAgesUp(ScanSessionStore[Any]):
    async def _at_step(self, query: StepQuery) -> list[Any]:
        scope = query.scope_filter
        if scope is not None and scope.min_session_age_days is not None:
            age_days = max(0, scope.min_session_age_days - 1)
            query = query._replace(scope_filter=scope.model_copy(update={"min_session_age_days": age_days}))
        return await super()._at_step(query)


# -- steps --


@found_by("a-step-gives-all-that-stand-there")
class LimitsStepsToOne(ScanSessionStore[Any]):
    async def _at_step(self, query: StepQuery) -> list[Any]:
        return (await super()._at_step(query))[:1]


class _MixesVersions(OpenBackend):
    def _visible(self, tenant_id: UUID, cutoff: int | None = None) -> Iterator[Any]:
        for snapshot in super()._visible(tenant_id, cutoff):
            version = None if snapshot.active_scenario_version is None else 1
            yield snapshot.model_copy(update={"active_scenario_version": version})


@found_by("a-session-of-another-scenario-or-version-stands-elsewhere", "count-steps-has-every-step-of-the-version")
class MixesVersions(PartsStore):
    backend_class = _MixesVersions


class _MatchesEarlierVisits(OpenBackend):
    def at_step(self, query: StepQuery, now: int, cutoff: int | None) -> Sequence[Any]:
        found = super().at_step(query, now, cutoff)
        was_there = [
            one
            for one in self._visible(query.tenant_id)
            if query.step_content_hash in {visit.step_content_hash for visit in one.step_history}
        ]
        return [*found, *(one for one in was_there if one not in found)]


@found_by("a-session-stands-at-its-last-step-alone", "a-session-leaves-a-step-when-it-moves-on")
class MatchesEarlierVisits(PartsStore):
    backend_class = _MatchesEarlierVisits


class _JoinsVersionAndHash(OpenBackend):
    def at_step(self, query: StepQuery, now: int, cutoff: int | None) -> Sequence[Any]:
        key = f"{query.scenario_version}{query.step_content_hash}"
        found = [
            one
            for one in self._visible(query.tenant_id, cutoff)
            if one.step_history and f"{one.active_scenario_version}{one.step_history[-1].step_content_hash}" == key
        ]
        return found or super().at_step(query, now, cutoff)


@found_by("versions-and-hashes-do-not-run-into-each-other")
class JoinsVersionAndHash(PartsStore):
    backend_class = _JoinsVersionAndHash


@found_by(
    "a-filter-of-channels", "a-filter-of-nodes", "a-filter-of-ages", "ages-go-by-the-clock-at-the-time-of-the-query"
)
class IgnoresTheFilter(ScanSessionStore[Any]):
    async def _at_step(self, query: StepQuery) -> list[Any]:
        return await super()._at_step(query._replace(scope_filter=None))


@found_by("changing-a-result-of-count-steps-changes-no-other")
class SharesItsCounts(ScanSessionStore[Any]):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.counts: dict[ScenarioQuery, dict[str, int]] = {}

    async def _count_steps(self, query: ScenarioQuery) -> dict[str, int]:
        return self.counts.setdefault(query, await super()._count_steps(query))
