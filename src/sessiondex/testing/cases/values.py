"""Law 6: an accepted session comes back equal. Others are refused by field, and nothing changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import uuid4

from sessiondex.errors import InvalidSessionError
from sessiondex.models import PendingMigration, Session, StepVisit
from sessiondex.testing.builders import make_visit
from sessiondex.testing.case import Case, case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.expectations import expect, expect_error

SURROGATE = "\ud800"
NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001  # naive on purpose


def _nest(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def _make_circular() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


KEPT: Mapping[str, Callable[[], Any]] = {
    "null and booleans": lambda: [None, True, False, 1, 0],
    "integers": lambda: [0, -1, 2**63, -(2**63) - 1, 10**4299],
    "floats": lambda: [0.1, 1.0, -0.0, 1e308, 5e-324, 1e16],
    "texts": lambda: ["", "\u00e9", "e\u0301", "\u2028", "\U0001f600", '"\\/\n\0'],
    "keys": lambda: {"z": 1, "": 1, "a.b": 2, "\u00e9": 3, "\0": 4},
    "nested values": lambda: _nest(150),
    "empty containers": lambda: [[], {}, [[]], {"a": {}}],
}
"""JSON values that a store must keep."""

REFUSED: Mapping[str, tuple[Callable[[], Any], str]] = {
    "not a number": (lambda: float("nan"), "variables.value"),
    "infinity": (lambda: [1, {"a": float("-inf")}], "variables.value.1.a"),
    "a lone surrogate": (lambda: {"a": ["x" + SURROGATE]}, "variables.value.a.0"),
    "a lone surrogate in a key": (lambda: {SURROGATE: 1}, "variables.value"),
    "a key that is no string": (lambda: {1: "a", "1": "b"}, "variables.value"),
    "a tuple": (lambda: (1, 2), "variables.value"),
    "a set": (lambda: {1}, "variables.value"),
    "bytes": (lambda: [b"x"], "variables.value.0"),
    "a datetime": (lambda: datetime(2026, 1, 1, tzinfo=UTC), "variables.value"),
    "a uuid": (uuid4, "variables.value"),
    "a decimal": (lambda: Decimal(1), "variables.value"),
    "endless nesting": (lambda: _nest(100_000), "variables.value"),
    "a list within itself": (_make_circular, "variables.value"),
    "an integer of 5000 digits": (lambda: 10**5000, "variables.value"),
}
"""Values that JSON would change or reject, and the field that the error must name."""

PLANTED: Mapping[str, list[Any]] = {
    "created_at": [NAIVE, "yesterday", datetime.max.replace(tzinfo=timezone(-timedelta(hours=5))), None],
    "turn_count": ["5", -1, 10**5000],
    "session_id": [str(uuid4())],
    "agent_id": [str(uuid4()), None],
    "channel": ["", "a\0", "x" * 65, SURROGATE, None],
    "status": [None],
    "user_channel_id": ["", "a\0", SURROGATE],
    "scenario_checksum": [SURROGATE],
    "rule_fires": [{SURROGATE: 1}, {1: 1}, {"r": "many"}],
    "variables": [[("a", 1)]],
    "step_history": [
        (make_visit(),),
        [make_visit().model_dump()],
        [make_visit(), StepVisit.model_construct(step_id="x")],
        [make_visit().model_copy(update={"confidence": 7.0})],
        [make_visit().model_copy(update={"entered_at": NAIVE})],
        [make_visit().model_copy(update={"step_name": SURROGATE})],
    ],
    "pending_migration": [PendingMigration.model_construct(target_version="x")],
}
"""Values that validation rejects, to be planted past it."""


def _kept_case(name: str, make: Callable[[], Any]) -> Case:
    async def run(context: CaseContext) -> None:
        store, session = await context.store(), context.session()
        session.variables["value"] = make()
        for _ in range(3):
            await store.save(session)
            found = await context.get_stored(store, session.session_id)
            expect(found, session, f"get, with {name} in variables")
            # Equality does not distinguish True from 1, 1.0 from 1, -0.0 from 0.0, nor orders of keys; JSON text does.
            expect(_dump_exactly(found.variables), _dump_exactly(session.variables), f"{name} in variables, as JSON")

    return case(
        6, name=f"{name.replace(' ', '-')}-are-kept", promise="The values come back equal and with the same types."
    )(run)


def _dump_exactly(variables: Any) -> str:
    return json.dumps(variables)


async def _expect_refused(context: CaseContext, field: str, values: list[Any], path: str, in_path: str = "") -> None:
    store = await context.store()
    for value in values:
        session = context.session()
        await store.save(session)
        saved = session.model_copy(deep=True)
        vars(session)[field] = {"value": value} if in_path else value
        stamp = session.last_activity_at, session.revision
        call = f"saving a bad {in_path or field} (a {type(value).__name__})"
        with expect_error(InvalidSessionError, call) as caught:
            await store.save(session)
        expect(
            (caught.error.field or "").startswith(path), True, f"whether {caught.error.field!r} begins with {path!r}"
        )
        expect((session.last_activity_at, session.revision), stamp, f"stamp and revision after {call}")
        expect(await store.get(saved.session_id), saved, f"get, after {call}")
        expect(await store.list_by_agent(context.tenant_id, saved.agent_id), [saved], f"list_by_agent, after {call}")
        await store.delete(saved.session_id)


def _refused_case(name: str, make: Callable[[], Any], path: str) -> Case:
    async def run(context: CaseContext) -> None:
        await _expect_refused(context, "variables", [make()], path, f"variable, {name}")

    promise = "`InvalidSessionError` names the path of the value, and nothing changes."
    return case(6, name=f"{name.replace(' ', '-')}-in-variables-is-refused", promise=promise)(run)


def _planted_case(field: str, values: list[Any]) -> Case:
    async def run(context: CaseContext) -> None:
        await _expect_refused(context, field, values, field)

    case_name = f"a-planted-{field.replace('_', '-')}-is-refused"
    promise = "`save` finds a value that was planted past validation: the error names the field, and nothing changes."
    return case(6, name=case_name, promise=promise)(run)


JSON_VALUES = tuple(_kept_case(name, make) for name, make in KEPT.items())
NO_JSON_VALUES = tuple(_refused_case(name, *row) for name, row in REFUSED.items())
PLANTED_VALUES = tuple(_planted_case(field, values) for field, values in PLANTED.items())


@case(6)
async def a_missing_field_is_refused(context: CaseContext) -> None:
    """A session made with `model_construct` that lacks a field is refused, and the error names the field."""
    store = await context.store()
    for field in ("tenant_id", "step_history", "variables", "created_at"):
        session = context.session()
        del vars(session)[field]
        with expect_error(InvalidSessionError, f"saving a session without {field}") as caught:
            await store.save(session)
        expect(caught.error.field, field, "field of the error")


@case(6)
async def an_object_that_is_no_session_is_refused(context: CaseContext) -> None:
    """`save` raises `InvalidSessionError` with `None` as its field."""
    store: Any = await context.store()
    for thing in (None, {"session_id": uuid4()}, StepVisit, object(), Session):
        with expect_error(InvalidSessionError, f"saving {thing!r}") as caught:
            await store.save(thing)
        expect(caught.error.field, None, "field of the error")
