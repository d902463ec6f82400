"""A process that saves to a journal under load and says what was acknowledged, until it is killed.

    python -m tests.support.journal_child PATH LEVEL

Each line that it prints is a JSON array: what was begun, or what was done, and the number of the call. Calls are
numbered, and a call with the number n stores n in sessions, so that what is found shows which calls it came from.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any
from uuid import UUID

from sessiondex import InMemorySessionStore
from sessiondex.stores import slices
from sessiondex.stores.sqlite import SQLiteJournal
from tests.support.builders import TENANT, make_session

SESSIONS = 40
TASKS = 8
_BATCH = 3


def id_of(place: int) -> UUID:
    return UUID(int=place + 1)


def written(place: int, number: int) -> Any:
    """Return the session at that place as the call of that number saves it."""
    return make_session(session_id=id_of(place), tenant_id=TENANT, user_channel_id=f"user-{place}", turn_count=number)


async def work(store: Any, say: Callable[[str, int, list[int]], None], numbers: Any, rng: random.Random) -> None:
    """Save, delete and save batches without end. A task has places of its own, so that its calls have an order."""
    task = next(numbers) % TASKS
    places = range(task, SESSIONS, TASKS)
    while True:
        number = next(numbers)
        kind = rng.choice(["save", "save", "save", "batch", "delete"])
        some = rng.sample(places, _BATCH if kind == "batch" else 1)
        say(f"begin {kind}", number, some)
        call: Awaitable[Any]
        if kind == "delete":
            call = store.delete(id_of(some[0]))
        elif kind == "batch":
            call = store.save_many([written(place, number) for place in some])
        else:
            call = store.save(written(some[0], number))
        await call
        say("done", number, some)
        await asyncio.sleep(rng.random() / 2_000)


async def main(path: str, level: Any) -> None:
    rng, numbers = random.Random(os.getpid()), count()

    def say(what: str, number: int, places: list[int]) -> None:
        os.write(1, json.dumps([what, number, places]).encode() + b"\n")  # at once: a kill loses nothing of it

    slices.SLICE_SECONDS = 1_000  # so that calls commit in the order in which they begin
    store = InMemorySessionStore[Any](journal=SQLiteJournal(path, durability=level), cache_size=0)
    async with store, asyncio.TaskGroup() as group:
        for _ in range(TASKS):
            group.create_task(work(store, say, numbers, rng))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
