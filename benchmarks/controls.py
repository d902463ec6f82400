"""What the operations are compared to: pydantic's own copy and dump, and a plain dict.

A control is timed in the same cell as its operation, by turns with it and on the same sessions. Copies are made of the
reference scan's live sessions, not of what the store just handed out: that is still in the processor's cache, whereas
the store had to fetch what it copied from memory.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias
from uuid import UUID

from benchmarks.contestants import INDEXED, REFERENCE, Contestant
from benchmarks.measure import Sample, timed_at_once
from benchmarks.operations import BY_AGENT, BY_CHANNEL, GET, LIMIT, SAVE, changed, once
from benchmarks.reference import ReferenceScan
from benchmarks.sessions import SessionKeys
from sessiondex import Session

Field: TypeAlias = Mapping[str, Contestant]
Pool: TypeAlias = Sequence[SessionKeys]
OnceAt: TypeAlias = Callable[[int], Awaitable[Sample]]
"""Times one call on the session at a position of the pool."""

DICT_READS = 100

MODEL_COPY = "model_copy()"
MODEL_COPIES = "model_copy() of each"
MODEL_DUMP_JSON = "model_dump_json()"
DICT_READ = f"{DICT_READS} dict reads"
INDEXED_GET = "indexed get"


@dataclass(frozen=True)
class Control:
    """Something to time beside an operation, on a field that has the contestants it needs."""

    name: str
    operation: str
    needs: frozenset[str]
    on: Callable[[Field, Pool], OnceAt]


def controls_of(operation: str, field: Field) -> list[Control]:
    """Return the controls of the operation that these contestants allow."""
    return [control for control in CONTROLS if control.operation == operation and control.needs <= field.keys()]


def _live(field: Field) -> dict[UUID, Session]:
    store = field[REFERENCE].store
    assert isinstance(store, ReferenceScan)
    return store.sessions


def _model_copy(field: Field, pool: Pool) -> OnceAt:
    live = _live(field)

    async def once_at(position: int) -> Sample:
        nanoseconds, _ = timed_at_once(live[pool[position].session_id].model_copy)
        return Sample(nanoseconds, 1)

    return once_at


def _model_copies(field: Field, pool: Pool) -> OnceAt:
    live = _live(field)
    ids: dict[UUID, list[UUID]] = {}  # by agent: to list them each time would fetch into the cache what is to be copied

    async def once_at(position: int) -> Sample:
        keys = pool[position]
        if keys.agent_id not in ids:
            answer = await field[INDEXED].store.list_by_agent(keys.tenant_id, keys.agent_id, limit=LIMIT)
            ids[keys.agent_id] = [session.session_id for session in answer]
        sessions = [live[session_id] for session_id in ids[keys.agent_id]]
        nanoseconds, _ = timed_at_once(lambda: [session.model_copy() for session in sessions])
        return Sample(nanoseconds, len(sessions))

    return once_at


def _model_dump_json(field: Field, pool: Pool) -> OnceAt:
    async def once_at(position: int) -> Sample:
        session = await changed(field[INDEXED], pool[position])
        nanoseconds, _ = timed_at_once(session.model_dump_json)
        return Sample(nanoseconds, 1)

    return once_at


def _dict_reads(field: Field, pool: Pool) -> OnceAt:
    live = _live(field)

    async def once_at(position: int) -> Sample:
        ids = [pool[(position * DICT_READS + offset) % len(pool)].session_id for offset in range(DICT_READS)]
        nanoseconds, _ = timed_at_once(partial(read_each, live, ids))
        return Sample(nanoseconds, DICT_READS)

    return once_at


def read_each(sessions: Mapping[UUID, object], ids: Sequence[UUID]) -> None:
    """Read an entry for each id, and nothing else."""
    for session_id in ids:
        sessions[session_id]


def _indexed_get(field: Field, pool: Pool) -> OnceAt:
    return lambda position: once(GET, field[INDEXED], pool[position])


CONTROLS = (
    Control(INDEXED_GET, BY_CHANNEL, frozenset({INDEXED}), _indexed_get),
    Control(MODEL_COPIES, BY_AGENT, frozenset({INDEXED, REFERENCE}), _model_copies),
    Control(MODEL_COPY, GET, frozenset({REFERENCE}), _model_copy),
    Control(DICT_READ, GET, frozenset({REFERENCE}), _dict_reads),
    Control(MODEL_DUMP_JSON, SAVE, frozenset({INDEXED}), _model_dump_json),
)
