"""Stores with a fault in stamps, revisions or the saved values."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any
from unicodedata import normalize
from uuid import UUID

from sessiondex import (
    ConflictError,
    InvalidSessionError,
    ScanSessionStore,
    Session,
)
from sessiondex.testing.cases import values
from tests.support.broken_stores.fault import found_by

NOT_KEPT = [*map(str, values.NO_JSON_VALUES), *map(str, values.PLANTED_VALUES)]

# -- stamps, revisions, what is saved --


@found_by(
    "save-stamps-strictly-increase-while-the-clock-stands-still",
    "save-stamps-strictly-increase-when-the-clock-steps-back",
)
class StampsThatRepeat(ScanSessionStore[Any]):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._stamps.plan = lambda after=None: self._stamps.now()  # type: ignore[method-assign]  # noqa: ARG005  # the fault


@found_by("save-stamps-are-the-time-of-the-clock", "save-stamps-strictly-increase")
class StampsByTheSecond(ScanSessionStore[Any]):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._stamps.plan = lambda after=None: self._stamps.now().replace(microsecond=0)  # type: ignore[method-assign]  # noqa: ARG005  # the fault


@found_by("a-refused-save-takes-no-stamp")
class TakesStampsForRefusedSaves(ScanSessionStore[Any]):
    def _save(self, *arguments: Any) -> Any:
        try:
            return super()._save(*arguments)
        except InvalidSessionError:
            self._stamps.take(self._stamps.plan())
            raise


@found_by("save-stamps-the-stored-and-the-given-session", "a-frozen-session-is-stamped-too")
class StampsOnlyTheStoredSession(ScanSessionStore[Any]):
    async def save(self, session: Any, *, expected_revision: int | None = None) -> UUID:
        return await super().save(session.model_copy(), expected_revision=expected_revision)


@found_by("a-refused-save-leaves-the-given-session-as-it-was", "not-a-number-in-variables-is-refused")
class StampsRefusedSessions(ScanSessionStore[Any]):
    async def save(self, session: Any, *, expected_revision: int | None = None) -> UUID:
        try:
            return await super().save(session, expected_revision=expected_revision)
        except InvalidSessionError:
            session.last_activity_at += timedelta(seconds=1)
            raise


@found_by("the-revision-that-was-expected-is-replaced", by=ConflictError)
@found_by("a-revision-counts-the-saves")
class StopsCountingRevisions(ScanSessionStore[Any]):
    def _revision(self, session_id: UUID) -> int:
        return min(1, super()._revision(session_id))


@found_by("the-id-of-an-expired-session-is-free", by=ConflictError)
@found_by("a-revision-starts-at-1-again-after-a-delete")
class KeepsRevisionsAfterDelete(ScanSessionStore[Any]):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.revisions: dict[UUID, int] = {}

    def _apply(self, plan: Any) -> None:
        super()._apply(plan)
        if not isinstance(plan, UUID):  # which is that of a removal
            self.revisions[plan.session_id] = plan.revision

    def _revision(self, session_id: UUID) -> int:
        return self.revisions.get(session_id, 0)


@found_by(*NOT_KEPT, "a-missing-field-is-refused", "an-object-that-is-no-session-is-refused")
class IgnoresInvalidSessions(ScanSessionStore[Any]):
    async def save(self, session: Any, *, expected_revision: int | None = None) -> UUID:
        with suppress(InvalidSessionError):
            await super().save(session, expected_revision=expected_revision)
        return session.session_id if isinstance(session, Session) else UUID(int=0)


@found_by("save-ignores-the-revision-of-the-given-session")
class TrustsTheGivenRevision(ScanSessionStore[Any]):
    async def save(self, session: Any, *, expected_revision: int | None = None) -> UUID:
        given = session.revision
        session_id = await super().save(session, expected_revision=expected_revision)
        for one in (session, self._snapshots[session_id]):
            vars(one)["revision"] = given + 1
        return session_id


@found_by(
    "a-save-replaces-the-session-of-its-id", "save-many-replaces-stored-sessions", "a-session-may-change-its-class"
)
class KeepsTheFirstSave(ScanSessionStore[Any]):
    def _apply(self, plan: Any) -> None:
        if isinstance(plan, UUID) or plan.session_id not in self._snapshots:
            super()._apply(plan)


@found_by("a-refused-save-changes-nothing", "a-change-that-cannot-be-saved-changes-nothing")
class KeepsRefusedSessions(ScanSessionStore[Any]):
    def _save(self, session: Any, *arguments: Any) -> Any:
        try:
            return super()._save(session, *arguments)
        except InvalidSessionError:
            self._snapshots[session.session_id] = session.model_copy(deep=True)
            raise


@found_by("not-a-number-in-variables-is-refused", "a-planted-turn-count-is-refused", "a-missing-field-is-refused")
class BlamesAnotherField(ScanSessionStore[Any]):
    async def save(self, session: Any, *, expected_revision: int | None = None) -> UUID:
        try:
            return await super().save(session, expected_revision=expected_revision)
        except InvalidSessionError as error:
            raise InvalidSessionError("agent_id", error.reason) from None


@found_by("delete-says-whether-there-was-a-session", "delete-many-deletes-and-counts-existing-sessions")
class AlwaysReportsDeletes(ScanSessionStore[Any]):
    def _remove(self, session_ids: Iterable[UUID], tenant_id: UUID | None) -> int:
        ids = list(session_ids)
        super()._remove(ids, tenant_id)
        return len(ids)


@found_by(*map(str, values.JSON_VALUES))
class RoundsValues(ScanSessionStore[Any]):
    def _plan(self, kept: Any, earlier: Any, *, in_bulk: bool) -> Any:
        plan = super()._plan(kept, earlier, in_bulk=in_bulk)
        plan.__dict__["variables"] = _rough(plan.variables)
        return plan


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


@found_by("save-keeps-what-it-is-given", "every-field-is-kept")
class LosesTheTurnCount(ScanSessionStore[Any]):
    def _plan(self, kept: Any, earlier: Any, *, in_bulk: bool) -> Any:
        plan = super()._plan(kept, earlier, in_bulk=in_bulk)
        plan.__dict__["turn_count"] = 0
        return plan


@found_by("every-field-is-kept")
class LosesAField(ScanSessionStore[Any]):
    def _plan(self, kept: Any, earlier: Any, *, in_bulk: bool) -> Any:
        plan = super()._plan(kept, earlier, in_bulk=in_bulk)
        plan.__dict__["relocalization_count"] = 0
        return plan


@found_by("every-field-is-kept")
class LosesAFieldOfAVisit(ScanSessionStore[Any]):
    def _plan(self, kept: Any, earlier: Any, *, in_bulk: bool) -> Any:
        plan = super()._plan(kept, earlier, in_bulk=in_bulk)
        visits = [visit.model_copy(update={"is_checkpoint": False}) for visit in plan.step_history]
        plan.__dict__["step_history"] = visits
        return plan
