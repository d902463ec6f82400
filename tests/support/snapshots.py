"""Take sessions through a `SnapshotCodec` as a store does, without a store."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from sessiondex import InvalidSessionError, PendingMigration, Session
from sessiondex.snapshots.codec import Prepared, SnapshotCodec
from sessiondex.snapshots.compiled import CompiledClass, UUIDCache, compile_class
from tests.support.builders import START, NotedSession, make_session, visit
from tests.support.exact_values import exact

STAMP = (START - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


class ByRoundTrip(Session, validate_default=True):
    """Equal to `Session`, except for a setting that changes nothing but makes the class not plain."""


class LinkedSession(NotedSession):
    link: UUID | None = None
    notes: dict[str, list[Any]] = {}


def field_values(values: Mapping[str, Any], _indexed: Any) -> tuple[Any, ...]:
    """Return a copy of what the codec passes for computing index keys."""
    return (dict(values),)


def make_codec() -> SnapshotCodec[Any]:
    return SnapshotCodec(field_values, now=lambda: START)


_CODEC = make_codec()  # compiling a class takes milliseconds, so tests that need no codec of their own share one


def unpack(codec: SnapshotCodec[Any], prepared: Prepared, stamp: int = STAMP, revision: int = 7) -> Any:
    session_id, tenant_id, packed, _, _ = prepared
    return codec.unpack(packed, session_id.bytes, tenant_id.bytes, stamp, revision)


def through_codec(session: Any, codec: SnapshotCodec[Any] | None = None) -> Any:
    """Return the session as a store would return it, with stamp and revision of the given one."""
    codec = codec or _CODEC
    found = unpack(codec, codec.prepare(session))
    vars(found).update({name: vars(session)[name] for name in ("last_activity_at", "revision")})
    return found


class Verdict(NamedTuple):
    """The values of an accepted session with their types, or the error."""

    values: Any = None
    error: InvalidSessionError | None = None


def verdict(session: Any) -> Verdict:
    """Return the verdict of the codec on the session."""
    try:
        return Verdict(values=exact(vars(unpack(_CODEC, _CODEC.prepare(session)))))
    except InvalidSessionError as error:
        return Verdict(error=error)


def with_class(cls: type[Session], session: Session) -> Any:
    """Return a session of another class with the same values, not validated."""
    return cls.model_construct(**vars(session))


def is_accepted_at_once(session: Session) -> bool:
    """Return whether the generated check accepts the session, so that no round trip is made."""
    return _compiled(type(session)).pack(session) is not None


@cache
def _compiled(cls: type[Session]) -> CompiledClass[Any]:
    return compile_class(cls, bytes(4), UUIDCache())


def full_session(cls: type[Session] = Session) -> Any:
    """Return a session that has a value in each field."""
    pending = PendingMigration(
        target_version=2, anchor_content_hash="h", migration_plan_id=UUID(int=5), marked_at=START
    )
    return make_session(
        cls,
        step_history=[visit(), visit("hash-2", "pay", transition_reason="x", checkpoint_description="y")],
        variables={"a": {"b": [1, 2.5, None]}},
        rule_fires={"r": 1},
        rule_last_fire_turn={"r": 1},
        variable_updated_at={"a": START},
        customer_profile_id=UUID(int=6),
        active_scenario_id=UUID(int=7),
        active_step_id=UUID(int=8),
        active_scenario_version=1,
        scenario_checksum="c",
        pending_migration=pending,
    )


def refusal(session: Any) -> InvalidSessionError:
    """Return the error of the codec, and check that the session is as before."""
    before = {name: id(value) for name, value in vars(session).items()}
    with pytest.raises(InvalidSessionError) as error:
        make_codec().prepare(session)
    assert {name: id(value) for name, value in vars(session).items()} == before
    str(error.value).encode()
    assert error.value.__cause__ is None
    return error.value
