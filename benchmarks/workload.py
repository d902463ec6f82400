"""One contestant's way through a mix of operations: a closed loop, one call at a time.

Calls are prepared a batch at a time, outside of what is timed: new sessions are made, and those to be saved are got and
changed, up to a batch before they are saved. What is prepared follows from the seed alone, never from how fast anyone
is, so that all contestants go the same way, each as far as it comes.
"""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter_ns
from typing import NamedTuple, TypeAlias
from uuid import UUID

from benchmarks.contestants import Contestant
from benchmarks.measure import listen
from benchmarks.operations import Answer, change, changed
from benchmarks.sessions import ZIPF, SessionKeys
from benchmarks.zipf import Zipf
from sessiondex import Session, SessionStatus

READ, SAVE, CREATE = "get", "save", "save, new"
MODIFY = "get, change, save"
LIST, BY_STATUS, BY_STEP = "list_by_agent, up to 20", "list_by_agent + status", "find_sessions_by_step_hash"

LATEST = "latest"
"""Skewed as `ZIPF` is, the newest session being the most wanted."""

_BATCH = 100
_MOST_LISTED = 20


@dataclass(frozen=True)
class Recipe:
    """A mix: how often each kind of call comes, and whose sessions it asks for."""

    name: str
    title: str
    shares: Mapping[str, float]
    keys: str = ZIPF


class Wanted:
    """The sessions to ask for, most wanted first: all, and those that stand at a step."""

    def __init__(self, keys: Sequence[SessionKeys], seed: int) -> None:
        self.oldest_first = [of_session.session_id for of_session in keys]
        self.all = random.Random(f"wanted {seed}").sample(keys, len(keys))  # or else the oldest would be wanted most
        self.active = [of_session for of_session in self.all if of_session.status is SessionStatus.ACTIVE]
        self._ranks_of_all, self._ranks_of_active = Zipf(len(self.all)), Zipf(len(self.active))

    def rank(self, rng: random.Random) -> int:
        """Return a rank among all sessions."""
        return self._ranks_of_all.draw(rng)

    def anyone(self, rng: random.Random) -> SessionKeys:
        """Return the keys of a session."""
        return self.all[self.rank(rng)]

    def active_one(self, rng: random.Random) -> SessionKeys:
        """Return the keys of an active session."""
        return self.active[self._ranks_of_active.draw(rng)]


class Call(NamedTuple):
    """A call that is ready to be timed. What it returns is never empty: everything asked for exists."""

    kind: str
    make: Callable[[], Awaitable[Answer | UUID]]


Prepare: TypeAlias = Callable[[], Awaitable[Callable[[], Awaitable[Answer | UUID]]]]


class Workload:
    """A contestant at work on a recipe. `donors` are sessions as JSON, of which new ones are made.

    Whoever runs it tidies up afterwards: the contestant then has the sessions that it had before, some of them changed.
    """

    def __init__(
        self, recipe: Recipe, contestant: Contestant, wanted: Wanted, donors: Sequence[str], seed: int
    ) -> None:
        self.contestant = contestant
        self._recipe = recipe
        self._store = contestant.store
        self._wanted = wanted
        self._donors = donors
        self._rng = random.Random(f"mix {recipe.name} {seed}")
        self._newest_last = [*wanted.oldest_first]
        self._calls: deque[Call] = deque()
        self._nanoseconds = 0
        self._took: defaultdict[str, list[int]] = defaultdict(list)
        self._prepare: dict[str, Prepare] = {
            READ: self._read,
            SAVE: self._save,
            CREATE: self._create,
            MODIFY: self._modify,
            LIST: self._list,
            BY_STATUS: self._by_status,
            BY_STEP: self._by_step,
        }

    @property
    def seconds(self) -> float:
        """What the calls took, the loop around them included."""
        return self._nanoseconds / 1e9

    @property
    def took(self) -> dict[str, list[int]]:
        """For each kind of call, the nanoseconds of each."""
        return {kind: self._took[kind] for kind in self._recipe.shares if kind in self._took}

    async def warm_up(self, seconds: float) -> None:
        """Work for so long, and forget it."""
        await self.run(seconds)
        self._nanoseconds = 0
        self._took.clear()

    async def run(self, until: float) -> None:
        """Work until the calls have taken so many seconds, all told. The last one may take longer."""
        while self.seconds < until:
            if not self._calls:
                self._calls.extend(await self.prepare(_BATCH))
                await listen()
            await self._make_calls(round(until * 1e9) - self._nanoseconds)

    async def prepare(self, count: int) -> list[Call]:
        """Return the next calls."""
        shares = self._recipe.shares
        return [
            Call(kind, await self._prepare[kind]())
            for kind in self._rng.choices(list(shares), list(shares.values()), k=count)
        ]

    async def tidy_up(self) -> None:
        """Delete the sessions that were created."""
        for session_id in self._newest_last[len(self._wanted.oldest_first) :]:
            await self._store.delete(session_id)

    async def _make_calls(self, nanoseconds: int) -> None:
        start = now = perf_counter_ns()
        while self._calls and now - start < nanoseconds:
            kind, make = self._calls.popleft()
            before = perf_counter_ns()
            answer = await make()
            now = perf_counter_ns()
            assert answer, f"{kind}: {self.contestant.name} finds nothing"
            self._took[kind].append(now - before)
        self._nanoseconds += now - start

    # -- what prepares a call: everything but the call itself --

    async def _read(self) -> Callable[[], Awaitable[Answer]]:
        rank = self._wanted.rank(self._rng)
        newest = self._recipe.keys == LATEST
        session_id = self._newest_last[-1 - rank] if newest else self._wanted.all[rank].session_id
        return partial(self._store.get, session_id)

    async def _save(self) -> Callable[[], Awaitable[UUID]]:
        return partial(self._store.save, await changed(self.contestant, self._wanted.anyone(self._rng)))

    async def _create(self) -> Callable[[], Awaitable[UUID]]:
        session = Session.model_validate_json(self._rng.choice(self._donors))
        session.session_id = UUID(int=self._rng.getrandbits(128))
        session.user_channel_id = f"user-{session.session_id.hex}"
        self._newest_last.append(session.session_id)
        self.contestant.clock.tick()
        return partial(self._store.save, session)

    async def _modify(self) -> Callable[[], Awaitable[UUID]]:
        self.contestant.clock.tick()
        return partial(self._get_change_save, self._wanted.anyone(self._rng).session_id)

    async def _get_change_save(self, session_id: UUID) -> UUID:
        session = await self._store.get(session_id)
        assert session is not None
        change(session)
        return await self._store.save(session)

    async def _list(self) -> Callable[[], Awaitable[Answer]]:
        keys, limit = self._wanted.anyone(self._rng), self._rng.randint(1, _MOST_LISTED)
        return partial(self._store.list_by_agent, keys.tenant_id, keys.agent_id, limit=limit)

    async def _by_status(self) -> Callable[[], Awaitable[Answer]]:
        keys = self._wanted.active_one(self._rng)
        return partial(self._store.list_by_agent, keys.tenant_id, keys.agent_id, status=keys.status)

    async def _by_step(self) -> Callable[[], Awaitable[Answer]]:
        keys = self._wanted.active_one(self._rng)
        find = self._store.find_sessions_by_step_hash
        return partial(find, keys.tenant_id, keys.scenario_id, keys.scenario_version, keys.step_content_hash)
