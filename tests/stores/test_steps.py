"""Law 8: only active sessions stand at a step. Law 9: `ScopeFilter`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sessiondex import Channel, InMemorySessionStore, ScopeFilter
from sessiondex.snapshots.codec import SnapshotCodec
from tests.support.builders import SCENARIO, START, TENANT, Clock, at_step, make_session

DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)


async def found(store: Any, scope: ScopeFilter | None = None, **step: Any) -> list[str]:
    asked = {"scenario_id": SCENARIO, "scenario_version": 1, "step_content_hash": "hash-1", **step}
    sessions = await store.find_sessions_by_step_hash(TENANT, **asked, scope_filter=scope)
    return [session.user_channel_id for session in sessions]


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


async def test_a_step_with_a_filter(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the sessions that pass the filter are unpacked, however many stand at the step."""
    indexed: InMemorySessionStore = InMemorySessionStore(cache_size=0, clock=clock)
    for number in range(300):
        await indexed.save(at_step(name=f"node-{number % 10}", created_at=START - number * DAY))
    await indexed.save(at_step(channel=Channel.SMS))
    unpacked: list[bytes] = []
    unpack = SnapshotCodec.unpack

    def recorded(self: Any, packed: bytes, *head: Any) -> Any:
        unpacked.append(packed)
        return unpack(self, packed, *head)

    monkeypatch.setattr(SnapshotCodec, "unpack", recorded)

    for scope, expected in (
        (ScopeFilter(include_channels=[Channel.SMS]), 1),
        (ScopeFilter(include_current_nodes=["node-3"]), 30),
        (ScopeFilter(max_session_age_days=4, exclude_channels=[Channel.SMS]), 5),
    ):
        unpacked.clear()
        assert len(await found(indexed, scope)) == len(unpacked) == expected


async def test_a_missing_hash_matches_nothing(store: Any) -> None:
    await store.save(at_step(None))
    await store.save(make_session(active_scenario_id=SCENARIO, active_scenario_version=1))

    assert await found(store, step_content_hash="") == await found(store, step_content_hash="None") == []
