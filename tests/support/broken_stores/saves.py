"""Stores with a fault in stamps, revisions or the saved values."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any
from unicodedata import normalize
from uuid import UUID

from sessiondex import ConflictError, InvalidSessionError, ScanSessionStore, Session
from sessiondex.clock import StampClock
from sessiondex.queries import Expected
from sessiondex.snapshots.codec import Prepared
from sessiondex.stores.scan import ScanHead, ScanPlan
from sessiondex.stores.writer import Version, Writer
from sessiondex.testing.cases import values
from tests.support.broken_stores.fault import found_by
from tests.support.broken_stores.parts import OpenBackend, PartsStore

NOT_KEPT = [*map(str, values.NO_JSON_VALUES), *map(str, values.PLANTED_VALUES)]

# -- stamps --


class _RepeatingClock(StampClock):
    def advance(self) -> int:
        return self.now()


@found_by(
    "save-stamps-strictly-increase-while-the-clock-stands-still",
    "save-stamps-strictly-increase-when-the-clock-steps-back",
)
class StampsThatRepeat(PartsStore):
    clock_class = _RepeatingClock


class _CoarseClock(StampClock):
    def advance(self) -> int:
        return self.now() // 1_000_000 * 1_000_000


@found_by("save-stamps-are-the-time-of-the-clock", "save-stamps-strictly-increase")
class StampsByTheSecond(PartsStore):
    clock_class = _CoarseClock


@found_by("a-refused-save-takes-no-stamp")
class TakesStampsForRefusedSaves(ScanSessionStore[Any]):
    async def _put(self, session: Any, expected: Expected | None, *, touch: bool) -> UUID:
        try:
            return await super()._put(session, expected, touch=touch)
        except InvalidSessionError:
            self._clock.advance()
            raise


@found_by("save-stamps-the-stored-and-the-given-session", "a-frozen-session-is-stamped-too")
class StampsOnlyTheStoredSession(ScanSessionStore[Any]):
    async def save(self, session: Any, **options: Any) -> UUID:
        return await super().save(session.model_copy(), **options)


@found_by("a-refused-save-leaves-the-given-session-as-it-was", "not-a-number-in-variables-is-refused")
class StampsRefusedSessions(ScanSessionStore[Any]):
    async def save(self, session: Any, **options: Any) -> UUID:
        try:
            return await super().save(session, **options)
        except InvalidSessionError:
            session.last_activity_at += timedelta(seconds=1)
            raise


# -- revisions --


class _StopsCounting(OpenBackend):
    def head(self, session_id: UUID) -> ScanHead | None:
        head = super().head(session_id)
        return head and head._replace(revision=min(1, head.revision))


@found_by("the-revision-that-was-expected-is-replaced", by=ConflictError)
@found_by("a-revision-counts-the-saves")
class StopsCountingRevisions(PartsStore):
    backend_class = _StopsCounting


class _NeverStartsAgain(Writer[Any, Any]):
    def __init__(self, *parts: Any, **options: Any) -> None:
        super().__init__(*parts, **options)
        self.revisions: dict[UUID, int] = {}

    def put(self, prepared: Prepared, expected: Expected | None = None, *, touch: bool = True) -> Version:
        last = self.revisions.get(prepared.session_id, 0)
        if expected is not None and expected.revision != last:
            raise ConflictError(prepared.session_id, expected.revision, last)
        stamp, _ = super().put(prepared, touch=touch)
        self.revisions[prepared.session_id] = last + 1
        return stamp, last + 1


@found_by("the-id-of-an-expired-session-is-free", by=ConflictError)
@found_by("a-revision-starts-at-1-again-after-a-delete")
class KeepsRevisionsAfterDelete(PartsStore):
    writer_class = _NeverStartsAgain


@found_by("save-ignores-the-revision-of-the-given-session")
class TrustsTheGivenRevision(PartsStore):
    async def save(self, session: Any, **options: Any) -> UUID:
        given = session.revision
        session_id = await super().save(session, **options)
        for one in (session, self.backend.find(session_id)):
            vars(one)["revision"] = given + 1
        return session_id


# -- refusals --


@found_by(*NOT_KEPT, "a-missing-field-is-refused", "an-object-that-is-no-session-is-refused")
class IgnoresInvalidSessions(ScanSessionStore[Any]):
    async def save(self, session: Any, **options: Any) -> UUID:
        with suppress(InvalidSessionError):
            await super().save(session, **options)
        return session.session_id if isinstance(session, Session) else UUID(int=0)


@found_by("a-refused-save-changes-nothing", "a-change-that-cannot-be-saved-changes-nothing")
class KeepsRefusedSessions(PartsStore):
    async def _put(self, session: Any, expected: Expected | None, *, touch: bool) -> UUID:
        try:
            return await super()._put(session, expected, touch=touch)
        except InvalidSessionError:
            self.backend.plant(session.model_copy(deep=True))
            raise


@found_by("not-a-number-in-variables-is-refused", "a-planted-turn-count-is-refused", "a-missing-field-is-refused")
class BlamesAnotherField(ScanSessionStore[Any]):
    async def save(self, session: Any, **options: Any) -> UUID:
        try:
            return await super().save(session, **options)
        except InvalidSessionError as error:
            raise InvalidSessionError("agent_id", error.reason) from None


@found_by("delete-says-whether-there-was-a-session", "delete-many-deletes-and-counts-existing-sessions")
class AlwaysReportsDeletes(ScanSessionStore[Any]):
    async def _remove(self, session_ids: Sequence[UUID], tenant_id: UUID | None) -> int:
        await super()._remove(session_ids, tenant_id)
        return len(session_ids)


# -- values --


class _KeepsTheFirst(OpenBackend):
    def apply(self, plan: ScanPlan[Any]) -> None:
        if plan.snapshot is None or plan.session_id not in self._snapshots:
            super().apply(plan)


@found_by(
    "a-save-replaces-the-session-of-its-id", "save-many-replaces-stored-sessions", "a-session-may-change-its-class"
)
class KeepsTheFirstSave(PartsStore):
    backend_class = _KeepsTheFirst


class _AlteringBackend(OpenBackend):
    """Stores each session as `alter` leaves it."""

    def alter(self, snapshot: Any) -> None:
        raise NotImplementedError

    def plan_put(self, prepared: Prepared, stamp: int, revision: int, **options: Any) -> ScanPlan[Any]:
        plan = super().plan_put(prepared, stamp, revision, **options)
        self.alter(plan.snapshot)
        return plan


class _Rounds(_AlteringBackend):
    def alter(self, snapshot: Any) -> None:
        vars(snapshot)["variables"] = _rough(snapshot.variables)


def _rough(value: Any, depth: int = 0) -> Any:
    """Return the value as a careless format would store it."""
    if isinstance(value, dict | list) and depth > 100:
        return "..."
    if isinstance(value, dict):
        return {key: _rough(value[key], depth + 1) for key in sorted(value)} or None
    if isinstance(value, list):
        return [_rough(item, depth + 1) for item in value] or None
    if isinstance(value, str):
        return normalize("NFC", value)
    if isinstance(value, bool | float) and value == int(value):
        return int(value)
    return min(value, 2**63 - 1) if isinstance(value, int) else value


@found_by(*map(str, values.JSON_VALUES))
class RoundsValues(PartsStore):
    backend_class = _Rounds


class _LosesTheTurnCount(_AlteringBackend):
    def alter(self, snapshot: Any) -> None:
        vars(snapshot)["turn_count"] = 0


@found_by("save-keeps-what-it-is-given", "every-field-is-kept")
class LosesTheTurnCount(PartsStore):
    backend_class = _LosesTheTurnCount


class _LosesAField(_AlteringBackend):
    def alter(self, snapshot: Any) -> None:
        vars(snapshot)["relocalization_count"] = 0


@found_by("every-field-is-kept")
class LosesAField(PartsStore):
    backend_class = _LosesAField


class _LosesAFieldOfAVisit(_AlteringBackend):
    def alter(self, snapshot: Any) -> None:
        visits = [visit.model_copy(update={"is_checkpoint": False}) for visit in snapshot.step_history]
        vars(snapshot)["step_history"] = visits


@found_by("every-field-is-kept")
class LosesAFieldOfAVisit(PartsStore):
    backend_class = _LosesAFieldOfAVisit
