"""Mixes and floods: every store gets the same calls, in the shares of the recipe."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from benchmarks.measure.progress import Progress
from benchmarks.scenarios.floods import colliding_ids
from benchmarks.scenarios.loading import Loaded, load
from benchmarks.scenarios.mixes import CREATE, RECIPES, SUBJECTS, Recipe, Workload
from benchmarks.scenarios.operations import GET, sessions_in
from benchmarks.scenarios.sessions import Population
from tests.benchmarks.small_run import small_run

BY_NAME = {recipe.name: recipe for recipe in RECIPES}
DONORS = [session.model_dump_json() for session in Population(5, seed=1)]


@pytest.fixture
async def loaded() -> AsyncIterator[Loaded]:
    async with load(SUBJECTS, Population(120, seed=1), Progress()) as loaded:
        yield loaded


def _workload(loaded: Loaded, recipe: Recipe, name: str = SUBJECTS[0], seed: int = 1) -> Workload:
    return Workload(recipe, loaded.subjects[name], list(loaded.keys.values()), DONORS, seed)


async def _made(workload: Workload, count: int) -> list[tuple[str, list[UUID]]]:
    """Make the next calls; return the kind of each, and the ids in its answer."""
    made = []
    for _ in range(count):
        kind, call = await workload.prepare()
        answer: Any = await call()
        made.append((kind, [answer] if isinstance(answer, UUID) else [each.session_id for each in sessions_in(answer)]))
    return made


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
async def test_same_calls_for_all(loaded: Loaded, recipe: Recipe) -> None:
    """All stores get the same calls and answer alike; another seed gives other calls."""
    first, *others = [await _made(_workload(loaded, recipe, name), 40) for name in SUBJECTS]

    assert all(ids for _, ids in first)
    assert [first] * len(others) == others
    assert first != await _made(_workload(loaded, recipe, seed=2), 40)


async def test_newest_are_read_most(loaded: Loaded) -> None:
    """In the mix of the latest sessions, most reads are of sessions that it has created."""
    made = await _made(_workload(loaded, BY_NAME["D"]), 400)
    created = {ids[0] for kind, ids in made if kind == CREATE}

    assert sum(ids[0] in created for kind, ids in made if kind == GET) > 100


async def test_created_sessions_are_deleted(loaded: Loaded) -> None:
    """Also those that were prepared and never saved; the others stay."""
    workload, store = _workload(loaded, BY_NAME["D"]), loaded.subjects[SUBJECTS[0]].store
    made = [ids[0] for kind, ids in await _made(workload, 200) if kind == CREATE]
    assert await store.get(made[0]) is not None
    await workload.tidy_up()

    assert not any([await store.get(session_id) for session_id in made])
    assert all([await store.get(keys.session_id) for keys in loaded.keys.values()])


async def test_nothing_found(loaded: Loaded) -> None:
    """A read that finds nothing stops the run."""
    for keys in loaded.keys.values():
        await loaded.subjects[SUBJECTS[0]].store.delete(keys.session_id)

    with pytest.raises(AssertionError, match="get: indexed finds nothing"):
        await _workload(loaded, BY_NAME["C"]).run(1.0)


def test_run() -> None:
    """Every mix runs on every store."""
    mixes = small_run().mixes

    assert [(mix.name, mix.subject) for mix in mixes] == [
        (recipe.name, name) for recipe in RECIPES for name in SUBJECTS
    ]
    assert all(mix.calls > 0 and mix.calls_per_second > 0 for mix in mixes)


def test_floods() -> None:
    """Session ids and customer ids are tried; the ids of a flood have one hash."""
    assert [(flood.kind, flood.ids) for flood in small_run().floods] == [("session", 250), ("customer", 250)]
    assert len({hash(one) for one in colliding_ids(100)}) == 1
