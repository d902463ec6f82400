"""Posting lists to test with: under one key, of rows with a key of one byte."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from sessiondex.engine.postings import Postings, encode_sortable

KEY = b"key"
LOWEST, HIGHEST = -(2**63), 2**63 - 1
FORMS = pytest.mark.parametrize("postings_per_chunk", [99, 3, 2], ids=["one chunk", "chunks of 3", "chunks of 2"])


def posting_of(number: int) -> bytes:
    """Return the posting of a row with the number, and its last digit as key."""
    return encode_sortable(number) + b"%d" % (number % 10)


def postings_of(numbers: Iterable[int], postings_per_chunk: int = 2) -> Postings:
    postings = Postings(1, postings_per_chunk)
    for number in numbers:
        postings.add(KEY, posting_of(number))
    return postings
