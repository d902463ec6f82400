"""What services ask besides: pages, counts and updates. The lookup times them, in the stores that it has filled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TypeAlias

from benchmarks import answers
from benchmarks.clock import START, SteppedClock
from benchmarks.contestants import INDEXED, REFERENCE, Contestant
from benchmarks.measure import Sample, timed
from benchmarks.operations import change
from benchmarks.reference import ReferenceScan
from benchmarks.sessions import SessionKeys
from sessiondex import Session, SessionStore

Ask: TypeAlias = Callable[[], Awaitable[Session | list[Session] | int | dict[str, int]]]

STORES = (INDEXED, REFERENCE)
LIMIT = 20

PAGE = f"list_by_agent, first {LIMIT}"
DEEP_PAGE = f"list_by_agent, {LIMIT} from half-way"
COUNT, STEPS, UPDATE = "count_by_agent", "count_steps", "update"


def _page(contestant: Contestant, keys: SessionKeys) -> Ask:
    return partial(_store(contestant).list_by_agent, keys.tenant_id, keys.agent_id, limit=LIMIT)


def _deep_page(contestant: Contestant, keys: SessionKeys) -> Ask:
    before = half_way(contestant.clock)
    return partial(_store(contestant).list_by_agent, keys.tenant_id, keys.agent_id, limit=LIMIT, before=before)


def _count(contestant: Contestant, keys: SessionKeys) -> Ask:
    return partial(_store(contestant).count_by_agent, keys.tenant_id, keys.agent_id)


def _steps(contestant: Contestant, keys: SessionKeys) -> Ask:
    return partial(_store(contestant).count_steps, keys.tenant_id, keys.scenario_id, keys.scenario_version)


def _update(contestant: Contestant, keys: SessionKeys) -> Ask:
    contestant.clock.tick()
    return partial(_store(contestant).update, keys.session_id, change)


READS: dict[str, Callable[[Contestant, SessionKeys], Ask]] = {
    PAGE: _page,
    DEEP_PAGE: _deep_page,
    COUNT: _count,
    STEPS: _steps,
}
"""Those that change nothing. They are timed before anything is saved again: a cursor is where it was then."""

OPERATIONS = {**READS, UPDATE: _update}


def half_way(clock: SteppedClock) -> datetime:
    """Return a cursor half-way down the list of any agent, after a load in which each save had a tick of its own.

    Agents are drawn anew for each session, so half of each one's were saved in the first half of the load.
    """
    return START + (clock() - START) / 2


async def collect(contestant: Contestant, keys: Sequence[SessionKeys]) -> answers.Answers:
    """Return the contestant's pages and counts."""
    return await answers.collect_from({query: partial(bind, contestant) for query, bind in READS.items()}, keys)


async def once(operation: str, contestant: Contestant, keys: SessionKeys) -> Sample:
    """Time one call of the operation for the session with these keys."""
    nanoseconds, answer = await timed(OPERATIONS[operation](contestant, keys))
    return Sample(nanoseconds, len(answer) if isinstance(answer, list | dict) else 1)


def _store(contestant: Contestant) -> SessionStore[Session] | ReferenceScan:
    assert isinstance(contestant.store, SessionStore | ReferenceScan)  # peers have no pages, and count nothing
    return contestant.store
