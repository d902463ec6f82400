"""kill -9 under load: what was acknowledged is there, and what is there is a prefix of the commits."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sessiondex import InMemorySessionStore
from sessiondex.stores.sqlite import SQLiteJournal
from tests.support.journal_child import SESSIONS, id_of
from tests.support.sizes import IS_STRESS
from tests.support.stores import check_indexes

ROOT = Path(__file__).parents[2]
KILLS = 1_000 if IS_STRESS else 10
MAX_SECONDS = 0.3
"""From the first acknowledgement to the kill."""

State = dict[int, tuple[int, int]]
"""By the place of a session, the number of the call that saved it last, and its revision."""


class Call(NamedTuple):
    kind: str
    number: int
    places: list[int]


class Run(NamedTuple):
    """What a child began, in the order of its commits, and the numbers of the calls that it saw return."""

    begun: list[Call]
    done: set[int]

    def states_after(self, state: State) -> list[State]:
        """Return the state after no call, after the first, and so on."""
        states = [dict(state)]
        for call in self.begun:
            state = dict(states[-1])
            for place in call.places:
                if call.kind == "delete":
                    state.pop(place, None)
                else:
                    state[place] = call.number, state.get(place, (0, 0))[1] + 1
            states.append(state)
        return states

    def acknowledged(self) -> int:
        """Return how many calls were begun up to the last that returned."""
        return max((place for place, call in enumerate(self.begun, 1) if call.number in self.done), default=0)


async def run_and_kill(path: Path, level: str, rng: random.Random) -> Run:
    command = [sys.executable, "-m", "tests.support.journal_child", str(path), level]
    child = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    lines = [await child.stdout.readline()]
    reading = asyncio.create_task(child.stdout.read())
    await asyncio.sleep(rng.random() * MAX_SECONDS)
    child.send_signal(signal.SIGKILL)
    rest = await reading
    assert await child.wait() == -signal.SIGKILL
    lines += rest.splitlines()
    begun, done = [], set[int]()
    for line in lines:
        what, number, places = json.loads(line)
        if what == "done":
            done.add(number)
        else:
            begun.append(Call(what.removeprefix("begin "), number, places))
    return Run(begun, done)


async def recovered(path: Path, level: Any) -> State:
    async with InMemorySessionStore[Any](journal=SQLiteJournal(path, durability=level)) as store:
        check_indexes(store)
        found = {place: await store.get(id_of(place)) for place in range(SESSIONS)}
        return {place: (one.turn_count, one.revision) for place, one in found.items() if one is not None}


@pytest.mark.search
@pytest.mark.timeout(60 + 4 * KILLS)
@pytest.mark.parametrize("level", ["full", "batched"])
async def test_what_is_there_after_a_kill(tmp_path: Path, level: str) -> None:
    path, state, rng = tmp_path / "sessions.db", State(), random.Random(1)
    acknowledged = calls = 0
    for _ in range(KILLS // 2):
        run = await run_and_kill(path, level, rng)
        states = run.states_after(state)
        first = run.acknowledged() if level == "full" else 0
        state = await recovered(path, level)
        assert state in states[first:], f"{len(run.begun)} begun, {first} acknowledged"
        acknowledged += run.acknowledged()
        calls += len(run.begun)
    assert calls > acknowledged > 0 or level == "batched"


async def test_lost_acknowledgements_would_be_found(tmp_path: Path) -> None:
    """With the lesser durability, what was acknowledged is not always there: the check can fail."""
    rng = random.Random(1)
    for attempt in range(20):
        path = tmp_path / f"{attempt}.db"
        run = await run_and_kill(path, "batched", rng)
        state = await recovered(path, "batched")
        if state not in run.states_after({})[run.acknowledged() :]:
            return
    pytest.fail("no acknowledged save was lost in 20 kills")
