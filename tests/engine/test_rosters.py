"""Rosters: packed while small, live when large, gone when empty."""

from __future__ import annotations

from typing import Any

import pytest

from sessiondex.engine.rosters import Rosters


def kept(rosters: Rosters[Any, None], size: int) -> None:
    rosters.keep(b"key", dict.fromkeys(range(size)), size)


def test_one_that_grows_and_shrinks_is_in_one_place_and_found_all_the_same() -> None:
    """It is packed again when half as large, not by the next removal: or it would be written at each change."""
    rosters: Rosters[Any, None] = Rosters(roster_max=4)
    places = []
    for size in (1, 4, 5, 6, 5, 4, 3, 2, 1, 0):
        kept(rosters, size)
        places.append((len(rosters._small), len(rosters._large)))
        assert rosters.get(b"key") == dict.fromkeys(range(size))
        rosters._check({b"key": dict.fromkeys(range(size))} if size else {}, len)

    small, large, none = (1, 0), (0, 1), (0, 0)
    assert places == [small, small, large, large, large, large, large, small, small, none]
    assert list(rosters) == []


@pytest.mark.parametrize("size", [3, 9])
def test_a_key_that_is_kept_twice_is_seen(size: int) -> None:
    rosters: Rosters[Any, None] = Rosters(roster_max=4)
    kept(rosters, 3)
    rosters._large[b"key"] = dict.fromkeys(range(size))

    with pytest.raises(AssertionError, match="twice"):
        rosters._check({b"key": dict.fromkeys(range(3))}, len)


@pytest.mark.parametrize(
    ("size", "expected", "reason"),
    [
        (2, {b"key": {0: None}}, "roster of"),
        (2, {}, "keys of rosters"),
        (2, {b"key": {0: None, 1: None}, b"other": {0: None}}, "keys of rosters"),
    ],
)
def test_check_sees_a_difference(size: int, expected: Any, reason: str) -> None:
    rosters: Rosters[Any, None] = Rosters()
    kept(rosters, size)

    with pytest.raises(AssertionError, match=reason):
        rosters._check(expected, len)


@pytest.mark.parametrize(("size", "is_live"), [(9, False), (1, True)])
def test_check_sees_a_form_that_is_not_that_of_the_size(size: int, *, is_live: bool) -> None:
    """A large one, packed, would be written at each change; a small one, live, be visited by the collector."""
    rosters: Rosters[Any, None] = Rosters(roster_max=4)
    kept(rosters, size)
    rosters._max = 0 if is_live else 99
    kept(rosters, size)
    rosters._max = 4

    with pytest.raises(AssertionError, match=f"is live: found {is_live}"):
        rosters._check({b"key": dict.fromkeys(range(size))}, len)


def test_reading_a_missing_key_creates_nothing() -> None:
    rosters: Rosters[Any, None] = Rosters()
    rosters.get(b"key")["member"] = None

    assert rosters.get(b"key") == {}
    assert list(rosters) == []
