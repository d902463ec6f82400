"""Stores with a fault in the changes that they publish."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from sessiondex import Change, ChangeKind, ChangesLostError, ScanSessionStore
from sessiondex.clock import EPOCH
from sessiondex.stores.commit import Mutation
from sessiondex.stores.writer import Writer
from tests.support.broken_stores.fault import found_by
from tests.support.broken_stores.parts import PartsStore


class _AlteredChanges(AsyncIterator[Change]):
    """Yields each change as `alter` returns it, and none where that is `None`. A cancelled wait loses none."""

    def __init__(self, changes: AsyncIterator[Change], alter: Callable[[Change], Change | None]) -> None:
        self._changes = changes
        self._alter = alter

    async def __anext__(self) -> Change:
        while True:
            change = self._alter(await anext(self._changes))
            if change is not None:
                return change


class AltersChanges(ScanSessionStore[Any]):
    def alter(self, change: Change) -> Change | None:
        raise NotImplementedError

    def changes(self, *, since: int | None = None) -> AsyncIterator[Change]:
        return _AlteredChanges(super().changes(since=since), self.alter)


@found_by("each-change-has-ids-revision-and-stamp", by=TimeoutError)
@found_by("a-batch-publishes-one-change-per-session")
class FeedWithoutDeletes(AltersChanges):
    def alter(self, change: Change) -> Change | None:
        return None if change.kind is ChangeKind.DELETED else change


@found_by("an-eviction-by-the-cap-is-a-change", "an-expiry-is-a-change", by=TimeoutError)
class FeedWithoutEvictions(AltersChanges):
    def alter(self, change: Change) -> Change | None:
        return None if change.kind is ChangeKind.EVICTED else change


@found_by("a-waiting-reader-gets-the-next-change", by=TimeoutError)
class FeedWithoutSecondSaves(AltersChanges):
    def alter(self, change: Change) -> Change | None:
        return None if change.kind is ChangeKind.SAVED and change.revision > 1 else change


@found_by("each-change-has-ids-revision-and-stamp")
class FeedOfOneTenant(AltersChanges):
    def alter(self, change: Change) -> Change:
        return replace(change, tenant_id=UUID(int=0))


@found_by("each-change-has-ids-revision-and-stamp", "a-batch-publishes-one-change-per-session")
class FeedOfFirstRevisions(AltersChanges):
    def alter(self, change: Change) -> Change:
        return replace(change, revision=1)


@found_by("a-restore-publishes-what-it-stored", "an-expiry-is-a-change", "an-eviction-by-the-cap-is-a-change")
class FeedOfLaterStamps(AltersChanges):
    def alter(self, change: Change) -> Change:
        return replace(change, stamp=change.stamp + timedelta(microseconds=7))


@found_by("sequences-have-no-gap")
class FeedWithGaps(AltersChanges):
    def alter(self, change: Change) -> Change:
        return replace(change, sequence=change.sequence * 2)


@found_by("changes-committed-before-the-close-can-still-be-read")
class FeedThatEndsAtOnce(AltersChanges):
    def alter(self, change: Change) -> Change:
        if self._guard.is_closed:
            raise StopAsyncIteration
        return change


@found_by("a-reader-continues-where-another-ended")
class FeedThatRepeats(ScanSessionStore[Any]):
    def changes(self, *, since: int | None = None) -> AsyncIterator[Change]:
        return super().changes(since=since and since - 1)


class _PublishesAttempts(Writer[Any, Any]):
    def remove(self, session_ids: Any, tenant_id: UUID | None) -> int:
        count = super().remove(session_ids, tenant_id)
        if not count:
            self._last_sequence += 1
            self._publish([Mutation(ChangeKind.DELETED, UUID(int=0), UUID(int=0), 0, 1)], self._last_sequence)
        return count


@found_by("calls-that-change-nothing-publish-nothing")
class FeedOfAttempts(PartsStore):
    writer_class = _PublishesAttempts


@found_by("a-closed-store-refuses-changes", "a-second-running-loop-is-refused-changes")
class ChecksNoLoopInFeed(ScanSessionStore[Any]):
    async def changes(self, *, since: int | None = None) -> AsyncIterator[Change]:  # noqa: ARG002  # the fault
        yield Change(1, ChangeKind.DELETED, UUID(int=0), UUID(int=0), 1, EPOCH)


@found_by("a-sequence-that-was-never-reached-is-refused", by=TimeoutError)
@found_by("a-reader-that-missed-changes-gets-an-error")
class FeedThatSkips(ScanSessionStore[Any]):
    def changes(self, *, since: int | None = None) -> AsyncIterator[Change]:
        try:
            return super().changes(since=since)
        except ChangesLostError as lost:
            return super().changes(since=lost.oldest - 1)


@found_by("the-changes-of-a-restore-come-in-the-order-of-stamps")
class FeedInTheGivenOrder(ScanSessionStore[Any]):
    async def _restore(self, versions: Sequence[tuple[Any, int, int]]) -> int:
        count = 0
        for version in versions:
            count += await super()._restore([version])
        return count
