"""Replay conversations as a service would: many users at a time, their turns mixed, one call at a time.

A turn finds its session by channel identity, creates it if there is none, changes it and saves it. Some turns are
followed by a list of the agent or the customer, or by a query for the sessions at the step.
"""

import gc
import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter_ns

from benchmarks.measure.clock import SteppedClock
from benchmarks.measure.progress import Progress
from benchmarks.measure.timing import Sample, Summary, summarize, timed, yield_to_loop
from benchmarks.scenarios.answers import digest
from benchmarks.scenarios.conversations import (
    SCENARIO_VERSION,
    Owner,
    Step,
    Visit,
    assign_owners,
    count_last_steps,
    interleave_visits,
    new_session,
    take_turn,
)
from benchmarks.scenarios.operations import BY_AGENT, BY_CHANNEL, BY_CUSTOMER, BY_STEP
from benchmarks.scenarios.traces import Conversation
from benchmarks.stores.subjects import INDEXED, REFERENCE, SCAN_STORE, make_subjects
from sessiondex import Session

CREATE, UPDATE = "save, new", "save, again"
OPERATIONS = (BY_CHANNEL, CREATE, UPDATE, BY_AGENT, BY_CUSTOMER, BY_STEP)
COMPARED = (INDEXED, SCAN_STORE, REFERENCE)

_OPEN_AT_ONCE = 200
_LIST_LIMIT = 20
_READS_PER_TURN = {BY_AGENT: 0.02, BY_CUSTOMER: 0.02, BY_STEP: 0.005}
_BATCH_SIZE = 100


@dataclass(frozen=True)
class Replayed:
    """The replay of conversations on one store.

    `seconds` is the time of the calls and of the changes between them. `answers` is a digest of every answer in order;
    `None` if no other store replayed the same conversations. The sessions were found at `steps` different steps.
    """

    subject: str
    conversations: int
    turns: int
    seconds: float
    steps: int
    operations: dict[str, Summary]
    answers: str | None


class ReplaysDifferError(Exception):
    """Stores replayed the same conversations with different answers, so their times cannot be compared."""


async def run(conversations: Sequence[Conversation], together: int, seed: int, progress: Progress) -> list[Replayed]:
    """Replay the first `together` conversations on all stores, then all of them on the indexed store.

    Raises:
        ReplaysDifferError: two stores give different answers, or a session is not at the step where its conversation
            ended.
    """
    # A trace has conversations of one kind next to each other; users arrive in any order.
    arriving = random.Random(f"arrivals {seed}").sample(conversations, len(conversations))
    assigned = assign_owners(arriving, seed)
    gc.collect()
    gc.freeze()  # the conversations belong to the benchmark, not to a store
    try:
        replays = [await Replay(name, assigned[:together], seed).run(progress) for name in COMPARED]
        compare(replays)
        if together < len(assigned):
            replays.append(await Replay(INDEXED, assigned, seed, is_compared=False).run(progress))
    finally:
        gc.unfreeze()
    return replays


def compare(replays: Sequence[Replayed]) -> None:
    """Raise `ReplaysDifferError` unless all stores gave the same answers."""
    for other in replays[1:]:
        if other.answers != replays[0].answers:
            raise ReplaysDifferError(
                f"replay: {replays[0].subject} and {other.subject} answer the same turns differently"
            )


def check_last_steps(name: str, expected: Counter[str], found: Counter[str]) -> None:
    """Raise `ReplaysDifferError` unless each session is at the step where its conversation ended."""
    if found != expected:
        raise ReplaysDifferError(
            f"{BY_STEP}: after the replay, {name} finds {found.total():,} sessions, and "
            f"{(expected - found).total():,} of {expected.total():,} are not at the step where their conversation ended"
        )


class Replay:
    """Replay conversations on a new store, with the same calls for every store and seed."""

    def __init__(self, name: str, assigned: Sequence[list[Visit]], seed: int, *, is_compared: bool = True) -> None:
        self._name = name
        self._clock = SteppedClock()
        self._store = make_subjects([name], self._clock)[name].store
        self._assigned = assigned
        self._order = interleave_visits(assigned, _OPEN_AT_ONCE, seed)
        self._rng = random.Random(f"reads {seed}")
        self._samples: defaultdict[str, list[Sample]] = defaultdict(list)
        self._nanoseconds = 0
        self._answers = hashlib.blake2b(digest_size=16) if is_compared else None

    async def run(self, progress: Progress) -> Replayed:
        """Replay everything once; raise `ReplaysDifferError` if a session is at a wrong step in the end."""
        turns = sum(map(len, self._assigned))
        gc.collect()
        with progress.stage(f"replay of {len(self._assigned):,}: {self._name}", turns) as advance:
            for number, visit in enumerate(self._order):
                await self._turn(visit)
                await self._reads(visit)
                if number % _BATCH_SIZE == _BATCH_SIZE - 1:
                    advance(_BATCH_SIZE)
                    await yield_to_loop()
        found = await self._last_steps()
        check_last_steps(self._name, count_last_steps(self._assigned), found)
        return Replayed(
            subject=self._name,
            conversations=len(self._assigned),
            turns=turns,
            seconds=round(self._nanoseconds / 1e9, 6),
            steps=len(found),
            operations={name: summarize(self._samples[name]) for name in OPERATIONS if name in self._samples},
            answers=None if self._answers is None else self._answers.hexdigest(),
        )

    async def _turn(self, visit: Visit) -> None:
        owner = visit.owner
        self._clock.tick()
        now = self._clock()
        find = partial(self._store.get_by_channel, owner.tenant_id, owner.channel, owner.user_channel_id)
        start = perf_counter_ns()
        nanoseconds, found = await timed(find)
        session = new_session(visit, now) if found is None else found
        take_turn(session, visit, now)
        save_nanoseconds, _ = await timed(partial(self._store.save, session))
        self._nanoseconds += perf_counter_ns() - start
        self._samples[BY_CHANNEL].append(Sample(nanoseconds, found is not None))
        self._samples[CREATE if found is None else UPDATE].append(Sample(save_nanoseconds, 1))
        self._digest([session])  # the session that was found, with this turn applied

    async def _reads(self, visit: Visit) -> None:
        owner, store = visit.owner, self._store
        calls: dict[str, Callable[[], Awaitable[list[Session]]]] = {
            BY_AGENT: partial(store.list_by_agent, owner.tenant_id, owner.agent_id, limit=_LIST_LIMIT),
            BY_CUSTOMER: partial(store.list_by_customer, owner.tenant_id, owner.customer_profile_id),
            BY_STEP: self._at_step(owner, visit.step),
        }
        for name, call in calls.items():
            if self._rng.random() < _READS_PER_TURN[name]:
                nanoseconds, sessions = await timed(call)
                self._nanoseconds += nanoseconds
                self._samples[name].append(Sample(nanoseconds, len(sessions)))
                self._digest(sessions)

    def _digest(self, sessions: Sequence[Session]) -> None:
        if self._answers is not None:
            for session in sessions:
                self._answers.update(digest(session).encode())

    def _at_step(self, owner: Owner, step: Step) -> Callable[[], Awaitable[list[Session]]]:
        find = self._store.find_sessions_by_step_hash
        return partial(find, owner.tenant_id, step.scenario_id, SCENARIO_VERSION, step.content_hash)

    async def _last_steps(self) -> Counter[str]:
        """Ask for every step at which a conversation ended, of each tenant; return how many sessions are there."""
        counts: Counter[str] = Counter()
        ends = {(visits[-1].owner.tenant_id, visits[-1].step): visits[-1] for visits in self._assigned}
        for last in ends.values():
            counts[str(last.step)] += len(await self._at_step(last.owner, last.step)())
        return counts
