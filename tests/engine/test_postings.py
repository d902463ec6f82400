"""Posting lists, with thresholds small enough to see all three forms."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiondex.engine.postings import Postings

TUPLES, LISTS, SORTED_LISTS = (99, 99), (1, 99), (1, 2)
FORMS = pytest.mark.parametrize("maxima", [TUPLES, LISTS, SORTED_LISTS], ids=["tuple", "list", "SortedList"])


def filed(stamps: list[int], maxima: tuple[int, int] = SORTED_LISTS) -> Postings[str]:
    postings: Postings[str] = Postings(*maxima)
    for stamp in stamps:
        postings.add("key", stamp)
    return postings


@FORMS
def test_newest_first_whatever_the_order_of_filing(maxima: tuple[int, int]) -> None:
    """A posting list reads newest first, in all of its forms, and gives no more than the limit."""
    postings = filed([5, 1, 4, 2, 3], maxima)

    assert [postings.newest("key", limit) for limit in (0, 1, 3, 9)] == [[], [5], [5, 4, 3], [5, 4, 3, 2, 1]]
    assert postings.latest("key") == 5


@FORMS
def test_range_includes_both_ends(maxima: tuple[int, int]) -> None:
    postings = filed([10, 20, 30, 40], maxima)

    assert postings.between("key", 20, 30) == [20, 30]
    assert postings.between("key", 11, None) == [20, 30, 40]
    assert postings.between("key", None, 39) == [10, 20, 30]
    assert postings.between("key", None, None) == [10, 20, 30, 40]
    assert postings.between("key", 31, 39) == []


def test_a_posting_list_takes_the_form_for_its_length() -> None:
    forms = [type(filed(list(range(length)), (2, 4))._lists["key"]).__name__ for length in range(1, 6)]

    assert forms == ["tuple", "tuple", "list", "list", "SortedList"]


@FORMS
def test_last_stamp_taken_takes_the_key(maxima: tuple[int, int]) -> None:
    """An empty posting list does not stay behind."""
    postings = filed([1, 2, 3], maxima)
    for stamp in (2, 3, 1):
        postings.remove("key", stamp)

    assert len(postings) == 0
    assert "key" not in postings


def test_reading_a_missing_key_creates_nothing() -> None:
    postings = filed([])

    assert postings.newest("key", 5) == postings.between("key", None, None) == []
    assert list(postings) == []


@given(
    st.lists(st.tuples(st.sampled_from(["add", "remove", "move"]), st.integers(0, 30))),
    st.sampled_from([TUPLES, LISTS, SORTED_LISTS, (2, 5)]),
)
def test_agrees_with_a_set(steps: list[tuple[str, int]], maxima: tuple[int, int]) -> None:
    """Whatever is added, removed and moved, what is there is there in order."""
    postings, expected = Postings[str](*maxima), set[int]()
    rng = random.Random(0)
    for action, stamp in steps:
        if action == "add" and stamp not in expected:
            postings.add("key", stamp)
            expected.add(stamp)
        elif action == "remove" and stamp in expected:
            postings.remove("key", stamp)
            expected.remove(stamp)
        elif action == "move" and expected and stamp not in expected:
            moved = rng.choice(sorted(expected))
            postings.move("key", moved, stamp)
            expected = expected - {moved} | {stamp}
        postings._check([("key", present) for present in expected])


@FORMS
@pytest.mark.parametrize("expected", [[1, 2], [1, 2, 3, 4], [1, 2, 4]])
def test_check_sees_what_is_wrong(maxima: tuple[int, int], expected: list[int]) -> None:
    """The check can fail: a missing stamp, one too many, a wrong one."""
    with pytest.raises(AssertionError, match="holds"):
        filed([1, 2, 3], maxima)._check([("key", stamp) for stamp in expected])


def test_check_sees_a_key_too_many() -> None:
    with pytest.raises(AssertionError, match="keys differ"):
        filed([1])._check([])
