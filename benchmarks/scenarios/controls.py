"""Time pydantic's own copy and dump beside the operations that need them.

A control is timed in turns with its operation, on recently used sessions: copies are made of the reference scan's live
ones.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

from benchmarks.measure.timing import Sample, timed_now
from benchmarks.scenarios.operations import BY_AGENT, GET, LIMIT, SAVE, changed
from benchmarks.scenarios.sessions import SessionKeys
from benchmarks.stores.reference import ReferenceScan
from benchmarks.stores.subjects import INDEXED, REFERENCE, Subject

Pool: TypeAlias = Sequence[SessionKeys]
OnceAt: TypeAlias = Callable[[int], Awaitable[Sample]]
"""Times one call for the session at a position of the pool."""

CONTROLS = {GET: "model_copy()", BY_AGENT: "model_copy() of each", SAVE: "model_dump_json()"}
"""The control of each operation that has one."""


def controls_of(operation: str, subjects: Mapping[str, Subject], pool: Pool) -> dict[str, OnceAt]:
    """Return the control of the operation, by name; none unless both stores that it needs are there."""
    if operation not in CONTROLS or not {INDEXED, REFERENCE} <= subjects.keys():
        return {}
    indexed, scan = subjects[INDEXED], subjects[REFERENCE].store
    assert isinstance(scan, ReferenceScan)
    live = scan.sessions

    async def model_copy(position: int) -> Sample:
        nanoseconds, _ = timed_now(live[pool[position % len(pool)].session_id].model_copy)
        return Sample(nanoseconds, 1)

    async def model_copies(position: int) -> Sample:
        keys = pool[position % len(pool)]
        answer = await indexed.store.list_by_agent(keys.tenant_id, keys.agent_id, limit=LIMIT)
        sessions = [live[session.session_id] for session in answer]
        nanoseconds, _ = timed_now(lambda: [session.model_copy() for session in sessions])
        return Sample(nanoseconds, len(sessions))

    async def model_dump_json(position: int) -> Sample:
        session = await changed(indexed, pool[position % len(pool)])
        nanoseconds, _ = timed_now(session.model_dump_json)
        return Sample(nanoseconds, 1)

    return {CONTROLS[operation]: {GET: model_copy, BY_AGENT: model_copies, SAVE: model_dump_json}[operation]}
