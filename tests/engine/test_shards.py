"""A dict in parts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sessiondex.engine.shards import ShardedDict

keys = st.binary(max_size=2)


@given(st.lists(st.tuples(st.sampled_from(["set", "del"]), keys, st.integers())), st.sampled_from([1, 2, 4, 64]))
def test_agrees_with_a_dict(steps: list[tuple[str, bytes, int]], shards: int) -> None:
    """Whatever is set and deleted through the shard of its key is found, counted and listed as in one dict."""
    numbers, expected = ShardedDict[int](shards), dict[bytes, int]()
    for action, key, value in steps:
        if action == "set":
            numbers.shard(key)[key] = expected[key] = value
        else:
            numbers.shard(key).pop(key, None)
            expected.pop(key, None)
        assert numbers.get(key) == expected.get(key)
        assert (key in numbers) == (key in expected)

    assert len(numbers) == len(expected)
    assert sorted(numbers) == sorted(expected)
    assert dict(numbers.items()) == expected
    assert len(list(numbers.items())) == len(expected)


def test_reading_a_missing_key_creates_nothing() -> None:
    numbers = ShardedDict[int]()

    assert numbers.get(b"one") is None
    assert b"one" not in numbers
    assert (len(numbers), list(numbers)) == (0, [])


def test_keys_are_spread_over_all_parts() -> None:
    """No part has to hold much more than its share, or else it would be long in growing."""
    numbers = ShardedDict[int](4)
    for number in range(4_000):
        key = b"%d" % number
        numbers.shard(key)[key] = number

    assert all(700 < len(shard) < 1_300 for shard in numbers._shards)
