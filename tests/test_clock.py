"""Stamps and the clock under them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiondex import InvalidArgumentError
from sessiondex.clock import EPOCH, MICROSECOND, StampClock, microseconds
from tests.support.builders import START, Clock


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC)))
def test_microseconds_are_exact(instant: datetime) -> None:
    assert EPOCH + microseconds(instant) * MICROSECOND == instant


def test_a_stamp_that_is_not_taken_leaves_no_trace(clock: Clock) -> None:
    stamps = StampClock(clock)

    assert [stamps.plan(), stamps.plan()] == [START, START]


@given(st.lists(st.integers(-1000, 1000)))
def test_stamps_strictly_increase_whatever_the_clock_does(moves: list[int]) -> None:
    """A stamp is the larger of now and the last one plus a microsecond."""
    clock, last = Clock(), EPOCH
    stamps = StampClock(clock)
    for move in moves:
        clock.move(microseconds=move)
        stamp = stamps.plan()
        assert stamp == max(clock(), last + MICROSECOND)
        stamps.take(stamp)
        last = stamp


def test_other_zones_are_converted() -> None:
    stamp = StampClock(Clock(datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2))))).plan()

    assert stamp == datetime(2025, 12, 31, 22, tzinfo=UTC)
    assert stamp.tzinfo is UTC


@pytest.mark.parametrize(
    ("clock", "reason"),
    [
        (lambda: datetime(2026, 1, 1), "aware datetime"),
        (lambda: 1_700_000_000, "aware datetime"),
        (lambda: datetime(1969, 1, 1, tzinfo=UTC), "before 1970"),
    ],
)
def test_a_clock_that_gives_no_instant_is_refused(clock: Any, reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"clock: .*{reason}"):
        StampClock(clock).plan()


def test_a_clock_that_cannot_be_called_is_refused_at_once() -> None:
    with pytest.raises(InvalidArgumentError, match="clock: must be callable"):
        StampClock(START)  # type: ignore[arg-type]  # wrong on purpose


def test_the_end_of_time_is_an_error_and_not_a_repeated_stamp() -> None:
    stamps = StampClock(Clock(datetime.max.replace(tzinfo=UTC)))
    stamps.take(stamps.plan())

    with pytest.raises(InvalidArgumentError, match="before the year 10000"):
        stamps.plan()
