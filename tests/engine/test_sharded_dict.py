"""A dict in shards."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sessiondex.engine.sharded_dict import ShardedDict

keys = st.binary(max_size=2)
shard_counts = st.sampled_from([1, 2, 4, 64])


@given(st.lists(st.tuples(st.sampled_from(["set", "del"]), keys, st.integers())), shard_counts)
def test_agrees_with_a_dict(steps: list[tuple[str, bytes, int]], shard_count: int) -> None:
    """Keys that are set and deleted through their shard are found, counted and listed as in one dict."""
    numbers, expected = ShardedDict[int](shard_count), dict[bytes, int]()
    for action, key, value in steps:
        if action == "set":
            numbers.shard(key)[key] = expected[key] = value
        else:
            numbers.shard(key).pop(key, None)
            expected.pop(key, None)
        assert numbers.get(key) == expected.get(key)
        assert (key in numbers) == (key in expected)
        assert numbers.shards[hash(key) & numbers.mask] is numbers.shard(key)

    assert len(numbers) == len(expected)
    assert sorted(numbers) == sorted(expected)
    assert dict(numbers.items()) == expected
    assert len(list(numbers.items())) == len(expected)


def test_reading_a_missing_key_creates_nothing() -> None:
    numbers = ShardedDict[int]()

    assert numbers.get(b"one") is None
    assert b"one" not in numbers
    assert (len(numbers), list(numbers)) == (0, [])


def test_keys_are_spread_over_all_shards() -> None:
    """No shard holds much more than its share, or else it would take long to grow."""
    numbers = ShardedDict[int](4)
    for number in range(4_000):
        key = b"%d" % number
        numbers.shard(key)[key] = number

    assert all(700 < len(shard) < 1_300 for shard in numbers.shards)


def test_clearing_keeps_the_shards() -> None:
    """Those who index the shards themselves see the cleared dict."""
    numbers = ShardedDict[int](4)
    shards = numbers.shards
    numbers.shard(b"one")[b"one"] = 1
    numbers.clear()
    numbers.shard(b"two")[b"two"] = 2

    assert list(numbers) == [b"two"]
    assert shards[hash(b"two") & numbers.mask] == {b"two": 2}


@given(st.sets(keys), shard_counts, st.integers(1, 5))
def test_pages_list_each_key_once(present: set[bytes], shard_count: int, limit: int) -> None:
    """A page begins strictly after the last key of the page before, and is full unless it is the last."""
    numbers, pages = ShardedDict[int](shard_count), list[list[bytes]]()
    for key in present:
        numbers.shard(key)[key] = 0
    while page := numbers.page(pages[-1][-1] if pages else None, limit):
        pages.append(page)

    assert sorted(key for page in pages for key in page) == sorted(present)
    assert all(len(page) == limit for page in pages[:-1])


@given(st.sets(keys), keys, st.sets(keys), shard_counts)
def test_a_page_is_the_same_whatever_was_added_and_removed_before_it(
    present: set[bytes], after: bytes, others: set[bytes], shard_count: int
) -> None:
    """The key that a page follows may be gone, and keys keep their order."""
    numbers = ShardedDict[int](shard_count)
    for key in present | others | {after}:
        numbers.shard(key)[key] = 0
    everything = numbers.page(None, 10_000)
    for key in (others | {after}) - present:
        del numbers.shard(key)[key]

    follow = everything[everything.index(after) + 1 :]
    assert numbers.page(after, 10_000) == [key for key in follow if key in present]


def test_a_page_of_none_is_empty() -> None:
    numbers = ShardedDict[int]()
    numbers.shard(b"one")[b"one"] = 1

    assert numbers.page(None, 0) == []
