"""The long list, with chunks so small that they split and join all the time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sessiondex.engine.chunked_list import ChunkedList

ALL = list(range(40))
BEYOND = b"\xff" * 3


def item_of(number: int) -> bytes:
    """Return an item of two bytes."""
    return number.to_bytes(2, "big")


def list_of(numbers: Iterable[int], items_per_chunk: int = 4) -> ChunkedList:
    chunked = ChunkedList(2, 2 * items_per_chunk)
    for number in numbers:
        chunked.add(item_of(number))
    return chunked


def numbers_in(items: bytes) -> list[int]:
    return [int.from_bytes(items[at : at + 2], "big") for at in range(0, len(items), 2)]


def lengths(chunked: ChunkedList) -> list[int]:
    """Return the number of items in each chunk."""
    return [len(chunked._chunks[bound]) // 2 for bound in chunked._bounds]


steps = st.lists(
    st.tuples(st.sampled_from(["add", "add", "add", "remove", "move", "move newest"]), st.integers(0, 60)),
    max_size=120,
)


@given(steps, st.sampled_from([2, 3, 4, 5, 8]))
@example([("add", number) for number in (*range(20, 40), *range(20))], 2)
@example([("add", number) for number in reversed(range(40))], 2)
@example([("add", number) for number in range(40)] + [("remove", number) for number in range(40)], 4)
@example([("add", number) for number in range(10)] + [("remove", 4), ("add", 4)], 4)  # a bound that is not an item
def test_agrees_with_a_plain_sorted_list(steps: list[tuple[str, int]], items_per_chunk: int) -> None:
    """After each step the items are the same, in the same order, in sound chunks."""
    chunked, expected = list_of([], items_per_chunk), list[int]()
    for action, number in steps:
        present = expected[number % len(expected)] if expected else None
        if action == "add" and number not in expected:
            chunked.add(item_of(number))
            expected.append(number)
        elif action == "remove" and present is not None:
            chunked.remove(item_of(present))
            expected.remove(present)
        elif action == "move" and present is not None and number not in expected:
            chunked.move(item_of(present), item_of(number))
            expected[expected.index(present)] = number
        elif action == "move newest" and expected and 61 + number not in expected:
            chunked.move(item_of(expected.pop()), item_of(61 + number))
            expected.append(61 + number)
        expected.sort()
        chunked.check()
        assert numbers_in(chunked.joined()) == expected

    assert len(chunked) == len(expected)
    assert chunked.first() == b"".join(map(item_of, expected[:1]))
    assert chunked.last() == b"".join(map(item_of, expected[-1:]))


numbers = st.lists(st.integers(0, 30), unique=True, max_size=25)
removals = st.sets(st.integers(0, 30))
bounds = st.none() | st.integers(0, 31)


def list_after_removals(added: list[int], removed: set[int], items_per_chunk: int) -> tuple[ChunkedList, list[int]]:
    """Return a list whose bounds are often not items, and the numbers that are left."""
    chunked = list_of(added, items_per_chunk)
    for number in removed & set(added):
        chunked.remove(item_of(number))
    return chunked, sorted(set(added) - removed)


@given(numbers, removals, bounds, bounds, st.integers(0, 26), st.sampled_from([2, 3, 8]))
@example(ALL[:20], {4, 5, 6}, 7, 3, 10, 4)
def test_a_page_agrees_with_a_filter(  # noqa: PLR0917  # one for each strategy
    added: list[int], removed: set[int], before: int | None, cutoff: int | None, limit: int, items_per_chunk: int
) -> None:
    """The newest are those before one item and not below another, in all states of the chunks."""
    chunked, left = list_after_removals(added, removed, items_per_chunk)
    wanted = [n for n in left if (before is None or n < before) and (cutoff is None or n >= cutoff)]
    encoded = [None if number is None else item_of(number) for number in (before, cutoff)]

    assert numbers_in(chunked.newest(limit, *encoded)) == (wanted[-limit:] if limit else [])
    chunks = list(chunked.newest_chunks(*encoded))
    assert b"" not in chunks
    assert numbers_in(b"".join(reversed(chunks))) == wanted


@given(numbers, removals, st.integers(0, 31), st.integers(0, 31), st.sampled_from([2, 3, 8]))
def test_a_range_agrees_with_a_filter(
    added: list[int], removed: set[int], low: int, high: int, items_per_chunk: int
) -> None:
    """The lower end is included, the upper one is not."""
    chunked, left = list_after_removals(added, removed, items_per_chunk)

    assert numbers_in(chunked.between(item_of(low), item_of(high))) == [n for n in left if low <= n < high]
    assert numbers_in(chunked.between(b"", BEYOND)) == left


@given(st.lists(st.integers(0, 3 * 256), unique=True, max_size=20), st.integers(0, 3), st.sampled_from([2, 3, 8]))
def test_a_prefix_is_found_in_all_states_of_the_chunks(added: list[int], prefix: int, items_per_chunk: int) -> None:
    chunked = list_of(added, items_per_chunk)

    assert chunked.has_prefix(bytes([prefix])) == any(number // 256 == prefix for number in added)


def test_an_item_below_all_others_belongs_to_the_first_chunk() -> None:
    """The lowest chunk is split later: without a bound below it, one half would replace the other."""
    chunked = list_of(range(20, 40))
    for number in reversed(range(20)):
        chunked.add(item_of(number))
        chunked.check()

    assert numbers_in(chunked.joined()) == ALL


@pytest.mark.parametrize("items_per_chunk", [2, 3, 4])
def test_added_in_order_chunks_are_full(items_per_chunk: int) -> None:
    """Where each item is the newest, no chunk but the last has room left."""
    filled = lengths(list_of(range(40), items_per_chunk))

    assert set(filled[:-1]) == {items_per_chunk}
    assert sum(filled) == 40


def test_a_full_chunk_is_split_in_halves_by_an_item_in_the_middle() -> None:
    chunked = list_of([10, 20, 30, 40, 50])
    assert lengths(chunked) == [4, 1]
    chunked.add(item_of(25))

    assert lengths(chunked) == [2, 3, 1]


def test_a_chunk_that_became_short_is_joined_with_the_following_one() -> None:
    """Up to half of a chunk: the next items would split more again."""
    chunked = list_of(range(16), items_per_chunk=8)
    chunked.add(item_of(16))
    shapes = []
    for number in (15, 14, 13, 12, 11, 10, 9, 0, 1, 2, 3, 4, 5):
        chunked.remove(item_of(number))
        shapes.append(lengths(chunked))

    assert shapes[4:7] == [[8, 3, 1], [8, 3], [8, 2]]
    assert shapes[-2:] == [[3, 2], [4]]


def test_an_emptied_chunk_is_removed_wherever_it_is() -> None:
    for chunk in (range(4), range(4, 8), range(8, 12)):
        chunked = list_of(range(12))
        for number in chunk:
            chunked.remove(item_of(number))
            chunked.check()
        assert lengths(chunked) == [4, 4]


def test_after_the_last_chunk_is_gone_the_newest_items_go_to_the_one_before() -> None:
    chunked = list_of(range(9))
    chunked.remove(item_of(8))
    chunked.add(item_of(10))
    chunked.move(item_of(10), item_of(11))
    chunked.check()

    assert numbers_in(chunked.newest(3)) == [6, 7, 11]


def test_an_empty_list_reads_as_empty_and_can_be_filled_again() -> None:
    chunked = list_of(range(9))
    for number in range(9):
        chunked.remove(item_of(number))
    chunked.check()
    assert (len(chunked), chunked.first(), chunked.last(), chunked.joined(), lengths(chunked)) == (
        0,
        b"",
        b"",
        b"",
        [0],
    )
    assert (chunked.newest(5), chunked.between(b"", BEYOND), chunked.has_prefix(b"\0")) == (b"", b"", False)
    assert (chunked.newest(5, item_of(3)), chunked.newest(5, None, item_of(3))) == (b"", b"")

    chunked.add(item_of(7))
    assert numbers_in(chunked.joined()) == [7]


@pytest.mark.parametrize("number", [0, 4, 99])
def test_removing_or_moving_a_missing_item_is_a_key_error_and_changes_nothing(number: int) -> None:
    chunked = list_of([1, 2, 3, 5, 6, 7, 8])
    with pytest.raises(KeyError):
        chunked.remove(item_of(number))
    for new in (10, 9, 0):
        with pytest.raises(KeyError):
            chunked.move(item_of(number), item_of(new))

    chunked.check()
    assert numbers_in(chunked.joined()) == [1, 2, 3, 5, 6, 7, 8]


class Watched(dict[bytes, bytes]):
    """Chunks that count how many were read."""

    reads = 0

    def __getitem__(self, bound: bytes) -> bytes:
        self.reads += 1
        return super().__getitem__(bound)


@pytest.mark.parametrize(
    "read",
    [
        lambda chunked: chunked.newest(8),
        lambda chunked: chunked.newest(8, item_of(500)),
        lambda chunked: chunked.newest(999, item_of(500), item_of(492)),
        lambda chunked: chunked.between(item_of(492), item_of(500)),
        lambda chunked: chunked.has_prefix(item_of(500)),
        lambda chunked: chunked.move(item_of(500), item_of(1_000)),
    ],
)
def test_other_chunks_are_not_read(read: Any) -> None:
    """A read or a change costs the same wherever it is in however long a list."""
    chunked = list_of(range(1_000))
    watched = chunked._chunks = Watched(chunked._chunks)
    read(chunked)

    assert 1 <= watched.reads <= 6


@pytest.mark.parametrize(
    ("chunks", "reason"),
    [
        ({b"": [1, 2], b"\0\x03": [], b"\0\x07": [7]}, "is empty"),
        ({b"": [1, 2, 3, 4, 5]}, "too long"),
        ({b"": [1, 2, 7], b"\0\x03": [3]}, "within its bounds"),
        ({b"": [1], b"\0\x03": [2]}, "within its bounds"),
        ({b"": [2, 1], b"\0\x03": [3]}, "order of items"),
        ({b"": [1, 1], b"\0\x03": [3]}, "order of items"),
        ({b"\0\1": [1, 2, 3]}, "bounds in order"),
    ],
)
def test_check_finds_chunks_that_break_a_rule(chunks: dict[bytes, list[int]], reason: str) -> None:
    chunked = list_of([1, 2, 3])
    chunked._chunks = {bound: b"".join(map(item_of, numbers)) for bound, numbers in chunks.items()}
    chunked._bounds.clear()
    chunked._bounds.update(chunks)
    chunked._last = chunked._bounds[-1]

    with pytest.raises(AssertionError, match=reason):
        chunked.check()


@pytest.mark.parametrize(
    ("attribute", "value", "reason"),
    [("_last", b"", "last bound"), ("_length", 4, "count of items"), ("_chunks", {b"": b""}, "bounds of chunks")],
)
def test_check_finds_a_wrong_record_of_the_chunks(attribute: str, value: Any, reason: str) -> None:
    chunked = list_of(range(5))
    setattr(chunked, attribute, value)

    with pytest.raises(AssertionError, match=reason):
        chunked.check()


def test_check_finds_an_item_of_another_width() -> None:
    chunked = list_of([1, 2])
    chunked._chunks[b""] += b"\xff"

    with pytest.raises(AssertionError, match="width of items"):
        chunked.check()
