"""All cases of the kit, by subject: a file for each."""

from collections.abc import Iterator
from types import ModuleType

from sessiondex.testing.case import Case
from sessiondex.testing.cases import (
    arguments,
    bulk,
    closing,
    counts,
    creating,
    eviction,
    feed,
    hostile,
    isolation,
    moving,
    pages,
    queries,
    revisions,
    saving,
    steps,
    subclasses,
    tenants,
    turns,
)


def _cases_of(module: ModuleType) -> Iterator[Case]:
    """Return what is declared in the module, one by one or in tuples, in the order of the file."""
    for value in vars(module).values():
        if isinstance(value, Case):
            yield value
        elif isinstance(value, tuple):
            yield from (item for item in value if isinstance(item, Case))


_SUBJECTS = (
    saving,
    queries,
    isolation,
    bulk,
    hostile,
    tenants,
    steps,
    subclasses,
    arguments,
    closing,
    revisions,
    creating,
    turns,
    pages,
    counts,
    eviction,
    feed,
    moving,
)

CASES: tuple[Case, ...] = tuple(one for subject in _SUBJECTS for one in _cases_of(subject))
"""Every case of the kit."""
