"""Measure fields that a subclass indexes: what a save and a session cost more, and what finding by a field costs.

Two stores hold the same sessions, of two classes with the same fields: one declares two of them as `Indexed`. Up to
10,000 sessions the scan store holds them too. Stores are timed in turns; memory is measured in a process for each.
"""

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from benchmarks.measure.clock import SteppedClock
from benchmarks.measure.progress import Progress
from benchmarks.measure.timing import Budget, Lane, Sample, interleave, timed
from benchmarks.scenarios import answers, footprint
from benchmarks.scenarios.footprint import MIN_WEIGHED, Footprint
from benchmarks.scenarios.loading import Loaded, load_into
from benchmarks.scenarios.lookups import MAX_SCAN_STORE_SIZE, Cell
from benchmarks.scenarios.operations import BY_CUSTOMER, LIMIT, QUERIES, SAVE, Bind, full_store, once
from benchmarks.scenarios.own_fields import (
    CLASSES,
    WITH_INDEXES,
    WITHOUT_INDEXES,
    Searchable,
    email_of,
    order_of,
    with_own_fields,
)
from benchmarks.scenarios.sessions import UNIFORM, Population, SessionKeys
from benchmarks.stores.subjects import SCAN_STORE, Subject
from sessiondex import InMemorySessionStore, ScanSessionStore, Session, SessionStore

BY_FIELD, GET_BY_FIELD = "list_by_field", "get_by_field"
FINDS: dict[str, Bind] = {
    BY_CUSTOMER: QUERIES[BY_CUSTOMER],
    BY_FIELD: lambda subject, keys: partial(
        full_store(subject).list_by_field,
        keys.tenant_id,
        "order_ids",
        order_of(keys.customer_profile_id),
        limit=LIMIT,
    ),
    GET_BY_FIELD: lambda subject, keys: partial(
        full_store(subject).get_by_field, keys.tenant_id, "email", email_of(keys.session_id).lower()
    ),
}
_ROUNDS = (
    ((BY_CUSTOMER, WITH_INDEXES), (BY_FIELD, WITH_INDEXES), (GET_BY_FIELD, WITH_INDEXES), (BY_FIELD, SCAN_STORE)),
    ((SAVE, WITHOUT_INDEXES), (SAVE, WITH_INDEXES)),
)
"""What is timed in turns; saves change the stores, so they come last."""
_PLACES = (BY_CUSTOMER, BY_FIELD, GET_BY_FIELD, SAVE)  # each begins at its own stretch of the keys


@dataclass(frozen=True)
class IndexResults:
    """The cells of all sizes, and the footprints of both classes from 10,000 sessions on."""

    cells: list[Cell]
    footprints: list[Footprint]


async def run(sizes: Sequence[int], seed: int, budget: Budget, progress: Progress) -> IndexResults:
    """Time the stores and weigh their sessions at all sizes.

    Raises:
        AnswersDifferError: a store answers a query differently from a linear scan.
        ProcessFailedError: a process that measures memory failed.
    """
    cells: list[Cell] = []
    for size in sizes:
        cells += await _time(Population(size, seed), budget, progress)
    weighed = [size for size in sizes if size >= MIN_WEIGHED]
    return IndexResults(cells, await footprint.run(weighed, [*CLASSES], seed, 0, progress) if weighed else [])


def make_stores(size: int) -> dict[str, Subject]:
    """Return new stores by name, which all use the same clock; the scan store only where it is timed."""
    clock = SteppedClock()
    stores: dict[str, SessionStore[Session]] = {name: InMemorySessionStore(clock=clock) for name in CLASSES}
    if size <= MAX_SCAN_STORE_SIZE:
        stores[SCAN_STORE] = ScanSessionStore(clock=clock)
    return {name: Subject(name, store, clock) for name, store in stores.items()}


async def put(session: Session, subject: Subject) -> None:
    """Store the session as one of the class that the store holds."""
    await subject.store.save(with_own_fields(session, CLASSES.get(subject.name, Searchable)))


async def check(subjects: dict[str, Subject], asked: Sequence[SessionKeys], size: int) -> answers.Answers:
    """Compare the answers of all stores with those of a scan, and return these.

    Raises:
        AnswersDifferError: a store answers a query differently from the scan.
    """
    expected = await _scan(full_store(subjects[WITHOUT_INDEXES]), asked)
    found = {"a linear scan": expected}
    for name, subject in subjects.items():
        queries = {BY_CUSTOMER: FINDS[BY_CUSTOMER]} if name == WITHOUT_INDEXES else FINDS
        found[name] = await answers.collect(subject, asked, queries)
    answers.compare(found, size)
    return expected


async def _scan(store: SessionStore[Session], asked: Sequence[SessionKeys]) -> answers.Answers:
    """Answer the queries from all that the store exports: the scan store would take too long to load."""
    customers = {(keys.tenant_id, keys.customer_profile_id) for keys in asked}
    orders = {order_of(keys.customer_profile_id) for keys in asked}
    emails = {email_of(keys.session_id).casefold() for keys in asked}
    kept: list[Session] = []
    cursor: str | None = None
    while True:
        page, cursor = await store.export(cursor=cursor)
        kept += [
            session
            for session in page
            if (session.tenant_id, session.customer_profile_id) in customers
            or orders.intersection(_orders(session))
            or _email(session) in emails
        ]
        if cursor is None:
            break
    kept.sort(key=lambda session: session.last_activity_at, reverse=True)

    def digests(tenant_id: UUID, matching: list[Session]) -> list[str]:
        return [answers.digest(session) for session in matching if session.tenant_id == tenant_id][:LIMIT]

    found: answers.Answers = {query: [] for query in FINDS}
    for keys in asked:
        customer, order, email = keys.customer_profile_id, order_of(keys.customer_profile_id), email_of(keys.session_id)
        matching = {
            BY_CUSTOMER: [session for session in kept if session.customer_profile_id == customer],
            BY_FIELD: [session for session in kept if order in _orders(session)],
            GET_BY_FIELD: [session for session in kept if _email(session) == email.casefold()][:1],
        }
        for query, sessions in matching.items():
            found[query].append(digests(keys.tenant_id, sessions))
    return found


def _orders(session: Session) -> list[str]:
    return list(session.__dict__["order_ids"])


def _email(session: Session) -> str:
    return str(session.__dict__["email"]).casefold()


async def _time(population: Population, budget: Budget, progress: Progress) -> list[Cell]:
    size, positions = population.size, population.draws[UNIFORM]
    cells: list[Cell] = []
    async with load_into(make_stores(size), put, population, progress, set(positions)) as loaded:
        pool = [loaded.keys[position] for position in positions]
        await check(loaded.subjects, answers.sample(pool, size), size)
        with progress.stage(f"{size:,} sessions: own indexes", budget.turns * len(_ROUNDS)) as advance:
            for timed_here in _ROUNDS:
                names = [(operation, name) for operation, name in timed_here if name in loaded.subjects]
                lanes = [_lane(operation, name, loaded, pool) for operation, name in names]
                gc.collect()
                summaries = await interleave(lanes, budget, partial(advance, 1))
                cells += [
                    Cell(size, operation, UNIFORM, name, summary)
                    for (operation, name), summary in zip(names, summaries.values(), strict=True)
                ]
    return cells


def _lane(operation: str, name: str, loaded: Loaded, pool: Sequence[SessionKeys]) -> Lane:
    subject = loaded.subjects[name]

    async def once_at(position: int) -> Sample:
        keys = pool[position % len(pool)]
        if operation == SAVE:
            return await once(SAVE, subject, keys)
        nanoseconds, answer = await timed(FINDS[operation](subject, keys))
        return Sample(nanoseconds, len(answer) if isinstance(answer, list) else answer is not None)

    start = _PLACES.index(operation) * (len(pool) // len(_PLACES))
    return Lane(f"{operation}, {name}", once_at, start)
