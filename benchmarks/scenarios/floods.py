"""Measure whether ids that an attacker chose slow the store down.

The hash of a UUID is that of its number, modulo a known prime. So anyone can make thousands of ids with the same hash,
and a dict by UUID compares each of them with all before it. Sessions with such ids and with random ids go into two
stores in turns, and are looked up in turns.
"""

import random
import sys
from dataclasses import dataclass
from functools import partial
from itertools import islice
from uuid import UUID

from benchmarks.measure.progress import Progress
from benchmarks.measure.timing import timed, yield_to_loop
from benchmarks.scenarios.sessions import Population
from sessiondex import InMemorySessionStore, Session

_BATCH_SIZE = 250
_FIELDS = {"session": "session_id", "customer": "customer_profile_id"}


@dataclass(frozen=True)
class Flood:
    """Colliding ids of one kind against random ids: seconds for all of them."""

    kind: str
    ids: int
    insert_colliding: float
    insert_random: float
    lookup_colliding: float
    lookup_random: float


def colliding_ids(count: int) -> list[UUID]:
    """Return different UUIDs that all have the same hash.

    >>> ids = colliding_ids(1000)
    >>> len(set(ids)), len({hash(one) for one in ids})
    (1000, 1)
    """
    return [UUID(int=1 + number * sys.hash_info.modulus) for number in range(count)]


async def run(count: int, seed: int, progress: Progress) -> list[Flood]:
    """Measure colliding session ids and colliding customer ids."""
    return [await _flood(kind, count, seed, progress) for kind in _FIELDS]


async def _flood(kind: str, count: int, seed: int, progress: Progress) -> Flood:
    rng = random.Random(f"flood {seed}")
    ids = [colliding_ids(count), [UUID(int=rng.getrandbits(128)) for _ in range(count)]]
    for each in ids:
        rng.shuffle(each)
    stores: list[InMemorySessionStore[Session]] = [InMemorySessionStore(), InMemorySessionStore()]
    insert_ns, lookup_ns = [0, 0], [0, 0]
    sessions = iter(Population(count, seed))
    tenant_id = UUID(int=rng.getrandbits(128))
    with progress.stage(f"{count:,} {kind} ids that collide", 2 * count) as advance:
        for start in range(0, count, _BATCH_SIZE):
            batch = list(islice(sessions, _BATCH_SIZE))
            for number, store in enumerate(stores):
                for session, id_ in zip(batch, ids[number][start : start + _BATCH_SIZE], strict=True):
                    session.tenant_id = tenant_id
                    setattr(session, _FIELDS[kind], id_)
                insert_ns[number] += (await timed(partial(store.save_many, batch)))[0]
            advance(len(batch))
            await yield_to_loop()
        for position in range(count):
            for number, store in enumerate(stores):
                id_ = ids[number][position]
                find = partial(store.get, id_) if kind == "session" else partial(store.list_by_customer, tenant_id, id_)
                nanoseconds, found = await timed(find)
                assert found
                lookup_ns[number] += nanoseconds
            advance(1)
            await yield_to_loop()
    return Flood(kind, count, *[round(nanoseconds / 1e9, 6) for nanoseconds in insert_ns + lookup_ns])
