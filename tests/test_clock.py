"""StampClock, and the conversion of instants to microseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiondex import InvalidArgumentError
from sessiondex.clock import EPOCH, MICROSECOND, StampClock, to_datetime, to_microseconds
from tests.support.builders import START, Clock


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC)))
def test_microseconds_are_exact(instant: datetime) -> None:
    assert EPOCH + to_microseconds(instant) * MICROSECOND == to_datetime(to_microseconds(instant)) == instant


def test_reading_the_time_gives_no_stamp() -> None:
    clock = StampClock(Clock())
    times = [clock.now(), clock.now(), to_microseconds(clock.instant())]

    assert times == [to_microseconds(START)] * 3
    assert clock.advance() == to_microseconds(START)


@given(st.lists(st.integers(-1000, 1000)))
def test_a_clock_that_jumps_and_steps_back(moves: list[int]) -> None:
    """Stamps strictly increase: each is the time, or one microsecond after the last stamp if that is later."""
    clock, last = Clock(), 0
    stamps = StampClock(clock)
    for move in moves:
        clock.move(microseconds=move)
        stamp = stamps.advance()
        assert stamp == max(to_microseconds(clock()), last + 1)
        last = stamp


@given(st.integers(-1000, 1000))
def test_stamps_follow_a_restored_one(offset: int) -> None:
    restored = to_microseconds(START) + offset
    stamps = StampClock(Clock())
    stamps.advance()
    stamps.advance_to(restored)

    assert stamps.advance() == max(to_microseconds(START), restored) + 1


def test_a_clock_in_another_zone_is_converted() -> None:
    stamps = StampClock(Clock(datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2)))))

    assert to_datetime(stamps.advance()) == stamps.instant() == datetime(2025, 12, 31, 22, tzinfo=UTC)
    assert stamps.instant().tzinfo is UTC


@pytest.mark.parametrize("call", [StampClock.now, StampClock.instant, StampClock.advance])
@pytest.mark.parametrize(
    ("clock", "reason"),
    [
        (lambda: datetime(2026, 1, 1), "aware datetime"),
        (lambda: 1_700_000_000, "aware datetime"),
        (lambda: datetime(1969, 1, 1, tzinfo=UTC), "before 1970"),
        (lambda: datetime.max.replace(tzinfo=timezone(-timedelta(hours=5))), "before the year 10000"),
    ],
)
def test_a_clock_that_gives_no_instant_is_refused(clock: Any, reason: str, call: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=f"clock: .*{reason}"):
        call(StampClock(clock))


def test_a_clock_that_cannot_be_called_is_refused_at_once() -> None:
    with pytest.raises(InvalidArgumentError, match="clock: must be callable"):
        StampClock(START)  # type: ignore[arg-type]  # wrong on purpose


def test_the_end_of_time_is_an_error_and_not_a_repeated_stamp() -> None:
    stamps = StampClock(Clock(datetime.max.replace(tzinfo=UTC)))
    stamps.advance()

    with pytest.raises(InvalidArgumentError, match="before the year 10000"):
        stamps.advance()
