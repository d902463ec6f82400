"""Law 8: only active sessions stand at a step. Law 9: `ScopeFilter`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sessiondex import Channel, InMemorySessionStore, ScopeFilter, Session, SessionStatus
from sessiondex.engine.table import Row
from sessiondex.records import Packed, Records
from tests.builders import OTHER_SCENARIO, SCENARIO, START, TENANT, Clock, at_step, make_session, visit

DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)


async def found(store: Any, scope: ScopeFilter | None = None, **step: Any) -> list[str]:
    asked = {"scenario_id": SCENARIO, "scenario_version": 1, "step_content_hash": "hash-1", **step}
    sessions = await store.find_sessions_by_step_hash(TENANT, **asked, scope_filter=scope)
    return [session.user_channel_id for session in sessions]


@pytest.mark.parametrize(
    "fields",
    [
        *({"status": status} for status in SessionStatus if status is not SessionStatus.ACTIVE),
        {"active_scenario_id": OTHER_SCENARIO},
        {"active_scenario_id": None},
        {"active_scenario_version": 2},
        {"active_scenario_version": None},
        {"step_history": []},
        {"step_history": [visit("hash-1"), visit("hash-2")]},
        {"step_history": [visit("hash-1"), visit(None)]},
    ],
)
async def test_a_session_elsewhere_is_not_found(store: Any, fields: dict[str, Any]) -> None:
    """Status, scenario, version and the hash of the last visit must all be as asked."""
    await store.save(at_step(user_channel_id="here"))
    await store.save(at_step(user_channel_id="elsewhere", **fields))

    assert await found(store) == ["here"]


async def test_a_session_leaves_the_step_when_it_moves_on(store: Any) -> None:
    session = at_step()
    await store.save(session)
    session.step_history.append(visit("hash-2"))
    await store.save(session)

    assert await found(store) == []
    assert await found(store, step_content_hash="hash-2") == ["user-1"]


async def test_versions_and_hashes_do_not_run_into_each_other(store: Any) -> None:
    """Version 1 with hash "2:x" is not version 12 with hash ":x", whatever the entry's encoding."""
    await store.save(at_step("2:x"))
    await store.save(at_step("é"))

    assert await found(store, scenario_version=12, step_content_hash=":x") == []
    assert await found(store, scenario_version=12, step_content_hash="x") == []
    assert await found(store, step_content_hash="2:x") == await found(store, step_content_hash="é") == ["user-1"]
    assert await found(store, scenario_version=-1) == []


FOUR: dict[str, dict[str, Any]] = {
    "a": {"channel": Channel.SMS, "name": "pay"},
    "b": {"channel": Channel.SMS, "name": None},
    "c": {"channel": Channel.EMAIL, "name": "ask"},
    "d": {"channel": Channel.EMAIL, "name": "pay"},
}


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({}, "dcba"),
        ({"include_channels": [Channel.SMS]}, "ba"),
        ({"include_channels": [Channel.SMS, Channel.EMAIL]}, "dcba"),
        ({"exclude_channels": [Channel.SMS]}, "dc"),
        ({"exclude_channels": []}, "dcba"),
        ({"include_channels": [Channel.SMS], "exclude_channels": [Channel.SMS]}, ""),
        ({"include_channels": [Channel.VOICE]}, ""),
        ({"include_current_nodes": ["pay"]}, "da"),
        ({"exclude_current_nodes": ["pay"]}, "cb"),
        ({"include_current_nodes": ["pay", "ask", "x"], "exclude_current_nodes": ["ask"]}, "da"),
        ({"include_channels": [Channel.EMAIL], "include_current_nodes": ["pay"]}, "d"),
    ],
)
async def test_channels_and_nodes(store: Any, scope: dict[str, Any], expected: str) -> None:
    """A node is the name of the last visit; a session without one is in no include and in no exclude."""
    for name, fields in FOUR.items():
        await store.save(at_step(user_channel_id=name, **fields))

    assert "".join(await found(store, ScopeFilter(**scope))) == expected


AGES = {
    "future": -MICROSECOND,
    "new": 0 * DAY,
    "almost 1": DAY - MICROSECOND,
    "1": DAY,
    "almost 2": 2 * DAY - MICROSECOND,
    "2": 2 * DAY,
}


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (None, None, ["2", "almost 2", "1", "almost 1", "new", "future"]),
        (0, None, ["2", "almost 2", "1", "almost 1", "new"]),
        (1, None, ["2", "almost 2", "1"]),
        (2, None, ["2"]),
        (3, None, []),
        (None, 0, ["almost 1", "new", "future"]),
        (None, 1, ["almost 2", "1", "almost 1", "new", "future"]),
        (1, 1, ["almost 2", "1"]),
        (0, 0, ["almost 1", "new"]),
        (10**12, None, []),
        (None, 10**12, ["2", "almost 2", "1", "almost 1", "new", "future"]),
    ],
)
async def test_ages_are_whole_days_rounded_down_with_both_ends_included(
    store: Any, low: int | None, high: int | None, expected: list[str]
) -> None:
    for name, age in AGES.items():
        await store.save(at_step(user_channel_id=name, created_at=START - age))

    assert await found(store, ScopeFilter(min_session_age_days=low, max_session_age_days=high)) == expected


async def test_ages_go_by_the_clock_at_the_time_of_the_query(store: Any, clock: Clock) -> None:
    await store.save(at_step())
    today = ScopeFilter(max_session_age_days=0)
    assert await found(store, today) == ["user-1"]
    clock.move(days=1)

    assert await found(store, today) == []
    assert await found(store, ScopeFilter(min_session_age_days=1)) == ["user-1"]


async def test_the_filter_drives_the_index(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a step with many sessions, only those that pass are so much as looked up or unpacked."""
    indexed: InMemorySessionStore = InMemorySessionStore(hot_sessions=0, clock=clock)
    for number in range(300):
        await indexed.save(at_step(name=f"node-{number % 10}", created_at=START - number * DAY))
    await indexed.save(at_step(channel=Channel.SMS))
    looked_up: list[bytes] = []
    unpacked: list[Packed] = []
    row, unpack = indexed._table.row, Records.unpack

    def noted_row(key: bytes) -> Row | None:
        looked_up.append(key)
        return row(key)

    def noted_unpack(self: Records, packed: Packed) -> Session:
        unpacked.append(packed)
        return unpack(self, packed)

    monkeypatch.setattr(indexed._table, "row", noted_row)
    monkeypatch.setattr(Records, "unpack", noted_unpack)

    for scope, expected in (
        (ScopeFilter(include_channels=[Channel.SMS]), 1),
        (ScopeFilter(include_current_nodes=["node-3"]), 30),
        (ScopeFilter(max_session_age_days=4, exclude_channels=[Channel.SMS]), 5),
    ):
        looked_up.clear()
        unpacked.clear()
        assert len(await found(indexed, scope)) == len(set(looked_up)) == len(unpacked) == expected


async def test_a_missing_hash_matches_nothing(store: Any) -> None:
    await store.save(at_step(None))
    await store.save(make_session(active_scenario_id=SCENARIO, active_scenario_version=1))

    assert await found(store, step_content_hash="") == await found(store, step_content_hash="None") == []
