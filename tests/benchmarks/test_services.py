"""What services ask: the reference scan answers it as the store does, and what differs is not timed."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from benchmarks import lookup, services
from benchmarks.answers import AnswersDifferError, digest
from benchmarks.clock import SteppedClock
from benchmarks.contestants import INDEXED, REFERENCE, SCAN_STORE, STORES, Contestant, contestants
from benchmarks.measure import Budget
from benchmarks.operations import change
from benchmarks.progress import QuietProgress
from benchmarks.reference import ReferenceScan
from benchmarks.sessions import Population, SessionKeys, keys_of
from sessiondex import Session, SessionNotFoundError, SessionStatus, SessionStore

SIZE = 300

Field = tuple[list[Contestant], list[SessionKeys]]


@pytest.fixture
async def field() -> Field:
    """Both contestants and the scan store as their judge, with the same sessions."""
    group = contestants((SCAN_STORE, INDEXED, REFERENCE), SteppedClock())
    keys = []
    for session in Population(SIZE, seed=7):
        group[0].clock.tick()
        keys.append(keys_of(session))
        for contestant in group:
            await contestant.store.save(session)
    return group, keys


async def test_same_answers(field: Field) -> None:
    """Pages, half of an agent's sessions in the deep one, and counts are the same."""
    group, keys = field
    judge, indexed, reference = [await services.collect(contestant, keys) for contestant in group]
    first, deep = judge[services.PAGE], judge[services.DEEP_PAGE]

    assert judge == indexed
    assert judge == reference
    assert all(map(any, judge.values()))
    assert all(page[len(page) - len(below) :] == below for page, below in zip(first, deep, strict=True))
    assert 0.4 < sum(map(len, deep)) / sum(map(len, first)) < 0.6


async def test_step_without_hash(field: Field) -> None:
    """A session without a step, or at one without a hash, is counted at none."""
    group, keys = field
    at_step = [of for of in keys if of.status is SessionStatus.ACTIVE]
    counted = []
    for contestant in group:
        contestant.clock.tick()
        for of, visits in zip(at_step, (0, 1), strict=False):
            session = await contestant.store.get(of.session_id)
            assert session is not None
            last = session.step_history[-1].model_copy(update={"step_content_hash": None})
            session.step_history = [last] * visits
            await contestant.store.save(session)
        counted.append((await services.collect(contestant, at_step))[services.STEPS])

    assert counted[0] == counted[1] == counted[2]


async def test_update(field: Field) -> None:
    """An update leaves the same session in all, with the same stamp; of a session that is not there it is refused."""
    group, keys = field
    group[0].clock.tick()
    for contestant in group:
        store = contestant.store
        assert isinstance(store, SessionStore | ReferenceScan)
        changed = await store.update(keys[3].session_id, change)
        stored = await store.get(keys[3].session_id)

        assert stored is not None
        assert changed.turn_count == 4
        assert digest(changed) == digest(stored)
        assert stored.last_activity_at == contestant.clock()
        with pytest.raises(SessionNotFoundError):
            await store.update(uuid4(), change)


class OneMore(ReferenceScan):
    """Counts somebody who is not there."""

    async def count_by_agent(self, tenant_id: UUID, agent_id: UUID) -> int:
        return 1 + await super().count_by_agent(tenant_id, agent_id)


class NoCursor(ReferenceScan):
    """Gives the first page, whatever the cursor."""

    async def list_by_agent(self, tenant_id: UUID, agent_id: UUID, **more: Any) -> list[Session]:
        return await super().list_by_agent(tenant_id, agent_id, **{**more, "before": None})


class OtherSteps(ReferenceScan):
    """Counts twice at each step."""

    async def count_steps(self, tenant_id: UUID, scenario_id: UUID, scenario_version: int) -> dict[str, int]:
        steps = await super().count_steps(tenant_id, scenario_id, scenario_version)
        return {step: 2 * count for step, count in steps.items()}


@pytest.mark.parametrize("side_by_side", [SIZE, 0])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (OneMore, r"count_by_agent: at 300 .* other content at place 0, count:\d+ and count:\d+"),
        (NoCursor, r"list_by_agent, 20 from half-way: at 300 "),
        (OtherSteps, r"count_steps: at 300 .* other content at place 0"),
    ],
)
async def test_what_differs_is_not_timed(
    wrong: type[ReferenceScan], message: str, side_by_side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run with a contestant that pages or counts otherwise ends before anything of it is timed."""
    monkeypatch.setitem(STORES, REFERENCE, lambda clock: wrong(clock=clock))

    with pytest.raises(AnswersDifferError, match=message) as caught:
        await lookup.run([SIZE], 1, Budget(0.001, most_calls=2, least_calls=1), QuietProgress(), side_by_side)
    assert f"{INDEXED} and {REFERENCE} answer differently" in str(caught.value)
