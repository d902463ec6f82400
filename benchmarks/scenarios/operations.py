"""Bind the operations that are timed: the seven of every store, and the pages, counts and updates of services."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import TypeAlias

from benchmarks.measure.clock import START, SteppedClock
from benchmarks.measure.timing import Sample, timed
from benchmarks.scenarios.sessions import SessionKeys
from benchmarks.stores.reference import ReferenceScan
from benchmarks.stores.subjects import Subject
from sessiondex import Session, SessionStore

Answer: TypeAlias = Session | list[Session] | int | dict[str, int] | None
Call: TypeAlias = Callable[[], Awaitable[Answer]]
Bind: TypeAlias = Callable[[Subject, SessionKeys], Call]
"""Binds a query to a store and to the keys of a session. Only the call itself is timed."""

LIMIT, PAGE_SIZE = 100, 20

BY_CHANNEL = "get_by_channel"
BY_AGENT = "list_by_agent"
BY_AGENT_STATUS = "list_by_agent + status"
BY_CUSTOMER = "list_by_customer"
BY_STEP = "find_sessions_by_step_hash"
GET, SAVE, DELETE = "get", "save", "delete"

PAGE, DEEP_PAGE = f"list_by_agent, first {PAGE_SIZE}", f"list_by_agent, {PAGE_SIZE} half-way"
COUNT, STEPS, UPDATE = "count_by_agent", "count_steps", "update"


QUERIES: dict[str, Bind] = {
    BY_CHANNEL: lambda subject, keys: partial(
        subject.store.get_by_channel, keys.tenant_id, keys.channel, keys.user_channel_id
    ),
    BY_AGENT: lambda subject, keys: partial(subject.store.list_by_agent, keys.tenant_id, keys.agent_id, limit=LIMIT),
    BY_AGENT_STATUS: lambda subject, keys: partial(
        subject.store.list_by_agent, keys.tenant_id, keys.agent_id, status=keys.status, limit=LIMIT
    ),
    BY_CUSTOMER: lambda subject, keys: partial(
        subject.store.list_by_customer, keys.tenant_id, keys.customer_profile_id, limit=LIMIT
    ),
    BY_STEP: lambda subject, keys: partial(
        subject.store.find_sessions_by_step_hash,
        keys.tenant_id,
        keys.scenario_id,
        keys.scenario_version,
        keys.step_content_hash,
    ),
}
"""The queries for which a scan loops over all sessions."""

READS: dict[str, Bind] = {**QUERIES, GET: lambda subject, keys: partial(subject.store.get, keys.session_id)}
OPERATIONS = (*READS, SAVE, DELETE)
"""The seven operations that every subject has; `list_by_agent` with and without a status."""

SERVICE_READS: dict[str, Bind] = {
    PAGE: lambda subject, keys: partial(
        _with_pages(subject).list_by_agent, keys.tenant_id, keys.agent_id, limit=PAGE_SIZE
    ),
    DEEP_PAGE: lambda subject, keys: partial(
        _with_pages(subject).list_by_agent,
        keys.tenant_id,
        keys.agent_id,
        limit=PAGE_SIZE,
        before=half_way(subject.clock),
    ),
    COUNT: lambda subject, keys: partial(_with_pages(subject).count_by_agent, keys.tenant_id, keys.agent_id),
    STEPS: lambda subject, keys: partial(
        _with_pages(subject).count_steps, keys.tenant_id, keys.scenario_id, keys.scenario_version
    ),
}
"""Timed before anything is saved again, so that half-way stays half-way."""
SERVICES = (*SERVICE_READS, UPDATE)
"""The operations of the library's stores and of the reference scan only."""

_READS = READS | SERVICE_READS


def half_way(clock: SteppedClock) -> datetime:
    """Return a cursor half-way down the list of any agent, after a load with one tick for each save.

    The agent of each session is drawn independently, so half of an agent's sessions are in the first half of the load.
    """
    return START + (clock() - START) / 2


def sessions_in(answer: Answer) -> list[Session]:
    """Return the sessions of an answer as a list; counts have none."""
    if isinstance(answer, Session):
        return [answer]
    return answer if isinstance(answer, list) else []


def change(session: Session) -> None:
    """Change the session as a turn of its conversation does."""
    session.turn_count += 1
    session.variables["turns_since_offer"] = session.turn_count - 3


async def once(operation: str, subject: Subject, keys: SessionKeys) -> Sample:
    """Time one call of the operation for the session with these keys."""
    session = await changed(subject, keys) if operation in {SAVE, DELETE} else None
    call: Callable[[], Awaitable[object]]
    if session is None and operation == UPDATE:
        subject.clock.tick()
        call = partial(_with_pages(subject).update, keys.session_id, change)
    elif session is None:
        call = _READS[operation](subject, keys)
    else:
        call = (
            partial(subject.store.save, session)
            if operation == SAVE
            else partial(subject.store.delete, keys.session_id)
        )
    nanoseconds, answer = await timed(call)
    if session is not None and operation == DELETE:
        assert answer
        await subject.store.save(session)
    return Sample(nanoseconds, len(answer) if isinstance(answer, list | dict) else answer is not None)


async def changed(subject: Subject, keys: SessionKeys) -> Session:
    """Return the stored session, changed and not yet saved."""
    session = await subject.store.get(keys.session_id)
    assert session is not None
    change(session)
    subject.clock.tick()
    return session


def _with_pages(subject: Subject) -> SessionStore[Session] | ReferenceScan:
    assert isinstance(subject.store, SessionStore | ReferenceScan)  # peers have no pages and no counts
    return subject.store


def full_store(subject: Subject) -> SessionStore[Session]:
    """Return the store of a subject that has the whole contract."""
    assert isinstance(subject.store, SessionStore)
    return subject.store
