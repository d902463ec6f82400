"""The check before the race really stops it."""

from __future__ import annotations

from uuid import UUID

import pytest

from benchmarks import answers, lookup, services
from benchmarks.clock import SteppedClock
from benchmarks.contestants import INDEXED, REFERENCE, STORES, Contestant, Store
from benchmarks.measure import Budget
from benchmarks.operations import READS
from benchmarks.progress import QuietProgress
from benchmarks.reference import ReferenceScan
from benchmarks.sessions import Population, SessionKeys, keys_of
from sessiondex import Channel, Session

SIZE = 90


class OldestOfIdentity(ReferenceScan):
    """Forgets that the newest session of an identity is wanted."""

    async def get_by_channel(self, tenant_id: UUID, channel: Channel, user_channel_id: str) -> Session | None:
        identity = (tenant_id, channel, user_channel_id)
        for session in self.sessions.values():
            if (session.tenant_id, session.channel, session.user_channel_id) == identity:
                return session
        return None


class OldestFirst(ReferenceScan):
    """Has the right sessions in the wrong order."""

    async def list_by_customer(self, tenant_id: UUID, customer_profile_id: UUID, *, limit: int = 100) -> list[Session]:
        return (await super().list_by_customer(tenant_id, customer_profile_id, limit=limit))[::-1]


class OneShort(ReferenceScan):
    """Loses the last of a list."""

    async def list_by_customer(self, tenant_id: UUID, customer_profile_id: UUID, *, limit: int = 100) -> list[Session]:
        return (await super().list_by_customer(tenant_id, customer_profile_id, limit=limit))[:-1]


class StaleContent(ReferenceScan):
    """Has the right session with content from elsewhere."""

    async def get(self, session_id: UUID, *, tenant_id: UUID | None = None) -> Session | None:
        session = await super().get(session_id, tenant_id=tenant_id)
        return None if session is None else session.model_copy(update={"turn_count": 99})


@pytest.mark.parametrize(
    ("wrong", "query", "how"),
    [
        (OldestOfIdentity, "get_by_channel", "other ids from place 0 on"),
        (OldestFirst, "list_by_customer", "other ids from place 0 on"),
        (OneShort, "list_by_customer", "one of them cut short"),
        (StaleContent, "get", "the same id with other content at place 0"),
    ],
)
async def test_wrong_store(wrong: type[ReferenceScan], query: str, how: str) -> None:
    """A contestant that answers wrongly is found out; the message names the query, both contestants and the fault."""
    collected = {INDEXED: await _answers(STORES[INDEXED]), REFERENCE: await _answers(lambda clock: wrong(clock=clock))}

    with pytest.raises(answers.AnswersDifferError) as caught:
        answers.compare(collected, SIZE)
    assert str(caught.value).startswith(f"{query}: at {SIZE} sessions, {INDEXED} and {REFERENCE} answer differently")
    assert how in str(caught.value)


async def test_right_stores() -> None:
    """Nothing is wrong with contestants that answer alike."""
    answers.compare({name: await _answers(make) for name, make in STORES.items()}, SIZE)


async def test_wrong_store_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run with a wrong contestant ends before anything is timed."""
    monkeypatch.setitem(STORES, REFERENCE, lambda clock: OneShort(clock=clock))

    with pytest.raises(answers.AnswersDifferError, match="list_by_"):
        await lookup.run([SIZE], 1, Budget(seconds=1000, most_calls=10**9), QuietProgress())


@pytest.mark.parametrize(("side_by_side", "names"), [(SIZE, set(STORES)), (0, {INDEXED, REFERENCE})])
async def test_every_cell_is_timed(side_by_side: int, names: set[str]) -> None:
    """Side by side or one after another, then without the scan store: all operations, with all keys.

    And what services ask, with uniform keys: of the indexed store and the reference scan alone.
    """
    budget = Budget(seconds=1, most_calls=2, least_calls=1)
    cells = await lookup.run([SIZE], 1, budget, QuietProgress(), side_by_side=side_by_side)
    timed = {(cell.operation, cell.keys, cell.contestant) for cell in cells}

    assert {
        (operation, keys, name)
        for operation in (*READS, "save", "delete")
        for keys in ("uniform", "zipf 0.99")
        for name in names
    } <= timed
    assert {(operation, "uniform", name) for operation in services.OPERATIONS for name in services.STORES} == {
        cell for cell in timed if cell[0] in services.OPERATIONS
    }
    assert len(cells) == len(timed)
    assert all(cell.summary.median > 0 for cell in cells)


async def _answers(make: object) -> answers.Answers:
    clock = SteppedClock()
    assert callable(make)
    store: Store = make(clock)
    keys: list[SessionKeys] = []
    for session in Population(SIZE, seed=1):
        clock.tick()
        await store.save(session)
        keys.append(keys_of(session))
    return await answers.collect(Contestant("any", store, clock), keys)
