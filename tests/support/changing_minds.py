"""Sessions that can be made unreadable: their class accepts them when they are saved, and refuses them later."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from pydantic import AfterValidator

from sessiondex import Session

_refused: set[str] = set()


def _check(value: str) -> str:
    if value in _refused:
        raise ValueError("is refused today")
    return value


class Fickle(Session):
    """A session that is unreadable while its `word` is refused."""

    word: Annotated[str, AfterValidator(_check)] = ""


@contextmanager
def refused(*words: str) -> Iterator[None]:
    """Refuse these words for a while."""
    _refused.update(words)
    try:
        yield
    finally:
        _refused.difference_update(words)
