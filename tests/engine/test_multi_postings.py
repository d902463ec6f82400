"""Posting lists in which a row stands under any number of keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiondex.engine.invariants import DivergenceError
from sessiondex.engine.multi_postings import MultiPostings
from sessiondex.engine.postings import encode_sortable

KEYS = [b"a", b"b", b"c"]


def posting_of(stamp: int, row: int) -> bytes:
    return encode_sortable(stamp) + b"%d" % row


def listed(model: dict[int, tuple[int, tuple[bytes, ...]]], key: bytes) -> list[bytes]:
    """Return the rows under the key, newest first. The model has stamp and keys of each row."""
    found = sorted([(stamp, row) for row, (stamp, keys) in model.items() if key in keys], reverse=True)
    return [b"%d" % row for _, row in found]


steps = st.tuples(
    st.sampled_from(["put", "put", "move", "remove", "clear"]),
    st.integers(0, 5),
    st.lists(st.sampled_from(KEYS), unique=True).map(tuple),
)


@given(st.lists(steps, max_size=40), st.sampled_from([2, 3, 99]))
def test_agrees_with_a_dict_of_keys(steps: list[tuple[str, int, tuple[bytes, ...]]], postings_per_chunk: int) -> None:
    postings = MultiPostings(row_key_size=1, postings_per_chunk=postings_per_chunk)
    model: dict[int, tuple[int, tuple[bytes, ...]]] = {}
    for stamp, (action, row, keys) in enumerate(steps):
        old_stamp, old_keys = model.get(row, (None, ()))
        if action == "clear":
            postings.clear()
            model.clear()
        elif old_stamp is not None and action == "move":
            postings.move(old_keys, posting_of(old_stamp, row), posting_of(stamp, row))
            model[row] = stamp, old_keys
        else:
            if old_stamp is not None:
                postings.remove(old_keys, posting_of(old_stamp, row))
                del model[row]
            if action == "put":
                postings.add(keys, posting_of(stamp, row))
                model[row] = stamp, keys
        postings.check([(keys, posting_of(stamp, row)) for row, (stamp, keys) in model.items()])

    for key in KEYS:
        assert postings.newest_of((key,), 9) == listed(model, key)
        assert postings.count(key) == len(listed(model, key))
    assert len(postings) == sum(1 for key in KEYS if listed(model, key))
    assert postings.posting_count == sum(len(keys) for _, keys in model.values())


@pytest.mark.parametrize("filed", [(b"a",), (b"a", b"c"), (b"a", b"b", b"c"), ()])
def test_check_finds_a_row_under_other_keys_than_expected(filed: tuple[bytes, ...]) -> None:
    postings = MultiPostings(row_key_size=1)
    postings.add(filed, posting_of(1, 1))

    with pytest.raises(DivergenceError):
        postings.check([((b"a", b"b"), posting_of(1, 1))])
