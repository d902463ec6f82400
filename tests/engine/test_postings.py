"""Posting lists, with chunks so small that they split and join all the time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sessiondex.engine.chunked_list import ChunkedList
from sessiondex.engine.postings import Postings, encode_sortable
from tests.engine.posting_lists import FORMS, HIGHEST, KEY, LOWEST, posting_of, postings_of


@FORMS
def test_newest_first_whatever_the_order_of_adding(postings_per_chunk: int) -> None:
    """A posting list reads newest first, in all of its forms, and gives no more than the limit."""
    postings = postings_of([5, 1, 4, 2, 3], postings_per_chunk)

    assert [postings.newest(KEY, limit) for limit in (0, 1, 3, 4)] == [[], rows(5), rows(5, 4, 3), rows(5, 4, 3, 2)]
    assert postings.newest(KEY, 9) == postings.newest(KEY, 10**30) == rows(5, 4, 3, 2, 1)
    assert postings.latest(KEY) == posting_of(5)
    assert postings.oldest(KEY) == posting_of(1)
    assert (postings.count(KEY), postings.count(b"other")) == (5, 0)


@given(
    st.lists(st.integers(0, 30), unique=True, max_size=15),
    st.none() | st.integers(-1, 31),
    st.none() | st.integers(-1, 31),
    st.integers(0, 16),
    st.sampled_from([2, 3, 99]),
)
def test_a_page_agrees_with_a_filter(
    given: list[int], before: int | None, cutoff: int | None, limit: int, postings_per_chunk: int
) -> None:
    """A page holds up to `limit` rows strictly before a cursor and not before a cutoff, in all forms of a list."""
    postings = Postings(8, postings_per_chunk)
    for number in given:
        postings.add(KEY, encode_sortable(number) + encode_sortable(number))

    wanted = [n for n in given if (before is None or n < before) and (cutoff is None or n >= cutoff)]
    bounds = [None if number is None else encode_sortable(number) for number in (before, cutoff)]
    assert postings.newest(KEY, limit, *bounds) == [encode_sortable(n) for n in sorted(wanted, reverse=True)][:limit]


@given(
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from([b"a", b"b", b"c"])), max_size=40, unique_by=lambda p: p[0]),
    st.sets(st.sampled_from([b"a", b"b", b"c", b"not there"])),
    st.none() | st.integers(-1, 41),
    st.none() | st.integers(-1, 41),
    st.integers(0, 42),
    st.sampled_from([2, 3, 8, 99]),
)
@example([(number, b"a") for number in range(40)], {b"a", b"b", b"c"}, None, None, 40, 2)
@example([(number, b"abc"[number % 3 :][:1]) for number in range(40)], {b"a", b"b", b"c"}, None, None, 3, 3)
@example([(number, b"a" if number < 20 else b"b") for number in range(40)], {b"a", b"b"}, None, None, 30, 2)
def test_the_newest_of_several_lists_are_those_of_their_union(  # noqa: PLR0917  # one for each strategy
    filed: list[tuple[int, bytes]],
    keys: set[bytes],
    before: int | None,
    cutoff: int | None,
    limit: int,
    postings_per_chunk: int,
) -> None:
    """However the newest are distributed over the lists, and in all forms of these."""
    postings = Postings(8, postings_per_chunk)
    for number, key in filed:
        postings.add(key, encode_sortable(number) + encode_sortable(number))

    wanted = [
        number
        for number, key in filed
        if key in keys and (before is None or number < before) and (cutoff is None or number >= cutoff)
    ]
    bounds = [None if number is None else encode_sortable(number) for number in (before, cutoff)]
    expected = [encode_sortable(number) for number in sorted(wanted, reverse=True)][:limit]
    assert postings.newest_of(sorted(keys), limit, *bounds) == expected


def test_a_merge_does_not_read_lists_that_are_older_than_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """One chunk shows that a list has none of the newest."""
    postings = Postings(8, 4)
    for number in range(1_000):
        key = b"new" if number >= 900 else b"old" if number >= 500 else b"older"
        postings.add(key, encode_sortable(number) + encode_sortable(number))
    read: list[bytes] = []
    newest_chunks = ChunkedList.newest_chunks

    def recorded(self: ChunkedList, *bounds: bytes | None) -> Iterator[bytes]:
        for chunk in newest_chunks(self, *bounds):
            read.append(chunk)
            yield chunk

    monkeypatch.setattr(ChunkedList, "newest_chunks", recorded)

    assert postings.newest_of([b"older", b"new", b"old"], 9) == [encode_sortable(n) for n in range(999, 990, -1)]
    assert len(read) <= 6  # of 250


@FORMS
def test_a_number_is_found_whatever_the_row(postings_per_chunk: int) -> None:
    postings = postings_of([2, 4, 6, 8, LOWEST, HIGHEST], postings_per_chunk)

    assert [number for number in range(10) if postings.has_number(KEY, number)] == [2, 4, 6, 8]
    assert postings.has_number(KEY, LOWEST)
    assert postings.has_number(KEY, HIGHEST)
    assert not postings.has_number(b"other", 2)


def rows(*numbers: int) -> list[bytes]:
    return [b"%d" % number for number in numbers]


@FORMS
def test_range_includes_both_ends(postings_per_chunk: int) -> None:
    postings = postings_of([11, 22, 33, 44], postings_per_chunk)

    assert postings.between(KEY, 22, 33) == [b"2", b"3"]
    assert postings.between(KEY, 12, None) == [b"2", b"3", b"4"]
    assert postings.between(KEY, None, 43) == [b"1", b"2", b"3"]
    assert postings.between(KEY, None, None) == [b"1", b"2", b"3", b"4"]
    assert postings.between(KEY, 34, 43) == []
    assert postings.between(KEY, 33, 22) == []


@FORMS
def test_bounds_may_lie_beyond_all_numbers(postings_per_chunk: int) -> None:
    lowest, highest = -(2**63), 2**63 - 1
    postings = Postings(1, postings_per_chunk)
    for number, row in ((lowest, b"a"), (0, b"b"), (highest, b"c")):
        postings.add(KEY, encode_sortable(number) + row)

    assert postings.between(KEY, lowest - 1, highest + 1) == [b"a", b"b", b"c"]
    assert postings.between(KEY, lowest, highest) == [b"a", b"b", b"c"]
    assert postings.between(KEY, highest + 1, None) == []
    assert postings.between(KEY, None, lowest - 1) == []


def test_rows_of_one_number_are_ordered_by_their_keys() -> None:
    postings = Postings(1, 2)
    for row in (b"\xff", b"b", b"\0", b"a"):
        postings.add(KEY, encode_sortable(7) + row)

    assert postings.between(KEY, 7, 7) == [b"\0", b"a", b"b", b"\xff"]
    assert postings.newest(KEY, 9) == [b"\xff", b"b", b"a", b"\0"]


def test_a_list_becomes_long_beyond_one_chunk_and_short_again_at_half_of_one() -> None:
    """In between it keeps its form, or a list of about one chunk would change it with each posting."""
    postings = postings_of(range(4), postings_per_chunk=4)
    forms = [(len(postings._short), len(postings._long))]
    postings.add(KEY, posting_of(4))
    forms.append((len(postings._short), len(postings._long)))
    for number in (0, 4, 1):
        postings.remove(KEY, posting_of(number))
        forms.append((len(postings._short), len(postings._long)))

    assert forms == [(1, 0), (0, 1), (0, 1), (0, 1), (1, 0)]
    postings.check([(KEY, posting_of(number)) for number in (2, 3)])


@FORMS
def test_the_last_posting_takes_its_key_along(postings_per_chunk: int) -> None:
    """An empty posting list does not stay behind."""
    postings = postings_of([1, 2, 3], postings_per_chunk)
    for number in (2, 3, 1):
        assert KEY in postings
        postings.remove(KEY, posting_of(number))

    assert (len(postings), postings.posting_count, list(postings)) == (0, 0, [])
    assert KEY not in postings


def test_reading_a_missing_key_creates_nothing() -> None:
    postings = postings_of([])

    assert postings.newest(KEY, 5) == postings.between(KEY, None, None) == []
    assert postings.latest(KEY) is postings.oldest(KEY) is None
    assert (len(postings), postings.posting_count, list(postings)) == (0, 0, [])


@FORMS
@pytest.mark.parametrize("number", [0, 4, 9])
def test_removing_a_missing_posting_is_a_key_error(postings_per_chunk: int, number: int) -> None:
    """No other posting is removed, and the search ends."""
    postings = postings_of([1, 2, 3, 5, 6], postings_per_chunk)
    with pytest.raises(KeyError):
        postings.remove(KEY, posting_of(number))
    with pytest.raises(KeyError):
        postings.remove(b"other key", posting_of(number))

    postings.check([(KEY, posting_of(present)) for present in (1, 2, 3, 5, 6)])


def test_a_posting_is_not_mistaken_for_the_end_of_one_and_the_start_of_the_next() -> None:
    first, second = b"\0\0\0\0\0\0\0\0\1", b"\0\0\0\0\0\0\0\1\0"
    third = first[-1:] + second[:-1]
    postings = Postings(1)
    for posting in (first, second, third):
        postings.add(KEY, posting)
    assert (first + second).find(third) == 8
    postings.remove(KEY, third)

    postings.check([(KEY, first), (KEY, second)])


def test_keys_do_not_share_a_list() -> None:
    postings = postings_of([1, 2, 3])
    postings.add(b"", posting_of(4))
    postings.add(b"other", posting_of(1))
    postings.remove(KEY, posting_of(1))

    assert postings.newest(KEY, 9) == [b"3", b"2"]
    assert postings.newest(b"", 9) == [b"4"]
    assert postings.newest(b"other", 9) == [b"1"]
    assert (sorted(postings), len(postings), postings.posting_count) == ([b"", KEY, b"other"], 3, 4)


@given(st.integers(LOWEST, HIGHEST), st.integers(LOWEST, HIGHEST))
@example(LOWEST, HIGHEST)
@example(-1, 0)
def test_bytes_are_ordered_as_their_numbers(one: int, other: int) -> None:
    assert (encode_sortable(one) < encode_sortable(other)) == (one < other)
    assert len(encode_sortable(one)) == 8


@pytest.mark.parametrize("number", [LOWEST - 1, HIGHEST + 1])
def test_a_number_of_more_than_64_bits_has_no_order(number: int) -> None:
    with pytest.raises(OverflowError):
        encode_sortable(number)


# Of two byte values only, so that the bytes of a posting often occur across two others.
items = st.integers(1, 2).flatmap(
    lambda key_size: st.lists(
        st.lists(st.sampled_from([0, 1]), min_size=8 + key_size, max_size=8 + key_size).map(bytes),
        min_size=1,
        max_size=12,
        unique=True,
    )
)
steps = st.lists(
    st.tuples(st.sampled_from(["add", "add", "remove", "move"]), st.sampled_from([b"", b"k"]), st.integers(0, 11)),
    max_size=40,
)


@given(items, steps, st.sampled_from([2, 3, 5, 99]))
def test_agrees_with_a_set(pool: list[bytes], steps: list[tuple[str, bytes, int]], postings_per_chunk: int) -> None:
    """After each step, every list holds its postings in order."""
    postings = Postings(len(pool[0]) - 8, postings_per_chunk)
    expected: dict[bytes, set[bytes]] = {b"": set(), b"k": set()}
    for action, key, number in steps:
        posting, present = pool[number % len(pool)], expected[key]
        if action == "add" and posting not in present:
            postings.add(key, posting)
            present.add(posting)
        elif action == "remove" and posting in present:
            postings.remove(key, posting)
            present.remove(posting)
        elif action == "move" and present and posting not in present:
            moved = sorted(present)[number % len(present)]
            postings.move(key, moved, posting)
            present.remove(moved)
            present.add(posting)
        postings.check([(key, posting) for key, present in expected.items() for posting in present])

    assert postings.posting_count == sum(map(len, expected.values()))
    for key, present in expected.items():
        rows = [posting[8:] for posting in sorted(present, reverse=True)]
        assert [postings.newest(key, limit) for limit in range(14)] == [rows[:limit] for limit in range(14)]
        assert postings.latest(key) == max(present, default=None)
        assert postings.oldest(key) == min(present, default=None)
        assert postings.count(key) == len(present)


numbers = st.integers(-4, 4) | st.integers(LOWEST + 1, HIGHEST - 1)
bounds = st.none() | numbers | st.sampled_from([LOWEST - 1, LOWEST, HIGHEST, HIGHEST + 1, -(10**30), 10**30])


@given(st.lists(numbers, unique=True, max_size=12), bounds, bounds, st.sampled_from([2, 3, 99]))
def test_a_range_agrees_with_a_filter(
    given: list[int], low: int | None, high: int | None, postings_per_chunk: int
) -> None:
    """Bounds may lie anywhere, also where no number can."""
    postings = Postings(8, postings_per_chunk)
    for number in given:
        postings.add(KEY, encode_sortable(number) + encode_sortable(number))

    expected = [
        encode_sortable(number)
        for number in sorted(given)
        if (low is None or low <= number) and (high is None or number <= high)
    ]
    assert postings.between(KEY, low, high) == expected


@given(
    st.lists(st.sampled_from([LOWEST, LOWEST + 1, -1, 0, HIGHEST - 1, HIGHEST]), unique=True),
    st.sampled_from([None, LOWEST, LOWEST + 1, 0, HIGHEST - 1, HIGHEST]),
    st.sampled_from([None, LOWEST, LOWEST + 1, 0, HIGHEST - 1, HIGHEST]),
)
def test_the_extremes_are_numbers_like_any_other(given: list[int], low: int | None, high: int | None) -> None:
    postings = Postings(2, 2)
    for number in given:
        postings.add(KEY, encode_sortable(number) + b"\xff\xff")
        postings.add(KEY, encode_sortable(number) + b"\0\0")

    expected = [number for number in given if (low is None or low <= number) and (high is None or number <= high)]
    assert postings.between(KEY, low, high) == [b"\0\0", b"\xff\xff"] * len(expected)
    for number in given:
        postings.remove(KEY, encode_sortable(number) + b"\xff\xff")
    postings.check([(KEY, encode_sortable(number) + b"\0\0") for number in given])


@FORMS
def test_clearing_removes_all_lists(postings_per_chunk: int) -> None:
    postings = postings_of(range(5), postings_per_chunk)
    postings.add(b"other", posting_of(1))
    postings.clear()
    postings.check([])

    postings.add(KEY, posting_of(7))
    postings.check([(KEY, posting_of(7))])
