"""All cases of the kit, one file per subject."""

from collections.abc import Iterator
from types import ModuleType

from sessiondex.testing.case import Case
from sessiondex.testing.cases import (
    arguments,
    bulk,
    channels,
    counts,
    creation,
    erasure,
    eviction,
    feed,
    get_many,
    isolation,
    life_cycle,
    own_fields,
    own_indexes,
    pages,
    queries,
    quiet_saves,
    revisions,
    saves,
    steps,
    subclasses,
    tenants,
    transfer,
    turns,
    values,
    whole_tenant,
    writes,
)


def _cases_of(module: ModuleType) -> Iterator[Case]:
    """Yield the cases that the module declares, single or in tuples, in the order of the file."""
    for value in vars(module).values():
        if isinstance(value, Case):
            yield value
        elif isinstance(value, tuple):
            yield from (item for item in value if isinstance(item, Case))


_SUBJECTS = (
    saves,
    queries,
    channels,
    isolation,
    bulk,
    values,
    own_fields,
    own_indexes,
    tenants,
    steps,
    subclasses,
    arguments,
    life_cycle,
    revisions,
    writes,
    quiet_saves,
    creation,
    turns,
    pages,
    whole_tenant,
    get_many,
    counts,
    erasure,
    eviction,
    feed,
    transfer,
)

CASES: tuple[Case, ...] = tuple(case for subject in _SUBJECTS for case in _cases_of(subject))
"""Every case of the kit."""
