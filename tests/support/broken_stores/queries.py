"""Stores with a fault in queries, pages, counts or steps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sessiondex import (
    Channel,
    ScanSessionStore,
    SessionStatus,
)
from sessiondex.testing.cases import pages
from tests.support.broken_stores.fault import found_by

# -- queries, pages, counts --


@found_by(
    "list-by-agent-is-newest-first",
    "list-by-agent-of-a-status-is-newest-first",
    "list-by-customer-is-newest-first",
    "limits-cut-the-oldest",
)
class OldestFirst(ScanSessionStore[Any]):
    async def list_by_agent(self, *arguments: Any, **options: Any) -> Any:
        return (await super().list_by_agent(*arguments, **options))[::-1]

    async def list_by_customer(self, *arguments: Any, **options: Any) -> Any:
        return (await super().list_by_customer(*arguments, **options))[::-1]


@found_by(
    "get-by-channel-returns-the-most-recent-session",
    "deleting-the-newest-session-of-an-identity-reveals-the-one-before",
)
class ReturnsTheOldest(ScanSessionStore[Any]):
    def _latest_by_channel(self, tenant: UUID, channel: Channel, user: str, since: Any, *, is_open: bool) -> Any:  # noqa: ARG002  # the fault
        found = [one for one in self._seen(tenant, since) if (one.channel, one.user_channel_id) == (channel, user)]
        return self._records.copy(found[0]) if found else None


@found_by("each-agent-and-each-customer-has-a-list-of-its-own")
class MixesAgents(ScanSessionStore[Any]):
    def _newest_by_agent(self, tenant: Any, agent: Any, *arguments: Any) -> Any:
        found = list(super()._newest_by_agent(tenant, agent, *arguments))
        for other in {one.agent_id for one in self._seen(tenant)} - {agent}:
            found += super()._newest_by_agent(tenant, other, *arguments)
        return found


@found_by("find-sessions-by-step-hash-is-newest-first")
class OrdersByFirstSave(ScanSessionStore[Any]):
    def _at_step(self, *arguments: Any) -> Any:
        found = {one.session_id for one in super()._at_step(*arguments)}
        return [one for one in self._snapshots.values() if one.session_id in found][::-1]


@found_by("identities-are-compared-byte-for-byte")
class FoldsCase(ScanSessionStore[Any]):
    def _latest_by_channel(self, tenant: UUID, channel: Channel, user: str, since: Any, *, is_open: bool) -> Any:
        found = super()._latest_by_channel(tenant, channel, user, since, is_open=is_open)
        return found or super()._latest_by_channel(tenant, channel, user.lower(), since, is_open=is_open)


@found_by("limits-cut-the-oldest", "the-default-limit-is-100", "a-limit-of-0-gives-an-empty-list")
class IgnoresLimits(ScanSessionStore[Any]):
    async def list_by_agent(self, *arguments: Any, limit: int = 100, **options: Any) -> Any:
        return await super().list_by_agent(*arguments, limit=limit + 1_000, **options)


@found_by(*map(str, pages.PAGES), "iter-by-agent-gives-all", "iter-by-customer-gives-all")
@found_by("iter-by-agent-of-a-status-gives-all")
class CursorThatIncludes(ScanSessionStore[Any]):
    async def list_by_agent(self, *arguments: Any, before: Any = None, **options: Any) -> Any:
        return await super().list_by_agent(*arguments, before=_after(before), **options)

    async def list_by_customer(self, *arguments: Any, before: Any = None, **options: Any) -> Any:
        return await super().list_by_customer(*arguments, before=_after(before), **options)


def _after(cursor: Any) -> Any:
    is_last = cursor is None or cursor == datetime.max.replace(tzinfo=UTC)
    return cursor if is_last else cursor + timedelta(microseconds=1)


@found_by("an-iterator-allows-deletes-and-saves-during-the-iteration")
class PagesByOffset(ScanSessionStore[Any]):
    async def iter_by_agent(self, *arguments: Any, page_size: int = 100, **options: Any) -> AsyncIterator[Any]:
        seen = 0
        while page := (await self.list_by_agent(*arguments, limit=seen + page_size, **options))[seen:]:
            for session in page:
                yield session
            seen += page_size


@found_by(
    "iter-by-agent-repeats-no-session-saved-during-the-iteration",
    "iter-by-agent-of-a-status-repeats-no-session-saved-during-the-iteration",
    "iter-by-customer-repeats-no-session-saved-during-the-iteration",
)
class CursorThatMoves(ScanSessionStore[Any]):
    async def iter_by_agent(self, *arguments: Any, page_size: int = 100, **options: Any) -> AsyncIterator[Any]:
        before = None
        while page := await self.list_by_agent(*arguments, limit=page_size, before=before, **options):
            for session in page:
                yield session
            before = page[-1].last_activity_at

    async def iter_by_customer(self, *arguments: Any, page_size: int = 100) -> AsyncIterator[Any]:
        before = None
        while page := await self.list_by_customer(*arguments, limit=page_size, before=before):
            for session in page:
                yield session
            before = page[-1].last_activity_at


@found_by("count-by-agent-is-the-length-of-the-list")
class CountsAPage(ScanSessionStore[Any]):
    async def count_by_agent(self, *arguments: Any, **options: Any) -> int:
        await super().count_by_agent(*arguments, **options)
        return len(await self.list_by_agent(*arguments, **options))


@found_by("a-session-that-is-not-active-stands-at-no-step", "count-by-step-hash-is-the-length-of-the-list")
class IgnoresStatusAtSteps(ScanSessionStore[Any]):
    def _seen(self, tenant_id: UUID, since: Any = None) -> Any:
        for one in super()._seen(tenant_id, since):
            yield one.model_copy(update={"status": SessionStatus.ACTIVE})


@found_by("a-filter-of-channel-node-and-age-at-once")
class IgnoresAgesWithChannels(ScanSessionStore[Any]):
    def _at_step(self, tenant: Any, scenario: Any, version: Any, key: Any, scope: Any, since: Any) -> Any:  # noqa: PLR0917  # as the store has them
        if scope is not None and (scope.include_channels or scope.exclude_channels):
            scope = scope.model_copy(update={"min_session_age_days": None, "max_session_age_days": None})
        return super()._at_step(tenant, scenario, version, key, scope, since)


@found_by("a-filter-of-ages", "a-filter-of-ages-is-exact")
class RoundsAgesUp(ScanSessionStore[Any]):
    def _at_step(self, tenant: Any, scenario: Any, version: Any, key: Any, scope: Any, since: Any) -> Any:  # noqa: PLR0917  # as the store has them
        if scope is not None and scope.min_session_age_days is not None:
            scope = scope.model_copy(update={"min_session_age_days": max(0, scope.min_session_age_days - 1)})
        return super()._at_step(tenant, scenario, version, key, scope, since)


# -- steps --


@found_by("a-step-gives-all-that-stand-there")
class LimitsStepsToOne(ScanSessionStore[Any]):
    def _at_step(self, *arguments: Any) -> Any:
        return super()._at_step(*arguments)[:1]


@found_by("a-session-of-another-scenario-or-version-stands-elsewhere", "count-steps-has-every-step-of-the-version")
class MixesVersions(ScanSessionStore[Any]):
    def _seen(self, tenant_id: UUID, since: Any = None) -> Any:
        for one in super()._seen(tenant_id, since):
            yield one if one.active_scenario_version is None else one.model_copy(update={"active_scenario_version": 1})


@found_by("a-session-stands-at-its-last-step-alone", "a-session-leaves-a-step-when-it-moves-on")
class MatchesEarlierVisits(ScanSessionStore[Any]):
    def _at_step(self, tenant: Any, scenario: Any, version: Any, key: Any, scope: Any, since: Any) -> Any:  # noqa: PLR0917  # as the store has them
        found = super()._at_step(tenant, scenario, version, key, scope, since)
        was_there = [
            one for one in self._seen(tenant) if key in {visit.step_content_hash for visit in one.step_history}
        ]
        return [*found, *(one for one in was_there if one not in found)]


@found_by("versions-and-hashes-do-not-run-into-each-other")
class JoinsVersionAndHash(ScanSessionStore[Any]):
    def _at_step(self, tenant: Any, scenario: Any, version: Any, key: Any, scope: Any, since: Any) -> Any:  # noqa: PLR0917  # as above
        found = [
            one
            for one in self._seen(tenant, since)
            if one.step_history
            and f"{one.active_scenario_version}{one.step_history[-1].step_content_hash}" == f"{version}{key}"
        ]
        return found or super()._at_step(tenant, scenario, version, key, scope, since)


@found_by(
    "a-filter-of-channels", "a-filter-of-nodes", "a-filter-of-ages", "ages-go-by-the-clock-at-the-time-of-the-query"
)
class IgnoresTheFilter(ScanSessionStore[Any]):
    def _at_step(self, tenant: Any, scenario: Any, version: Any, key: Any, scope: Any, since: Any) -> Any:  # noqa: ARG002, PLR0917  # the fault
        return super()._at_step(tenant, scenario, version, key, None, since)


@found_by("changing-a-result-of-count-steps-changes-no-other")
class SharesItsCounts(ScanSessionStore[Any]):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.counts: dict[Any, dict[str, int]] = {}

    def _count_steps(self, *step: Any) -> dict[str, int]:
        return self.counts.setdefault(step, super()._count_steps(*step))
