"""Run mixes of operations in a closed loop: the YCSB mixes A to F, as a session store means them, and one of queries.

YCSB: Cooper et al., Benchmarking Cloud Serving Systems with YCSB, 2010. Its records are sessions here; its short ranges
are the newest sessions of an agent. The calls depend on the seed alone, so all subjects get the same ones, each as many
as it has time for. Preparing a call, such as making a new session, is not timed.
"""

import gc
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any
from uuid import UUID

from benchmarks.measure.progress import Progress
from benchmarks.measure.timing import timed, yield_to_loop
from benchmarks.measure.zipf import Zipf
from benchmarks.scenarios.loading import load
from benchmarks.scenarios.operations import BY_AGENT_STATUS, BY_STEP, GET, QUERIES, SAVE, change, changed
from benchmarks.scenarios.sessions import Population, SessionKeys
from benchmarks.stores.subjects import DEEP_COPY, INDEXED, SQLITE, Subject
from sessiondex import Session, SessionStatus

CREATE, MODIFY, LIST = "save, new", "get, change, save", "list_by_agent, up to 20"
SUBJECTS = (INDEXED, SQLITE, DEEP_COPY)
"""The subjects that hand out copies: with live objects there is nothing to save."""

_DONORS = 200
_TURNS = 10
_MAX_LIST = 20


@dataclass(frozen=True)
class Recipe:
    """A mix: the share of each kind of call, and whether the newest sessions are read most."""

    name: str
    title: str
    shares: Mapping[str, float]
    is_latest: bool = False


RECIPES = (
    Recipe("A", "half reads, half saves", {GET: 0.5, SAVE: 0.5}),
    Recipe("B", "reads, some saves", {GET: 0.95, SAVE: 0.05}),
    Recipe("C", "reads only", {GET: 1}),
    Recipe("D", "reads of the latest, some new", {GET: 0.95, CREATE: 0.05}, is_latest=True),
    Recipe("E", "short lists, some new", {LIST: 0.95, CREATE: 0.05}),
    Recipe("F", "read, change, save", {MODIFY: 1}),
    Recipe("G", "queries by status and by step", {BY_AGENT_STATUS: 0.5, BY_STEP: 0.5}),
)


@dataclass(frozen=True)
class Mix:
    """The closed loop of one subject through one mix."""

    name: str
    title: str
    sessions: int
    subject: str
    calls: int
    calls_per_second: float


async def run(size: int, seed: int, seconds: float, progress: Progress) -> list[Mix]:
    """Run each mix for `seconds` on each subject, in turns, with all of them in memory at once."""
    population = Population(size, seed)
    mixes: list[Mix] = []
    async with load(SUBJECTS, population, progress) as loaded:
        donors = [session.model_dump_json() for session in islice(population, _DONORS)]
        keys = list(loaded.keys.values())
        with progress.stage(f"{size:,} sessions: mixes", _TURNS * len(RECIPES)) as advance:
            for recipe in RECIPES:
                workloads = [Workload(recipe, subject, keys, donors, seed) for subject in loaded.subjects.values()]
                gc.collect()
                for workload in workloads:  # warm-up
                    await workload.run(seconds / _TURNS)
                    workload.calls = workload.nanoseconds = 0
                for turn in range(1, _TURNS + 1):
                    for workload in workloads:
                        await workload.run(seconds * turn / _TURNS)
                    advance(1)
                for workload in workloads:
                    await workload.tidy_up()
                    mixes.append(workload.mix(size))
    return mixes


class Workload:
    """Run a recipe on one subject. New sessions are made from `donors`, which are sessions as JSON.

    Call `tidy_up` in the end: then the subject has the sessions that it had before, some of them changed.
    """

    def __init__(
        self, recipe: Recipe, subject: Subject, keys: Sequence[SessionKeys], donors: Sequence[str], seed: int
    ) -> None:
        self.calls = self.nanoseconds = 0
        self._recipe = recipe
        self._subject = subject
        self._donors = donors
        self._rng = random.Random(f"mix {recipe.name} {seed}")
        # Shuffled: otherwise the oldest sessions would be asked for most.
        self._wanted = random.Random(f"wanted {seed}").sample(keys, len(keys))
        self._active = [each for each in self._wanted if each.status is SessionStatus.ACTIVE]
        self._ranks, self._active_ranks = Zipf(len(self._wanted)), Zipf(len(self._active))
        self._newest_last = [each.session_id for each in keys]
        self._created: list[UUID] = []

    async def run(self, until: float) -> None:
        """Make calls until all of them together have taken `until` seconds."""
        while self.nanoseconds < until * 1e9:
            kind, call = await self.prepare()
            nanoseconds, answer = await timed(call)
            assert answer, f"{kind}: {self._subject.name} finds nothing"
            self.calls += 1
            self.nanoseconds += nanoseconds
            await yield_to_loop()

    def mix(self, size: int) -> Mix:
        """Return the result."""
        per_second = round(self.calls / self.nanoseconds * 1e9, 1)
        return Mix(self._recipe.name, self._recipe.title, size, self._subject.name, self.calls, per_second)

    async def tidy_up(self) -> None:
        """Delete the sessions that were created."""
        for session_id in self._created:
            await self._subject.store.delete(session_id)

    async def prepare(self) -> tuple[str, Callable[[], Awaitable[Any]]]:
        """Choose the next kind of call; return it and the call. Everything that is asked for exists."""
        shares, store = self._recipe.shares, self._subject.store
        (kind,) = self._rng.choices(list(shares), list(shares.values()))
        rank = self._ranks.draw(self._rng)
        keys = self._wanted[rank]
        if kind == GET:
            return kind, partial(store.get, self._newest_last[-1 - rank] if self._recipe.is_latest else keys.session_id)
        if kind == SAVE:
            return kind, partial(store.save, await changed(self._subject, keys))
        if kind == CREATE:
            return kind, partial(store.save, self._new_session())
        if kind == MODIFY:
            self._subject.clock.tick()
            return kind, partial(self._get_change_save, keys.session_id)
        if kind == LIST:
            limit = self._rng.randint(1, _MAX_LIST)
            return kind, partial(store.list_by_agent, keys.tenant_id, keys.agent_id, limit=limit)
        return kind, QUERIES[kind](self._subject, self._active[self._active_ranks.draw(self._rng)])

    def _new_session(self) -> Session:
        session = Session.model_validate_json(self._rng.choice(self._donors))
        session.session_id = UUID(int=self._rng.getrandbits(128))
        session.user_channel_id = f"user-{session.session_id.hex}"
        self._newest_last.append(session.session_id)
        self._created.append(session.session_id)
        self._subject.clock.tick()
        return session

    async def _get_change_save(self, session_id: UUID) -> UUID:
        session = await self._subject.store.get(session_id)
        assert session is not None
        change(session)
        return await self._subject.store.save(session)
