"""LRUCache, without a store."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sessiondex.stores.lru_cache import LRUCache

keys = st.sampled_from([b"a", b"b", b"c", b"d", b"e"])


def test_a_key_qualifies_at_its_second_read() -> None:
    cache = LRUCache[int](10)

    assert [cache.qualifies(b"a"), cache.qualifies(b"b"), cache.qualifies(b"a")] == [False, False, True]


def test_a_discarded_key_needs_two_reads_again() -> None:
    """Discarding, as a save does, forgets the value and the first read."""
    cache = LRUCache[int](10)
    cache.qualifies(b"a")
    cache.discard(b"a")

    assert [cache.qualifies(b"a"), cache.qualifies(b"a")] == [False, True]
    cache.put(b"a", 1)
    cache.discard(b"a")
    assert (cache.get(b"a"), cache.qualifies(b"a")) == (None, False)


def test_a_cache_of_size_0_keeps_nothing() -> None:
    cache = LRUCache[int](0)

    assert [cache.qualifies(b"a") for _ in range(3)] == [False, False, False]
    assert len(cache) == 0


def test_a_cleared_cache_is_empty() -> None:
    cache = LRUCache[int](10)
    cache.qualifies(b"b")
    cache.put(b"a", 1)
    cache.clear()

    assert (list(cache), b"a" in cache, cache.qualifies(b"b")) == ([], False, False)


@given(st.lists(st.tuples(st.sampled_from(["put", "get", "peek", "discard"]), keys)), st.integers(1, 4))
def test_a_cache_agrees_with_a_list_of_keys(steps: list[tuple[str, bytes]], max_size: int) -> None:
    """The least recently read key is evicted; peeking is no read."""
    cache, values, order = LRUCache[int](max_size), dict[bytes, int](), list[bytes]()
    for number, (action, key) in enumerate(steps):
        others = [other for other in order if other != key]
        if action == "put":
            cache.put(key, number)
            values[key] = number
            order = [*others, key][-max_size:]
        elif action == "discard":
            cache.discard(key)
            order = others
        else:
            expected = values[key] if key in order else None
            assert (cache.get(key) if action == "get" else cache.peek(key)) == expected
            if action == "get" and key in order:
                order = [*others, key]
        assert list(cache) == order


@given(st.lists(st.integers(0, 9).map(lambda number: b"%d" % number), max_size=60), st.integers(1, 4))
def test_first_reads_are_remembered_for_one_to_two_generations(reads: list[bytes], max_size: int) -> None:
    """A key qualifies if its first read is among the last `max_size`, and never if not among the last twice as many."""
    cache = LRUCache[int](max_size)
    first_reads: list[bytes] = []
    for key in reads:
        qualifies = cache.qualifies(key)

        assert qualifies or key not in first_reads[-max_size:]
        assert not qualifies or key in first_reads[-2 * max_size :]
        if not qualifies:
            first_reads.append(key)
