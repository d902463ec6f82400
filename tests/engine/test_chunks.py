"""Chunks of fixed-width items."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiondex.engine.chunks import inserted, position, removed

# Of two byte values only, so that the bytes of an item often occur across two others.
items = st.lists(st.text("ab", min_size=3, max_size=3).map(str.encode), unique=True)
item = st.text("ab", min_size=3, max_size=3).map(str.encode)


@given(items, st.text("ab", max_size=4).map(str.encode))
def test_a_position_is_where_a_sorted_list_would_insert(present: list[bytes], wanted: bytes) -> None:
    """It also accepts keys that are shorter or longer than an item."""
    assert position(b"".join(sorted(present)), wanted, 3) == 3 * len([one for one in present if one < wanted])


@given(items, item)
def test_inserting_and_removing_agree_with_a_sorted_list(present: list[bytes], new: bytes) -> None:
    others = sorted(set(present) - {new})
    chunk = b"".join(sorted({*present, new}))

    assert inserted(b"".join(others), new, 3) == chunk
    assert removed(chunk, new, 3) == b"".join(others)


@given(items, item)
def test_removing_a_missing_item_is_a_key_error(present: list[bytes], missing: bytes) -> None:
    """Even if its bytes occur across two items."""
    with pytest.raises(KeyError):
        removed(b"".join(sorted(set(present) - {missing})), missing, 3)


def test_an_item_is_not_mistaken_for_the_end_of_one_and_the_start_of_the_next() -> None:
    assert removed(b"abababbab", b"bab", 3) == b"ababab"
    with pytest.raises(KeyError):
        removed(b"abaabb", b"aab", 3)
