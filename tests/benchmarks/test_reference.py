"""The reference scan: a fair rival gives the right answers."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import answers
from benchmarks.clock import SteppedClock
from benchmarks.contestants import INDEXED, REFERENCE, SCAN_STORE, Contestant, contestants
from benchmarks.operations import change
from benchmarks.sessions import UNIFORM, ZIPF, Population, SessionKeys, keys_of
from sessiondex import Channel, ScopeFilter

SIZE = 250
NODE = next(iter(Population(SIZE, seed=7))).step_history[-1].step_name


@pytest.fixture
async def field() -> tuple[list[Contestant], list[SessionKeys]]:
    """All contestants with the same sessions, some of which were changed and saved again, some deleted."""
    clock = SteppedClock()
    group = contestants((INDEXED, SCAN_STORE, REFERENCE), clock)
    population = Population(SIZE, seed=7)
    keys = []
    for session in population:
        clock.tick()
        keys.append(keys_of(session))
        for contestant in group:
            await contestant.store.save(session)
    for number, of_session in enumerate(keys[:80]):
        clock.tick()
        for contestant in group:
            if number % 5 == 0:
                assert await contestant.store.delete(of_session.session_id)
            else:
                found = await contestant.store.get(of_session.session_id)
                assert found is not None
                change(found)
                await contestant.store.save(found)
    return group, [keys[place] for places in population.draws.values() for place in places[:40]]


async def test_same_sessions(field: tuple[list[Contestant], list[SessionKeys]]) -> None:
    """Every query of every contestant gives the same sessions, with the same content and stamps, in the same order."""
    group, keys = field
    indexed, scan_store, reference = [await answers.collect(contestant, keys) for contestant in group]

    assert scan_store == reference
    assert scan_store == indexed
    assert all(any(answer) for answer in reference.values())


@pytest.mark.parametrize(
    "scope",
    [
        {"include_channels": [Channel.WHATSAPP]},
        {"exclude_channels": [Channel.WHATSAPP], "include_current_nodes": [NODE]},
        {"exclude_current_nodes": [NODE], "min_session_age_days": 3, "max_session_age_days": 20},
    ],
)
async def test_scope_filter(field: tuple[list[Contestant], list[SessionKeys]], scope: dict[str, Any]) -> None:
    """A step query with a filter gives the same sessions too."""
    group, keys = field
    found = [
        [
            answers.digest(session)
            for of in keys[:20]
            for session in await contestant.store.find_sessions_by_step_hash(
                of.tenant_id, of.scenario_id, of.scenario_version, of.step_content_hash, ScopeFilter(**scope)
            )
        ]
        for contestant in group
    ]

    assert found[0] == found[1] == found[2]
    assert found[0]


async def test_limits(field: tuple[list[Contestant], list[SessionKeys]]) -> None:
    """A limit cuts a list short in all contestants alike."""
    group, keys = field
    found = [await c.store.list_by_agent(keys[0].tenant_id, keys[0].agent_id, limit=2) for c in group]

    digests = [[answers.digest(session) for session in sessions] for sessions in found]
    assert len(digests[0]) == 2
    assert digests[0] == digests[1] == digests[2]


async def test_other_tenants(field: tuple[list[Contestant], list[SessionKeys]]) -> None:
    """With another tenant's id a session is neither got nor deleted."""
    group, keys = field
    other = next(of.tenant_id for of in keys if of.tenant_id != keys[-1].tenant_id)

    for contestant in group:
        assert await contestant.store.get(keys[-1].session_id, tenant_id=other) is None
        assert not await contestant.store.delete(keys[-1].session_id, tenant_id=other)


def test_population_is_repeatable() -> None:
    """The same size and seed give the same sessions and the same draws; another seed gives others."""
    population, again, other = Population(50, 1), Population(50, 1), Population(50, 2)

    assert list(population) == list(again)
    assert population.draws == again.draws
    assert list(population) != list(other)


def test_standard_session_size() -> None:
    """About 1.6 KB as JSON, three step visits, every field set: the pending migration in some, the revision not yet."""
    sessions = list(Population(300, 1))
    fields = {name for session in sessions for name, value in session if value not in (None, [], {}, 0)}

    assert 1_500 < sum(len(session.model_dump_json()) for session in sessions) / len(sessions) < 1_750
    assert {3} == {len(session.step_history) for session in sessions}
    assert fields == set(type(sessions[0]).model_fields) - {"revision"}


def test_draws_are_skewed_or_not() -> None:
    """The sessions asked for are drawn evenly, or with few asked for often."""
    draws = Population(1000, 1).draws
    most = {name: max(map(places.count, set(places))) for name, places in draws.items()}

    assert most[UNIFORM] < 20
    assert most[ZIPF] > 300
