"""Load the same sessions, with the same stamps, into several stores at once."""

import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Iterable
from contextlib import asynccontextmanager
from typing import NamedTuple

from benchmarks.measure.clock import SteppedClock
from benchmarks.measure.progress import Progress
from benchmarks.measure.timing import yield_to_loop
from benchmarks.scenarios.sessions import Population, SessionKeys, keys_of
from benchmarks.stores.deepcopy import DeepCopyingDict
from benchmarks.stores.sqlite import SQLiteStore
from benchmarks.stores.subjects import KINDS, LIVE, Subject, make_subjects
from sessiondex import Session

_BATCH_SIZE = 250


class Loaded(NamedTuple):
    """The subjects by name, all with the same sessions, and the keys of the sessions by their position."""

    subjects: dict[str, Subject]
    keys: dict[int, SessionKeys]


@asynccontextmanager
async def load(
    names: Iterable[str], population: Population, progress: Progress, wanted: Container[int] | None = None
) -> AsyncIterator[Loaded]:
    """Load the population into new stores; keep the keys of the `wanted` positions, or of all."""
    async with load_into(make_subjects(names, SteppedClock()), _put, population, progress, wanted) as loaded:
        yield loaded


@asynccontextmanager
async def load_into(
    subjects_by_name: dict[str, Subject],
    put: Callable[[Session, Subject], Awaitable[None]],
    population: Population,
    progress: Progress,
    wanted: Container[int] | None = None,
) -> AsyncIterator[Loaded]:
    """Load the population into these stores, each session by calling `put`; otherwise as `load` does.

    While this context is open, the garbage collector ignores what was loaded: in the calls of one store it would
    otherwise visit the sessions of all stores.
    """
    loaded = Loaded(subjects_by_name, {})
    subjects = list(loaded.subjects.values())
    databases = [subject.store.database for subject in subjects if isinstance(subject.store, SQLiteStore)]
    gc.disable()  # it would take a third of the time while live sessions accumulate
    try:
        for database in databases:
            database.execute("BEGIN")  # one transaction halves the time
        with progress.stage(f"{population.size:,} sessions: load", population.size) as advance:
            for position, session in enumerate(population):
                subjects[0].clock.tick()
                if wanted is None or position in wanted:
                    loaded.keys[position] = keys_of(session)
                for subject in subjects:
                    await put(session, subject)
                if position % _BATCH_SIZE == _BATCH_SIZE - 1:
                    advance(_BATCH_SIZE)
                    await yield_to_loop()
        for database in databases:
            database.execute("COMMIT")
    finally:
        gc.enable()
    gc.collect()
    gc.freeze()
    try:
        yield loaded
    finally:
        gc.unfreeze()


async def _put(session: Session, subject: Subject) -> None:
    """Store the session; stores that keep the object get a copy, or a change in one would be a change in all."""
    if isinstance(subject.store, DeepCopyingDict):
        await subject.store.adopt(_copied(session))
    elif KINDS[subject.name].hands_out == LIVE:
        await subject.store.save(_copied(session))
    else:
        await subject.store.save(session)


def _copied(session: Session) -> Session:
    own = session.model_copy()
    for name, value in own:
        if isinstance(value, list | dict):
            own.__dict__[name] = value.copy()
    return own
