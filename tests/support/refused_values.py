"""Values that no store accepts, with the field that the error names and a part of its reason."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import uuid4

from sessiondex import PendingMigration, StepVisit
from tests.support.builders import START, visit
from tests.support.session_classes import nested

SURROGATE = "\ud800"
NAIVE = datetime(2026, 1, 1)


def circular() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


REFUSED: dict[str, tuple[Any, str, str]] = {
    "not a number": (float("nan"), "variables.value", "NaN"),
    "infinity": ([1, {"a": float("-inf")}], "variables.value.1.a", "infinity"),
    "surrogate": ({"a": ["x" + SURROGATE]}, "variables.value.a.0", "surrogate"),
    "surrogate in a key": ({SURROGATE: 1}, r"variables.value.\ud800", "surrogate"),
    "integer key": ({1: "a", "1": "b"}, "variables.value", "keys must be strings, not int"),
    "tuple": ((1, 2), "variables.value", "tuple is not a JSON value"),
    "set": ({1}, "variables.value", "set is not a JSON value"),
    "bytes": ([b"x"], "variables.value.0", "bytes is not a JSON value"),
    "datetime": (START, "variables.value", "datetime is not a JSON value"),
    "uuid": (uuid4(), "variables.value", "UUID is not a JSON value"),
    "decimal": (Decimal(1), "variables.value", "Decimal is not a JSON value"),
    "nested too deeply": (nested(250), "variables.value.0.0.0.0.0.0...", "nested too deeply"),
    "nested without end": (nested(100_000), "variables.value.0.0.0.0.0.0...", "nested too deeply"),
    "circular": (circular(), "variables.value.0.0.0.0.0.0...", "contains itself"),
    "5,000 digits": (10**5000, "variables.value", "more digits"),
}
"""Of `variables`: the value, the path in the error, a part of the reason."""

PLANTED: dict[str, tuple[str, Any, str]] = {
    "naive datetime": ("created_at", NAIVE, "created_at"),
    "no datetime": ("created_at", "yesterday", "created_at"),
    "beyond the calendar in UTC": (
        "created_at",
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=5))),
        "created_at",
    ),
    "number as text": ("turn_count", "5", "turn_count"),
    "negative count": ("turn_count", -1, "turn_count"),
    "huge count": ("turn_count", 10**5000, "turn_count"),
    "id as text": ("agent_id", str(uuid4()), "agent_id"),
    "session id as text": ("session_id", str(uuid4()), "session_id"),
    "no id": ("agent_id", None, "agent_id"),
    "empty channel": ("channel", "", "channel"),
    "long channel": ("channel", "x" * 65, "channel"),
    "NUL in channel": ("channel", "a\0", "channel"),
    "unknown status": ("status", None, "status"),
    "empty user": ("user_channel_id", "", "user_channel_id"),
    "NUL in user": ("user_channel_id", "a\0", "user_channel_id"),
    "surrogate in user": ("user_channel_id", SURROGATE, "user_channel_id"),
    "surrogate in text": ("scenario_checksum", SURROGATE, "scenario_checksum"),
    "surrogate in a count's key": ("rule_fires", {SURROGATE: 1}, r"rule_fires.\ud800"),
    "integer key": ("rule_fires", {1: 1}, "rule_fires"),
    "wrong value in a dict": ("rule_fires", {"r": "many"}, "rule_fires.r"),
    "variables no dict": ("variables", [("a", 1)], "variables"),
    "history no list": ("step_history", (visit(),), "step_history"),
    "visit as dict": ("step_history", [visit().model_dump()], "step_history"),
    "invalid visit": ("step_history", [visit(), StepVisit.model_construct(step_id="x")], "step_history.1"),
    "visit out of range": (
        "step_history",
        [visit().model_copy(update={"confidence": 7.0})],
        "step_history.0.confidence",
    ),
    "visit with surrogate": ("step_history", [visit().model_copy(update={"step_name": SURROGATE})], "step_history"),
    "visit with naive time": ("step_history", [visit().model_copy(update={"entered_at": NAIVE})], "step_history.0"),
    "visit that cannot be dumped": (
        "step_history",
        [visit().model_copy(update={"step_name": b"\xff"})],
        "step_history",
    ),
    "invalid migration": (
        "pending_migration",
        PendingMigration.model_construct(target_version="x"),
        "pending_migration",
    ),
}
"""Planted past validation: the field, the value, the beginning of the path in the error."""
