"""A store with wrong answers is found out before anything is timed."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from benchmarks.measure.progress import Progress
from benchmarks.measure.timing import Budget
from benchmarks.scenarios import lookups
from benchmarks.scenarios.answers import AnswersDifferError
from benchmarks.scenarios.operations import OPERATIONS, SERVICES
from benchmarks.stores.reference import ReferenceScan
from benchmarks.stores.subjects import INDEXED, KINDS, REFERENCE, SCAN_STORE
from sessiondex import Session

SIZE = 90
FOREVER = Budget(seconds=1000, most_calls=10**9)


class OldestOfIdentity(ReferenceScan):
    async def get_by_channel(self, *identity: Any) -> Session | None:
        for session in self.sessions.values():
            if (session.tenant_id, session.channel, session.user_channel_id) == identity:
                return session
        return None


class OldestFirst(ReferenceScan):
    async def list_by_customer(self, *args: Any, **more: Any) -> list[Session]:
        return (await super().list_by_customer(*args, **more))[::-1]


class OneShort(ReferenceScan):
    async def list_by_customer(self, *args: Any, **more: Any) -> list[Session]:
        return (await super().list_by_customer(*args, **more))[:-1]


class OtherContent(ReferenceScan):
    async def get(self, session_id: UUID) -> Session | None:
        session = await super().get(session_id)
        return None if session is None else session.model_copy(update={"turn_count": 99})


class OneMore(ReferenceScan):
    async def count_by_agent(self, tenant_id: UUID, agent_id: UUID) -> int:
        return 1 + await super().count_by_agent(tenant_id, agent_id)


class NoCursor(ReferenceScan):
    async def list_by_agent(self, tenant_id: UUID, agent_id: UUID, **more: Any) -> list[Session]:
        return await super().list_by_agent(tenant_id, agent_id, **{**more, "before": None})


@pytest.mark.parametrize(
    ("wrong", "query", "fault"),
    [
        (OldestOfIdentity, "get_by_channel", "other entries from place 0 on"),
        (OldestFirst, "list_by_customer", "other entries from place 0 on"),
        (OneShort, "list_by_customer", "one of them is cut short"),
        (OtherContent, "get", "other entries from place 0 on"),
        (OneMore, "count_by_agent", "other entries from place 0 on"),
        (NoCursor, "list_by_agent, 20 half-way", "other entries from place 0 on"),
    ],
)
async def test_wrong_store(wrong: type[ReferenceScan], query: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends before anything is timed; the message names the query, both stores and the fault."""
    monkeypatch.setitem(KINDS, REFERENCE, replace(KINDS[REFERENCE], make=wrong))
    monkeypatch.setattr(lookups, "_time", None)

    with pytest.raises(AnswersDifferError) as caught:
        await lookups.run([SIZE], 1, FOREVER, Progress(), services=True)
    assert str(caught.value).startswith(f"{query}: at {SIZE} sessions, {INDEXED} and {REFERENCE} answer differently")
    assert fault in str(caught.value)


async def test_wrong_store_among_separate_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores that are too large to be in memory together are compared too."""
    monkeypatch.setitem(KINDS, REFERENCE, replace(KINDS[REFERENCE], make=OneShort))
    monkeypatch.setattr(lookups, "MAX_TOGETHER_SIZE", 0)

    with pytest.raises(AnswersDifferError, match="list_by_customer"):
        await lookups.run([SIZE], 1, Budget(0.001, most_calls=1, least_calls=1, turns=1), Progress(), services=False)


@pytest.mark.parametrize("services", [False, True])
async def test_cells(services: bool) -> None:  # a parameter of the test
    """Every operation is timed on every store with uniform keys, and the services' only if they were asked for."""
    budget = Budget(seconds=0.001, most_calls=1, least_calls=1, turns=1)
    cells = await lookups.run([30], 1, budget, Progress(), services=services)
    timed = {(cell.operation, cell.subject) for cell in cells if cell.keys == "uniform"}
    expected = {(operation, name) for operation in OPERATIONS for name in (INDEXED, SCAN_STORE, REFERENCE)}
    expected |= {(operation, name) for operation in SERVICES for name in (INDEXED, REFERENCE) if services}
    controls = {cell.subject for cell in cells} - {INDEXED, SCAN_STORE, REFERENCE}

    assert expected == {cell for cell in timed if cell[1] not in controls}
    assert controls == {"model_copy()", "model_copy() of each", "model_dump_json()"}
    assert all(cell.summary.median > 0 for cell in cells)
