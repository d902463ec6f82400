"""Loading: the same sessions, with the same stamps, into all peers at once."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import NamedTuple

from benchmarks.clock import SteppedClock
from benchmarks.contestants import Contestant, Store
from benchmarks.measure import listen
from benchmarks.peers.deepcopy import DeepCopyingDict
from benchmarks.peers.peer import Peer
from benchmarks.peers.sqlite import SQLiteStore
from benchmarks.progress import Progress
from benchmarks.sessions import Population, SessionKeys, keys_of
from sessiondex import Session

_CHUNK = 250


class Loaded(NamedTuple):
    """The peers by name, with the same population in each, and the keys of its sessions in order."""

    field: dict[str, Contestant]
    keys: list[SessionKeys]


@asynccontextmanager
async def load(peers: Sequence[Peer], population: Population, progress: Progress) -> AsyncIterator[Loaded]:
    """Load the population into new stores, all told the time by one clock.

    For as long as this is open the garbage collector passes over what was loaded: it would else visit the sessions of
    all stores in the time of one.
    """
    clock = SteppedClock()
    keys: list[SessionKeys] = []
    field = {peer.name: Contestant(peer.name, peer.make(clock), clock) for peer in peers}
    gc.disable()  # among ever more live sessions it takes a third of the time
    try:
        with progress.stage(f"{population.size:,} sessions: load", population.size) as advance, _bulk(field.values()):
            for place, session in enumerate(population):
                clock.tick()
                keys.append(keys_of(session))
                for contestant in field.values():
                    await _put(session, contestant.store)
                if place % _CHUNK == _CHUNK - 1:
                    advance(_CHUNK)
                    await listen()
        gc.freeze()
    finally:
        gc.enable()
    try:
        yield Loaded(field, keys)
    finally:
        gc.unfreeze()


@contextmanager
def _bulk(group: Iterable[Contestant]) -> Iterator[None]:
    with ExitStack() as stack:
        for contestant in group:
            if isinstance(contestant.store, SQLiteStore):
                stack.enter_context(contestant.store.transaction())
        yield


async def _put(session: Session, store: Store) -> None:
    """Store a copy that the store may keep: a change of one store's would else be a change of all the others'."""
    own = session.model_copy()
    for name, value in own:
        if isinstance(value, list | dict):
            own.__dict__[name] = value.copy()
    if isinstance(store, DeepCopyingDict):
        await store.adopt(own)
    else:
        await store.save(own)
