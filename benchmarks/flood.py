"""Whether ids that an attacker chose slow the store down.

The hash of a UUID is that of its number, modulo a known prime. So anyone can make ids by the thousand that all have the
same hash, and in a dict by UUID each of them is compared with all before it. Here sessions with such ids, and others
with random ones, go into two stores by turns, and are looked up by turns.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from uuid import UUID

from benchmarks.measure import listen, timed
from benchmarks.progress import Progress
from benchmarks.sessions import Population
from sessiondex import InMemorySessionStore, Session

IDS = 20_000
_BATCH = 250
SESSION, CUSTOMER = "session", "customer"
_FIELDS = {SESSION: "session_id", CUSTOMER: "customer_profile_id"}


@dataclass(frozen=True)
class Flood:
    """Crafted ids of one kind against random ones: seconds for all, each of the two in a store of its own."""

    kind: str
    ids: int
    insert_crafted: float
    insert_random: float
    look_up_crafted: float
    look_up_random: float

    @property
    def insert_ratio(self) -> float:
        """How many times longer crafted ids take to insert."""
        return self.insert_crafted / self.insert_random

    @property
    def look_up_ratio(self) -> float:
        """How many times longer crafted ids take to look up."""
        return self.look_up_crafted / self.look_up_random


def crafted(count: int) -> list[UUID]:
    """Return different UUIDs that all have the same hash.

    >>> ids = crafted(1000)
    >>> len(set(ids)), len({hash(one) for one in ids})
    (1000, 1)
    """
    return [UUID(int=1 + number * sys.hash_info.modulus) for number in range(count)]


async def run(seed: int, progress: Progress, count: int = IDS) -> list[Flood]:
    """Return what crafted session ids and crafted customer ids cost."""
    with progress.stage(f"{count:,} ids that collide", 4 * count) as advance:
        return [await _flood(kind, seed, count, advance) for kind in (SESSION, CUSTOMER)]


async def _flood(kind: str, seed: int, count: int, advance: Callable[[int], None]) -> Flood:
    rng = random.Random(f"flood {seed}")
    ids = {"crafted": crafted(count), "random": [UUID(int=rng.getrandbits(128)) for _ in range(count)]}
    for some in ids.values():
        rng.shuffle(some)
    stores: dict[str, InMemorySessionStore[Session]] = {name: InMemorySessionStore() for name in ids}
    inserting, looking = dict.fromkeys(ids, 0), dict.fromkeys(ids, 0)
    sessions = iter(Population(count, seed))
    tenant_id = UUID(int=rng.getrandbits(128))
    for start in range(0, count, _BATCH):
        batch = list(islice(sessions, _BATCH))
        for name, store in stores.items():
            for session, id_ in zip(batch, ids[name][start : start + _BATCH], strict=True):
                session.tenant_id = tenant_id
                setattr(session, _FIELDS[kind], id_)
            inserting[name] += (await timed(partial(store.save_many, batch)))[0]
        advance(_BATCH)
        await listen()
    for start in range(0, count, _BATCH):
        for name, store in stores.items():
            some = ids[name][start : start + _BATCH]
            looking[name] += (await timed(partial(_look_up, store, kind, tenant_id, some)))[0]
        advance(_BATCH)
        await listen()
    seconds = [round(took[name] / 1e9, 3) for took in (inserting, looking) for name in ids]
    return Flood(kind, count, *seconds)


async def _look_up(store: InMemorySessionStore[Session], kind: str, tenant_id: UUID, ids: Sequence[UUID]) -> None:
    for id_ in ids:
        if kind == SESSION:
            assert await store.get(id_)
        else:
            assert await store.list_by_customer(tenant_id, id_)
