"""StampClock, and the conversion of instants to microseconds."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiondex import InvalidArgumentError
from sessiondex.clock import EPOCH, MARKS_PER_TTL, MICROSECOND, StampClock, to_datetime, to_microseconds
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


# -- expiry --

TTL = timedelta(hours=1)
LATE = TTL / MARKS_PER_TTL
YEAR = timedelta(days=365)


def is_expired(stamps: StampClock, stamp: int) -> bool:
    cutoff = stamps.cutoff()
    assert cutoff is not None
    return stamp < cutoff


def test_the_cutoff_is_the_oldest_stamp_that_has_not_expired() -> None:
    clock = Clock(EPOCH + timedelta(microseconds=100))
    stamps = StampClock(clock, timedelta(microseconds=10))
    assert stamps.cutoff() == 90
    clock.time = EPOCH + timedelta(microseconds=3)

    assert stamps.cutoff() == 0
    assert StampClock(clock).cutoff() is None


def test_after_a_clock_was_ahead_sessions_expire_exactly_by_the_corrected_clock() -> None:
    """If they are saved minutes apart. Those saved while it was ahead expire with the first after the correction."""
    clock = Clock(START + YEAR)
    stamps = StampClock(clock, TTL)
    saved = [(START, stamps.advance()), (START, stamps.advance())]
    for minutes in (0, 2, 9, 30, 55):
        clock.time = START + timedelta(minutes=minutes)
        saved.append((clock.time, stamps.advance()))

    for instant, stamp in saved:
        clock.time = instant + TTL
        assert not is_expired(stamps, stamp)
    for instant, stamp in saved[-1:]:
        clock.time = instant + TTL + MICROSECOND
        assert is_expired(stamps, stamp)


def test_what_has_expired_stays_expired_when_the_clock_has_caught_up() -> None:
    """Until the clock is corrected once more, since nobody knows then how long anything was idle."""
    clock = Clock(START + 3 * TTL)
    stamps = StampClock(clock, TTL)
    stamps.advance()
    clock.time = START
    stamp = stamps.advance()
    clock.time = START + TTL + MICROSECOND
    assert is_expired(stamps, stamp)
    for caught_up in (3 * TTL, 3 * TTL + TTL / 2, 9 * TTL):
        clock.time = START + caught_up
        assert is_expired(stamps, stamp)


@pytest.mark.parametrize("position", range(6))
def test_each_of_them_expires_a_microsecond_later(position: int) -> None:
    """And none that was saved after it does."""
    clock = Clock(START + YEAR)
    stamps = StampClock(clock, TTL)
    instants = [START + timedelta(minutes=minutes) for minutes in (0, 2, 9, 30, 55)]
    saved = [(START, stamps.advance())]
    for instant in instants:
        clock.time = instant
        saved.append((instant, stamps.advance()))
    clock.time = saved[position][0] + TTL + MICROSECOND

    assert [is_expired(stamps, stamp) for _, stamp in saved] == [one <= saved[position][0] for one, _ in saved]


def test_without_a_save_after_the_correction_the_first_reading_counts() -> None:
    clock = Clock(START + YEAR)
    stamps = StampClock(clock, TTL)
    stamp = stamps.advance()
    clock.time = START
    assert not is_expired(stamps, stamp)
    clock.time = START + TTL
    assert not is_expired(stamps, stamp)
    clock.move(microseconds=1)

    assert is_expired(stamps, stamp)


@given(st.lists(st.integers(0, 300_000_000), max_size=40), st.integers(2 * 10**10, 10**14))
def test_saves_at_any_distance_expire_late_by_a_part_of_the_ttl_at_most(gaps: list[int], ahead: int) -> None:
    """As long as the clock does not reach the stamps that it gave when it was ahead."""
    clock = Clock(START + ahead * MICROSECOND)
    stamps = StampClock(clock, TTL)
    saved = [(START, stamps.advance())]
    clock.time = START
    for gap in gaps:
        clock.move(microseconds=gap)
        saved.append((clock.time, stamps.advance()))
        expired = [one for one, stamp in saved if is_expired(stamps, stamp)]
        assert all(one < clock.time - TTL for one in expired)
        assert {one for one, _ in saved if one < clock.time - TTL - LATE} <= {*expired}


@given(st.integers(0, TTL // MICROSECOND), st.booleans())
def test_a_clock_that_reaches_its_stamps_again_expires_late_by_what_it_was_ahead(ahead: int, is_swept: bool) -> None:
    """At most, for then stamps tell the time again."""
    clock = Clock(START + ahead * MICROSECOND)
    stamps = StampClock(clock, TTL)
    stamps.advance()
    clock.time = START
    stamp = stamps.advance()
    for minute in range(1, 60 if is_swept else 1):
        clock.time = START + timedelta(minutes=minute)
        assert not is_expired(stamps, stamp)
    clock.time = START + TTL
    assert not is_expired(stamps, stamp)
    clock.move(microseconds=ahead + 2)

    assert is_expired(stamps, stamp)


phases = st.lists(
    st.tuples(st.sampled_from([0, 5, 600, 86_400, 31_536_000]), st.lists(st.integers(1, 900), min_size=1, max_size=5)),
    max_size=6,
)


@given(phases, st.booleans())
def test_several_corrections_expire_nothing_early_and_everything_in_the_end(
    phases: list[tuple[int, list[int]]], is_swept: bool
) -> None:
    """A phase has how far the clock is ahead, and the seconds between its saves. In the end the clock is right."""
    right, clock = Clock(), Clock()
    stamps = StampClock(clock, TTL)
    saved: list[tuple[datetime, int]] = []
    for ahead, gaps in phases:
        for gap in gaps:
            right.move(seconds=gap)
            clock.time = right.time + timedelta(seconds=ahead)
            saved.append((right.time, stamps.advance()))
            if is_swept:
                stamps.cutoff()
    right.move(seconds=1)
    corrected = clock.time = right.time
    saved.append((corrected, stamps.advance()))

    for instant, stamp in saved:
        clock.time = max(corrected, instant + TTL)
        assert is_expired(stamps, stamp) <= (clock.time - instant > TTL)
    clock.time = corrected + 2 * TTL
    assert all(is_expired(stamps, stamp) for _, stamp in saved)


@given(st.integers(1, 10**13), st.booleans(), st.integers(0, 3))
def test_a_clock_that_was_behind_expires_nothing_early(behind: int, is_swept: bool, saves: int) -> None:
    clock = Clock()
    stamps = StampClock(clock, TTL)
    saved = [stamps.advance()]
    clock.move(microseconds=-behind)
    for _ in range(saves):
        saved.append(stamps.advance())
        assert not is_swept or not any(is_expired(stamps, stamp) for stamp in saved)
    clock.time = START + TTL

    assert not any(is_expired(stamps, stamp) for stamp in saved)
    clock.move(microseconds=1 + saves)
    assert all(is_expired(stamps, stamp) for stamp in saved)


# -- jumps --


class Passing:
    """A clock that can be wrong, and the time that has passed, which cannot."""

    def __init__(self) -> None:
        self.clock, self.passed = Clock(), 100.0

    def move(self, **by: float) -> None:
        self.clock.move(**by)
        self.passed += timedelta(**by).total_seconds()


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Passing:
    passing = Passing()
    monkeypatch.setattr("sessiondex.clock.monotonic", lambda: passing.passed)
    return passing


@pytest.mark.parametrize("call", [StampClock.now, StampClock.advance])
def test_a_jump_ahead_is_logged_and_counted_once(passing: Passing, caplog: pytest.LogCaptureFixture, call: Any) -> None:
    stamps = StampClock(passing.clock)
    call(stamps)
    passing.move(days=9)
    call(stamps)
    assert (stamps.jumps, caplog.records) == (0, [])

    passing.clock.move(days=365)
    for _ in range(5):
        call(stamps)
        passing.move(minutes=2)
    passing.clock.move(days=-365)
    call(stamps)
    assert stamps.jumps == 1
    [record] = caplog.records
    assert (record.name, record.levelno) == ("sessiondex", logging.WARNING)
    assert "the clock jumped ahead by 365 days" in record.getMessage()

    passing.clock.move(days=2)
    call(stamps)
    assert stamps.jumps == len(caplog.records) == 2


@pytest.mark.parametrize(("minutes", "jumps"), [(59, 0), (60, 0), (61, 1), (-600, 0)])
def test_only_more_than_an_hour_is_a_jump(passing: Passing, minutes: int, jumps: int) -> None:
    stamps = StampClock(passing.clock)
    stamps.now()
    passing.clock.move(minutes=minutes)
    stamps.now()

    assert stamps.jumps == jumps
