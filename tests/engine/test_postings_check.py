"""The check of posting lists finds each kind of damage."""

from __future__ import annotations

import pytest

from sessiondex.engine.chunked_list import ChunkedList
from tests.engine.posting_lists import FORMS, KEY, posting_of, postings_of


@FORMS
@pytest.mark.parametrize("expected", [[1, 2], [1, 2, 3, 4], [1, 2, 4]])
def test_check_finds_other_postings(postings_per_chunk: int, expected: list[int]) -> None:
    """A missing posting, an additional one, and another one."""
    postings = postings_of([1, 2, 3], postings_per_chunk)
    postings._posting_count = len(expected)
    with pytest.raises(AssertionError, match="postings of"):
        postings.check([(KEY, posting_of(number)) for number in expected])


def test_check_finds_an_additional_key() -> None:
    with pytest.raises(AssertionError, match=r"^keys: found"):
        postings_of([1]).check([])


def test_check_finds_a_missing_key() -> None:
    with pytest.raises(AssertionError, match=r"^keys: found"):
        postings_of([]).check([(KEY, posting_of(1))])


def test_check_finds_a_key_that_is_both_short_and_long() -> None:
    postings = postings_of([1])
    postings._long[KEY] = ChunkedList(9, 18, posting_of(1))

    with pytest.raises(AssertionError, match="both short and long"):
        postings.check([(KEY, posting_of(1))])


def test_check_finds_a_wrong_count() -> None:
    postings = postings_of([1, 2])
    postings._posting_count = 3

    with pytest.raises(AssertionError, match="count of postings: found 3, expected 2"):
        postings.check([(KEY, posting_of(1)), (KEY, posting_of(2))])


def test_check_finds_a_short_list_that_is_too_long() -> None:
    postings = postings_of([1, 2])
    postings._short.shard(KEY)[KEY] += posting_of(3)
    postings._posting_count = 3

    with pytest.raises(AssertionError, match="too long"):
        postings.check([(KEY, posting_of(number)) for number in (1, 2, 3)])


def test_check_finds_a_long_list_that_should_be_short() -> None:
    postings = postings_of([])
    postings._long[KEY] = ChunkedList(9, 18, posting_of(1))
    postings._posting_count = 1

    with pytest.raises(AssertionError, match="is short"):
        postings.check([(KEY, posting_of(1))])


def test_check_looks_into_long_lists() -> None:
    postings = postings_of([1, 2, 3])
    postings._long[KEY]._length = 7

    with pytest.raises(AssertionError, match="count of items: found 7, expected 3"):
        postings.check([(KEY, posting_of(number)) for number in (1, 2, 3)])
