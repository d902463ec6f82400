"""Mixes: every contestant goes the same way, and the mix is what its recipe says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import asdict
from itertools import islice
from uuid import UUID

import pytest

from benchmarks import mixes
from benchmarks.mixes import CONTESTANTS, RECIPES
from benchmarks.operations import sessions_in
from benchmarks.peers.all import PEERS
from benchmarks.peers.load import Loaded, load
from benchmarks.progress import QuietProgress
from benchmarks.sessions import Population
from benchmarks.workload import CREATE, LIST, READ, Recipe, Wanted, Workload

SIZE = 300
BY_NAME = {recipe.name: recipe for recipe in RECIPES}
POPULATION = Population(SIZE, seed=1)
DONORS = [session.model_dump_json() for session in islice(POPULATION, 5)]


@pytest.fixture
async def loaded() -> AsyncIterator[Loaded]:
    """All contestants with the same sessions."""
    async with load([peer for peer in PEERS if peer.name in CONTESTANTS], POPULATION, QuietProgress()) as loaded:
        yield loaded


def _workload(loaded: Loaded, recipe: Recipe, name: str = CONTESTANTS[0], seed: int = 1) -> Workload:
    return Workload(recipe, loaded.field[name], Wanted(loaded.keys, seed), DONORS, seed)


async def _made(workload: Workload, count: int) -> list[tuple[str, list[str]]]:
    """Make the next calls; return the kind of each, and the ids that it answered with."""
    result = []
    for kind, make in await workload.prepare(count):
        answer = await make()
        ids = [answer] if isinstance(answer, UUID) else [session.session_id for session in sessions_in(answer)]
        result.append((kind, [str(session_id) for session_id in ids]))
    return result


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
async def test_same_calls_for_all(loaded: Loaded, recipe: Recipe) -> None:
    """With the same seed, all contestants are asked the same and answer alike; no answer is empty."""
    first, *others = [await _made(_workload(loaded, recipe, name), 60) for name in CONTESTANTS]

    assert all(ids for _, ids in first)
    assert [first] * len(others) == others


async def test_seeds(loaded: Loaded) -> None:
    """Another seed, other calls."""
    one, two = [await _made(_workload(loaded, BY_NAME["A"], seed=seed), 60) for seed in (1, 2)]

    assert one != two


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
async def test_proportions(loaded: Loaded, recipe: Recipe) -> None:
    """Calls come as often as the recipe says."""
    calls = Counter(call.kind for call in await _workload(loaded, recipe).prepare(2000))

    assert recipe.shares.keys() == calls.keys()
    assert all(abs(calls[kind] / 2000 - share) < 0.04 for kind, share in recipe.shares.items())
    assert sum(recipe.shares.values()) == pytest.approx(1)


async def test_keys_are_skewed(loaded: Loaded) -> None:
    """A few sessions are asked for often: in the mix with the latest, they are the newest."""
    calls = {name: await _made(_workload(loaded, BY_NAME[name]), 1000) for name in ("C", "D")}
    places = {str(keys.session_id): place for place, keys in enumerate(loaded.keys)}
    read = {name: Counter(ids[0] for kind, ids in made if kind == READ) for name, made in calls.items()}
    newest = [ids[0] for kind, ids in calls["D"] if kind == CREATE]

    assert read["C"].most_common(1)[0][1] > 100
    assert places[read["C"].most_common(1)[0][0]] not in (0, SIZE - 1)
    assert sum(read["D"][session_id] for session_id in newest) > 400
    assert read["D"][newest[-1]] < 100  # others were the newest before


async def test_lists_are_short(loaded: Loaded) -> None:
    """Lists of an agent have 1 to 20 sessions."""
    lengths = {len(ids) for kind, ids in await _made(_workload(loaded, BY_NAME["E"]), 300) if kind == LIST}

    assert min(lengths) == 1
    assert max(lengths) <= 20


async def test_tidied_up(loaded: Loaded) -> None:
    """Sessions that were made are gone afterwards, also those that were prepared and never saved."""
    workload = _workload(loaded, BY_NAME["D"])
    made = [ids[0] for kind, ids in await _made(workload, 300) if kind == CREATE]
    await workload.prepare(100)
    store = workload.contestant.store
    assert await store.get(UUID(made[0])) is not None
    await workload.tidy_up()

    assert [await store.get(UUID(session_id)) for session_id in made] == [None] * len(made)
    assert all([await store.get(keys.session_id) for keys in loaded.keys])


async def test_nothing_found(loaded: Loaded) -> None:
    """A read that finds nothing stops the run."""
    workload = _workload(loaded, BY_NAME["C"])
    for keys in loaded.keys:
        await workload.contestant.store.delete(keys.session_id)

    with pytest.raises(AssertionError, match="get: indexed finds nothing"):
        await workload.run(1.0)


async def test_run() -> None:
    """Every mix is run on every contestant, and all of it can be written."""
    found = await mixes.run(SIZE, 1, 0.01, QuietProgress())

    assert [(recipe.name, name) for recipe in RECIPES for name in CONTESTANTS] == [
        (mix.name, mix.contestant) for mix in found
    ]
    for mix in found:
        assert mix.calls == sum(latency.calls for latency in mix.latencies.values()) > 0
        assert mix.calls_per_second == pytest.approx(mix.calls / mix.seconds)
        assert mix.latencies.keys() <= BY_NAME[mix.name].shares.keys()
    assert json.loads(json.dumps([asdict(mix) for mix in found]))[0]["sessions"] == SIZE
