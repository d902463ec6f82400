"""Which sessions stay live."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sessiondex.stores.hot import Hot, Lately

keys = st.sampled_from([b"a", b"b", b"c", b"d", b"e"])


def filled(bound: int, *in_order: bytes) -> Hot[int]:
    hot = Hot[int](bound)
    for number, key in enumerate(in_order):
        hot.put(key, number)
    return hot


def test_reading_and_putting_count_as_use_and_peeking_does_not() -> None:
    hot = filled(4, b"a", b"b", b"c", b"d")
    assert hot.longest_unused == (b"a", 0)

    hot.get(b"a")
    assert hot.longest_unused == (b"b", 1)
    hot.put(b"b", 9)
    assert hot.longest_unused == (b"c", 2)
    assert (hot.peek(b"c"), b"c" in hot, list(hot)) == (2, True, [b"c", b"d", b"a", b"b"])
    assert hot.longest_unused == (b"c", 2)


def test_what_is_not_there_is_none() -> None:
    hot = filled(2, b"a")
    hot.discard(b"b")

    assert (hot.get(b"b"), hot.peek(b"b"), b"b" in hot, list(hot)) == (None, None, False, [b"a"])


def test_full_is_told_before_it_is_too_late() -> None:
    assert [filled(2, *some).is_full for some in ([], [b"a"], [b"a", b"b"], [b"a", b"b", b"c"])] == [0, 0, 1, 1]


def test_a_bound_of_nothing_is_full_from_the_start() -> None:
    assert filled(0).is_full


@given(st.lists(st.tuples(st.sampled_from(["put", "get", "peek", "discard"]), keys)), st.integers(1, 4))
def test_agrees_with_a_list_of_keys(steps: list[tuple[str, bytes]], bound: int) -> None:
    """Where the caller makes room, at most `bound` are kept, and it is the longest unused that goes."""
    hot, values, unused = Hot[int](bound), dict[bytes, int](), list[bytes]()
    for number, (action, key) in enumerate(steps):
        if action == "put":
            if key not in hot and hot.is_full:
                assert hot.longest_unused == (unused[0], values[unused[0]])
                hot.discard(unused.pop(0))
            hot.put(key, number)
            values[key] = number
            unused = [*[other for other in unused if other != key], key]
        elif action == "discard":
            hot.discard(key)
            unused = [other for other in unused if other != key]
        else:
            expected = values[key] if key in unused else None
            assert (hot.get(key) if action == "get" else hot.peek(key)) == expected
            if action == "get" and key in unused:
                unused = [*[other for other in unused if other != key], key]
        assert list(hot) == unused
        assert len(hot) == len(unused) <= bound


@given(st.lists(st.integers(0, 9).map(lambda number: b"%d" % number), max_size=60), st.integers(1, 4))
def test_a_key_is_known_again_among_the_latest_and_forgotten_after_twice_as_many(
    seen: list[bytes], memory: int
) -> None:
    """For sure among the last `memory` different keys, for sure not when it is not among the last twice `memory`."""
    lately = Lately(memory)
    latest: list[bytes] = []  # different ones, the last one used first
    for key in seen:
        again = lately.again(key)

        assert again or key not in latest[:memory]
        assert not again or key in latest[: 2 * memory]
        latest = [key, *[other for other in latest if other != key]]
        assert len(lately._now) + len(lately._before) <= 2 * memory


def test_without_a_memory_nothing_comes_again() -> None:
    lately = Lately(0)

    assert [lately.again(b"a") for _ in range(3)] == [False, False, False]
    assert not lately._now
