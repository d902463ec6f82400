"""Define a cell of the matrix: the outcome of a check, and what the check observed."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

YES = "yes"
BY_HAND = "by hand"
NO = "no"


@dataclass(frozen=True)
class Cell:
    """The outcome of one check of one subject.

    `lines` counts the service's own code that a "by hand" needs. `note` is a footnote of the table.
    """

    outcome: str
    observed: str
    lines: int | None = None
    note: str | None = None


def built_in(holds: bool, observed: str, note: str | None = None) -> Cell:
    """Return "yes" if the subject passed the check as it is, else "no"."""
    return Cell(YES if holds else NO, observed, note=note)


def by_hand(holds: bool, observed: str, *code: Callable[..., Any], note: str | None = None) -> Cell:
    """Return "by hand" with the lines of `code`, by which the subject passed the check, else "no"."""
    if not holds:
        return Cell(NO, observed, note=note)
    return Cell(BY_HAND, observed, sum(_lines(each) for each in code), note)


def absent(owner: type, *words: str) -> str:
    """Return that no public name or parameter of the class contains one of the words.

    Raises:
        AssertionError: there is such a name, so a newer version may have the feature and the check needs a review.
    """
    names = {name for name in dir(owner) if not name.startswith("_")}
    for name in list(names):
        if inspect.isfunction(method := inspect.getattr_static(owner, name)):
            names.update(inspect.signature(method).parameters)
    found = sorted(name for name in names if re.search("|".join(words), name, re.IGNORECASE))
    assert not found, f"{owner.__name__} has {found}: review the check"
    return f"{owner.__name__} has no public name or parameter with {' or '.join(map(repr, words))}"


def _lines(code: Callable[..., Any]) -> int:
    """Count the lines of code, without blank ones and docstrings."""
    source = inspect.getsource(code)
    assert "\n" not in (code.__doc__ or ""), "this counts docstrings of one line"
    return sum(1 for line in source.splitlines() if line.strip() and not line.strip().startswith(('"""', "#")))
