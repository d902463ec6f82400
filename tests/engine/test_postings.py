"""Posting lists, with chunks so small that they split and merge all the time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sessiondex.engine.postings import Postings, order

KEY = b"key"
LOWEST, HIGHEST = -(2**63), 2**63 - 1
FORMS = pytest.mark.parametrize("chunk_max", [99, 3, 2], ids=["one chunk", "chunks of 3", "chunks of 2"])


def item_of(number: int) -> bytes:
    """Return the item of a row that is ordered by the number, and has its last digit as key."""
    return order(number) + b"%d" % (number % 10)


def filed(numbers: Iterable[int], chunk_max: int = 2) -> Postings:
    postings = Postings(1, chunk_max)
    for number in numbers:
        postings.add(KEY, item_of(number))
    return postings


def chunks_of(postings: Postings) -> list[int]:
    """Return how many items each chunk has."""
    return [len(chunk) // 9 for chunk in postings._chunks(KEY)]


@FORMS
def test_newest_first_whatever_the_order_of_filing(chunk_max: int) -> None:
    """A posting list reads newest first, in all of its forms, and gives no more than the limit."""
    postings = filed([5, 1, 4, 2, 3], chunk_max)

    assert [postings.newest(KEY, limit) for limit in (0, 1, 3, 4)] == [[], rows(5), rows(5, 4, 3), rows(5, 4, 3, 2)]
    assert postings.newest(KEY, 9) == postings.newest(KEY, 10**30) == rows(5, 4, 3, 2, 1)
    assert postings.latest(KEY) == item_of(5)
    assert postings.oldest(KEY) == item_of(1)
    assert (postings.count(KEY), postings.count(b"other")) == (5, 0)


@given(
    st.lists(st.integers(0, 30), unique=True, max_size=15),
    st.none() | st.integers(-1, 31),
    st.none() | st.integers(-1, 31),
    st.integers(0, 16),
    st.sampled_from([2, 3, 99]),
)
def test_a_page_agrees_with_a_filter(
    given: list[int], before: int | None, since: int | None, limit: int, chunk_max: int
) -> None:
    """Up to so many of those strictly before a cursor and not before a bound, in all forms of a list."""
    postings = Postings(8, chunk_max)
    for number in given:
        postings.add(KEY, order(number) + order(number))

    wanted = [n for n in given if (before is None or n < before) and (since is None or n >= since)]
    cursor, bound = (None if number is None else order(number) for number in (before, since))
    assert postings.newest(KEY, limit, cursor, bound) == [order(n) for n in sorted(wanted, reverse=True)][:limit]


class Watched(list[bytes]):
    """A list that notes which items were looked at."""

    def __init__(self, items: Iterable[bytes]) -> None:
        super().__init__(items)
        self.seen: list[Any] = []

    def __getitem__(self, at: Any) -> Any:
        self.seen.append(at)
        return super().__getitem__(at)


@pytest.mark.parametrize(("before", "since"), [(None, 990), (990, 980), (500, 490)])
def test_a_page_looks_at_what_it_has_and_no_further(before: int | None, since: int) -> None:
    """Neither at what comes after the cursor, nor at what lies before the bound."""
    postings = Postings(8)
    for number in range(1_000):
        postings.add(KEY, order(number) + order(number))
    watched = postings._long[KEY] = Watched(postings._long[KEY])
    page = postings.newest(KEY, 100, None if before is None else order(before), order(since))

    assert page == [order(number) for number in range((before or 1_000) - 1, since - 1, -1)]
    assert len(watched.seen) <= 8  # of more than thirty chunks: by bisection, and the page


def rows(*numbers: int) -> list[bytes]:
    return [b"%d" % number for number in numbers]


@FORMS
def test_range_includes_both_ends(chunk_max: int) -> None:
    postings = filed([11, 22, 33, 44], chunk_max)

    assert postings.between(KEY, 22, 33) == [b"2", b"3"]
    assert postings.between(KEY, 12, None) == [b"2", b"3", b"4"]
    assert postings.between(KEY, None, 43) == [b"1", b"2", b"3"]
    assert postings.between(KEY, None, None) == [b"1", b"2", b"3", b"4"]
    assert postings.between(KEY, 34, 43) == []
    assert postings.between(KEY, 33, 22) == []


@FORMS
def test_bounds_may_lie_beyond_all_numbers(chunk_max: int) -> None:
    lowest, highest = -(2**63), 2**63 - 1
    postings = Postings(1, chunk_max)
    for number, row in ((lowest, b"a"), (0, b"b"), (highest, b"c")):
        postings.add(KEY, order(number) + row)

    assert postings.between(KEY, lowest - 1, highest + 1) == [b"a", b"b", b"c"]
    assert postings.between(KEY, lowest, highest) == [b"a", b"b", b"c"]
    assert postings.between(KEY, highest + 1, None) == []
    assert postings.between(KEY, None, lowest - 1) == []


def test_rows_of_one_number_are_ordered_by_their_keys() -> None:
    postings = Postings(1, 2)
    for row in (b"\xff", b"b", b"\0", b"a"):
        postings.add(KEY, order(7) + row)

    assert postings.between(KEY, 7, 7) == [b"\0", b"a", b"b", b"\xff"]
    assert postings.newest(KEY, 9) == [b"\xff", b"b", b"a", b"\0"]


@pytest.mark.parametrize("chunk_max", [2, 3, 4])
def test_filed_in_order_chunks_are_full(chunk_max: int) -> None:
    """Where each item is the newest, no chunk but the first and the last has room left."""
    lengths = chunks_of(filed(range(40), chunk_max))

    assert set(lengths[1:-1]) == {chunk_max}
    assert sum(lengths) == 40


def test_a_short_list_is_one_chunk_and_a_long_one_is_many() -> None:
    postings = filed(range(4), chunk_max=4)
    assert (len(postings._short), len(postings._long), chunks_of(postings)) == (1, 0, [4])

    postings.add(KEY, item_of(4))
    assert (len(postings._short), len(postings._long), chunks_of(postings)) == (0, 1, [2, 3])

    for number in (0, 4, 1):
        postings.remove(KEY, item_of(number))
    assert (len(postings._short), len(postings._long), chunks_of(postings)) == (1, 0, [2])


def test_chunks_that_became_small_are_joined() -> None:
    """But not as long as together they are more than half a chunk: the next items would split them again."""
    postings = filed(range(12), chunk_max=4)
    assert chunks_of(postings) == [2, 4, 4, 2]
    shapes = []
    for number in (9, 8, 11, 7):
        postings.remove(KEY, item_of(number))
        shapes.append(chunks_of(postings))

    assert shapes == [[2, 4, 3, 2], [2, 4, 2, 2], [2, 4, 2, 1], [2, 4, 2]]


@FORMS
def test_last_item_taken_takes_the_key(chunk_max: int) -> None:
    """An empty posting list does not stay behind."""
    postings = filed([1, 2, 3], chunk_max)
    for number in (2, 3, 1):
        assert KEY in postings
        postings.remove(KEY, item_of(number))

    assert (len(postings), postings.entries, list(postings)) == (0, 0, [])
    assert KEY not in postings


def test_reading_a_missing_key_creates_nothing() -> None:
    postings = filed([])

    assert postings.newest(KEY, 5) == postings.between(KEY, None, None) == []
    assert postings.latest(KEY) is postings.oldest(KEY) is None
    assert (len(postings), postings.entries, list(postings)) == (0, 0, [])


@FORMS
@pytest.mark.parametrize("number", [0, 4, 9])
def test_taking_what_is_not_there_is_a_key_error(chunk_max: int, number: int) -> None:
    """It neither takes another item nor searches on without end."""
    postings = filed([1, 2, 3, 5, 6], chunk_max)
    with pytest.raises(KeyError):
        postings.remove(KEY, item_of(number))
    with pytest.raises(KeyError):
        postings.remove(b"other key", item_of(number))

    postings._check([(KEY, item_of(present)) for present in (1, 2, 3, 5, 6)])


def test_an_item_is_not_mistaken_for_the_end_of_one_and_the_start_of_the_next() -> None:
    first, second = b"\0\0\0\0\0\0\0\0\1", b"\0\0\0\0\0\0\0\1\0"
    third = first[-1:] + second[:-1]
    postings = Postings(1)
    for item in (first, second, third):
        postings.add(KEY, item)
    assert (first + second).find(third) == 8
    postings.remove(KEY, third)

    postings._check([(KEY, first), (KEY, second)])


def test_keys_do_not_share_a_list() -> None:
    postings = filed([1, 2, 3])
    postings.add(b"", item_of(4))
    postings.add(b"other", item_of(1))
    postings.remove(KEY, item_of(1))

    assert postings.newest(KEY, 9) == [b"3", b"2"]
    assert postings.newest(b"", 9) == [b"4"]
    assert postings.newest(b"other", 9) == [b"1"]
    assert (sorted(postings), len(postings), postings.entries) == ([b"", KEY, b"other"], 3, 4)


@given(st.integers(LOWEST, HIGHEST), st.integers(LOWEST, HIGHEST))
@example(LOWEST, HIGHEST)
@example(-1, 0)
def test_bytes_are_ordered_as_their_numbers(one: int, other: int) -> None:
    assert (order(one) < order(other)) == (one < other)
    assert len(order(one)) == 8


@pytest.mark.parametrize("number", [LOWEST - 1, HIGHEST + 1])
def test_a_number_of_more_than_64_bits_has_no_order(number: int) -> None:
    with pytest.raises(OverflowError):
        order(number)


# Of two byte values only, so that the bytes of an item often occur across two others.
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
def test_agrees_with_a_set(pool: list[bytes], steps: list[tuple[str, bytes, int]], chunk_max: int) -> None:
    """Whatever is added, removed and moved, what is there is there in order."""
    postings = Postings(len(pool[0]) - 8, chunk_max)
    expected: dict[bytes, set[bytes]] = {b"": set(), b"k": set()}
    for action, key, number in steps:
        item, there = pool[number % len(pool)], expected[key]
        if action == "add" and item not in there:
            postings.add(key, item)
            there.add(item)
        elif action == "remove" and item in there:
            postings.remove(key, item)
            there.remove(item)
        elif action == "move" and there and item not in there:
            moved = sorted(there)[number % len(there)]
            postings.move(key, moved, item)
            there.remove(moved)
            there.add(item)
        postings._check([(key, item) for key, there in expected.items() for item in there])

    assert postings.entries == sum(map(len, expected.values()))
    for key, there in expected.items():
        rows = [item[8:] for item in sorted(there, reverse=True)]
        assert [postings.newest(key, limit) for limit in range(14)] == [rows[:limit] for limit in range(14)]
        assert postings.latest(key) == max(there, default=None)
        assert postings.oldest(key) == min(there, default=None)
        assert postings.count(key) == len(there)


numbers = st.integers(-4, 4) | st.integers(LOWEST + 1, HIGHEST - 1)
bounds = st.none() | numbers | st.sampled_from([LOWEST - 1, LOWEST, HIGHEST, HIGHEST + 1, -(10**30), 10**30])


@given(st.lists(numbers, unique=True, max_size=12), bounds, bounds, st.sampled_from([2, 3, 99]))
def test_a_range_agrees_with_a_filter(given: list[int], low: int | None, high: int | None, chunk_max: int) -> None:
    """Bounds may lie anywhere, also where no number can."""
    postings = Postings(8, chunk_max)
    for number in given:
        postings.add(KEY, order(number) + order(number))

    expected = [
        order(number) for number in sorted(given) if (low is None or low <= number) and (high is None or number <= high)
    ]
    assert postings.between(KEY, low, high) == expected


def test_a_range_reads_the_chunks_where_it_lies_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the list is below it and above it."""
    postings = filed(range(200), chunk_max=2)
    read: list[int] = []
    row_keys: Callable[..., list[bytes]] = Postings._row_keys

    def counted(self: Postings, items: bytes) -> list[bytes]:
        read.append(len(items))
        return row_keys(self, items)

    monkeypatch.setattr(Postings, "_row_keys", counted)

    assert postings.between(KEY, 100, 103) == rows(0, 1, 2, 3)
    assert postings.newest(KEY, 4) == rows(9, 8, 7, 6)
    assert len(read) <= 4 + 3


@given(
    st.lists(st.sampled_from([LOWEST, LOWEST + 1, -1, 0, HIGHEST - 1, HIGHEST]), unique=True),
    st.sampled_from([None, LOWEST, LOWEST + 1, 0, HIGHEST - 1, HIGHEST]),
    st.sampled_from([None, LOWEST, LOWEST + 1, 0, HIGHEST - 1, HIGHEST]),
)
def test_the_extremes_are_numbers_like_any_other(given: list[int], low: int | None, high: int | None) -> None:
    postings = Postings(2, 2)
    for number in given:
        postings.add(KEY, order(number) + b"\xff\xff")
        postings.add(KEY, order(number) + b"\0\0")

    expected = [number for number in given if (low is None or low <= number) and (high is None or number <= high)]
    assert postings.between(KEY, low, high) == [b"\0\0", b"\xff\xff"] * len(expected)
    for number in given:
        postings.remove(KEY, order(number) + b"\xff\xff")
    postings._check([(KEY, order(number) + b"\0\0") for number in given])


@FORMS
@pytest.mark.parametrize("expected", [[1, 2], [1, 2, 3, 4], [1, 2, 4]])
def test_check_sees_what_is_wrong(chunk_max: int, expected: list[int]) -> None:
    """The check can fail: a missing item, one too many, a wrong one."""
    postings = filed([1, 2, 3], chunk_max)
    postings._entries = len(expected)
    with pytest.raises(AssertionError, match="items of"):
        postings._check([(KEY, item_of(number)) for number in expected])


def test_check_sees_a_key_too_many() -> None:
    with pytest.raises(AssertionError, match=r"^keys: found"):
        filed([1])._check([])


def test_check_sees_a_key_that_is_missing() -> None:
    with pytest.raises(AssertionError, match=r"^keys: found"):
        filed([])._check([(KEY, item_of(1))])


def test_check_sees_a_key_that_is_kept_twice() -> None:
    postings = filed([1])
    postings._long[KEY] = [item_of(1)]

    with pytest.raises(AssertionError, match="twice"):
        postings._check([(KEY, item_of(1))])


def test_check_sees_a_wrong_count() -> None:
    postings = filed([1, 2])
    postings._entries = 3

    with pytest.raises(AssertionError, match="count of entries: found 3, expected 2"):
        postings._check([(KEY, item_of(1)), (KEY, item_of(2))])


@pytest.mark.parametrize(
    ("chunks", "reason"),
    [
        ([[1, 2], [], [3]], "empty chunks"),
        ([[1, 2, 3]], "too long"),
        ([[2, 1], [3]], "items of"),
        ([[3], [1, 2]], "items of"),
    ],
)
def test_check_sees_chunks_that_are_out_of_shape(chunks: list[list[int]], reason: str) -> None:
    postings = filed([1, 2, 3])
    postings._long[KEY] = [b"".join(map(item_of, numbers)) for numbers in chunks]

    with pytest.raises(AssertionError, match=reason):
        postings._check([(KEY, item_of(number)) for number in (1, 2, 3)])
