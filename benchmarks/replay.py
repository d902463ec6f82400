"""Part 2: conversations replayed as a service would hold them.

Many users at a time, their turns mixed, one call at a time. A turn looks its session up by channel identity, makes it
when there is none, changes it and saves it. Now and then someone reads the list of the agent or of the customer, or
asks, to plan a migration, which sessions stand at the step.
"""

from __future__ import annotations

import gc
import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from time import perf_counter_ns

from benchmarks.answers import digest
from benchmarks.clock import SteppedClock
from benchmarks.contestants import INDEXED, SCAN_STORE, STORES
from benchmarks.conversations import (
    SCENARIO_VERSION,
    Owner,
    Step,
    Visit,
    assign,
    interleave,
    new_session,
    standing,
    take_turn,
)
from benchmarks.measure import Sample, listen, summarize, timed
from benchmarks.operations import BY_AGENT, BY_CHANNEL, BY_CUSTOMER, BY_STEP, Answer, sessions_in
from benchmarks.progress import Progress
from benchmarks.results import Replayed
from benchmarks.traces import Conversation
from sessiondex import Session

CREATE, UPDATE = "save, new", "save, again"
OPERATIONS = (BY_CHANNEL, CREATE, UPDATE, BY_AGENT, BY_CUSTOMER, BY_STEP)

_AT_ONCE = 200
_LIST_LIMIT = 20
_AGENT_READS, _CUSTOMER_READS, _STEP_READS = 0.02, 0.02, 0.005  # for each turn
_CHUNK = 100


class ReplaysDifferError(Exception):
    """Stores that replayed the same conversations did not answer or end alike, so their times mean nothing."""


async def run(conversations: Sequence[Conversation], together: int, seed: int, progress: Progress) -> list[Replayed]:
    """Replay the first `together` conversations in both stores, and, if there are more, all in the indexed one.

    Raises:
        ReplaysDifferError: an answer is not the same, or a count at the end is not what the conversations say.
    """
    # In a trace, conversations of one kind stand together; users come as they like.
    arriving = random.Random(f"arrivals {seed}").sample(conversations, len(conversations))
    assigned = assign(arriving, seed)
    some = assigned[:together]
    with _out_of_the_collectors_sight():
        replays = [await Replay(name, some, seed).run(progress) for name in (INDEXED, SCAN_STORE)]
        check(replays, some)
        if len(some) < len(assigned):
            replays.append(await Replay(INDEXED, assigned, seed, compared=False).run(progress))
            check(replays[-1:], assigned)
    return replays


@contextmanager
def _out_of_the_collectors_sight() -> Iterator[None]:
    """Keep the garbage collector from visiting the conversations: they are the benchmark's, and no store has them."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def check(replays: Sequence[Replayed], assigned: Sequence[list[Visit]]) -> None:
    """Raise `ReplaysDifferError` unless the replays of these conversations agree with each other and with them."""
    expected = standing(assigned)
    for replayed in replays:
        if replayed.sessions_by_step != expected:
            missing = (expected - Counter(replayed.sessions_by_step)).total()
            raise ReplaysDifferError(
                f"{BY_STEP}: after the replay, {replayed.contestant} finds {sum(replayed.sessions_by_step.values()):,} "
                f"sessions, and {missing:,} of {len(assigned):,} are not at the step where their conversation ended"
            )
    if len({replayed.answers for replayed in replays}) > 1:
        names = " and ".join(replayed.contestant for replayed in replays)
        raise ReplaysDifferError(f"replay: {names} answered the same {replays[0].turns:,} turns differently")


class Replay:
    """A new store's way through the conversations: the same for every store, given the same seed.

    Answers are digested, outside of what is timed, where they are to be `compared` with another store's.
    """

    def __init__(self, name: str, assigned: Sequence[list[Visit]], seed: int, *, compared: bool = True) -> None:
        self._name = name
        self._clock = SteppedClock()
        self._store = STORES[name](self._clock)
        self._assigned = assigned
        self._order = interleave(assigned, _AT_ONCE, seed)
        self._rng = random.Random(f"reads {seed}")
        self._samples: defaultdict[str, list[Sample]] = defaultdict(list)
        self._nanoseconds = 0
        self._answers = hashlib.blake2b(digest_size=16) if compared else None

    async def run(self, progress: Progress) -> Replayed:
        """Replay everything, once."""
        turns = sum(map(len, self._assigned))
        gc.collect()
        with progress.stage(f"{len(self._assigned):,} replayed: {self._name}", turns) as advance:
            for number, visit in enumerate(self._order):
                await self._turn(visit)
                await self._reads(visit)
                if number % _CHUNK == _CHUNK - 1:
                    advance(_CHUNK)
                    await listen()
        return Replayed(
            contestant=self._name,
            conversations=len(self._assigned),
            turns=turns,
            seconds=self._nanoseconds / 1e9,
            operations={name: summarize(self._samples[name]) for name in OPERATIONS if name in self._samples},
            sessions_by_step=await self._sessions_by_step(),
            answers=None if self._answers is None else self._answers.hexdigest(),
        )

    async def _turn(self, visit: Visit) -> None:
        owner = visit.owner
        self._clock.tick()
        now = self._clock()
        lookup = partial(self._store.get_by_channel, owner.tenant_id, owner.channel, owner.user_channel_id)
        start = perf_counter_ns()
        nanoseconds, found = await timed(lookup)
        session = new_session(visit, now) if found is None else found
        take_turn(session, visit, now)
        save_nanoseconds, _ = await timed(partial(self._store.save, session))
        self._nanoseconds += perf_counter_ns() - start
        self._samples[BY_CHANNEL].append(Sample(nanoseconds, found is not None))
        self._samples[CREATE if found is None else UPDATE].append(Sample(save_nanoseconds, 1))
        self._digest([session])  # what was found, with this turn on top

    async def _reads(self, visit: Visit) -> None:
        owner, store = visit.owner, self._store
        if self._rng.random() < _AGENT_READS:
            await self._read(BY_AGENT, partial(store.list_by_agent, owner.tenant_id, owner.agent_id, limit=_LIST_LIMIT))
        if self._rng.random() < _CUSTOMER_READS:
            await self._read(BY_CUSTOMER, partial(store.list_by_customer, owner.tenant_id, owner.customer_profile_id))
        if self._rng.random() < _STEP_READS:
            await self._read(BY_STEP, self._at_step(owner, visit.step))

    async def _read(self, name: str, call: Callable[[], Awaitable[Answer]]) -> None:
        nanoseconds, answer = await timed(call)
        sessions = sessions_in(answer)
        self._nanoseconds += nanoseconds
        self._samples[name].append(Sample(nanoseconds, len(sessions)))
        self._digest(sessions)

    def _digest(self, sessions: Sequence[Session]) -> None:
        if self._answers is not None:
            for session in sessions:
                self._answers.update(digest(session).encode())

    def _at_step(self, owner: Owner, step: Step) -> Callable[[], Awaitable[Answer]]:
        find = self._store.find_sessions_by_step_hash
        return partial(find, owner.tenant_id, step.scenario_id, SCENARIO_VERSION, step.content_hash)

    async def _sessions_by_step(self) -> dict[str, int]:
        """Ask for every step at which a conversation ended: for each tenant, as the contract has it."""
        counts: Counter[str] = Counter()
        ends = {(visits[-1].owner.tenant_id, visits[-1].step): visits[-1] for visits in self._assigned}
        for last in ends.values():
            counts[str(last.step)] += len(sessions_in(await self._at_step(last.owner, last.step)()))
        return dict(counts)
