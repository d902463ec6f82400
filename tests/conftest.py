"""Fixtures: every store made here is checked against a recomputation of all its indexes when its test ends."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from sessiondex import InMemorySessionStore
from tests.support import seeds
from tests.support.builders import Clock
from tests.support.sizes import IS_STRESS
from tests.support.slice_time import counted_slices
from tests.support.stores import STORES, made_and_checked

# No verdict depends on time: a busy machine is no bug. The same examples each time, unless a seed is asked for.
settings.register_profile(
    "sessiondex",
    parent=settings(),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=seeds.GIVEN_SEED is None,
)
settings.load_profile("sessiondex")

# Long searches, which `nox -s stress` asks for.
collect_ignore = [] if IS_STRESS else ["stress"]


class MarkdownInPagesOnly:
    """Keeps pytest-markdown-docs from searching docstrings, which hold none and take two thirds of the collection."""

    @pytest.hookimpl(wrapper=True)
    def pytest_collect_file(self, file_path: Path) -> Generator[None, list[Any], list[Any]]:
        collectors = yield
        return (
            collectors
            if file_path.suffix != ".py"
            else [one for one in collectors if type(one).__name__ != "MarkdownDocstringCodeModule"]
        )


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(MarkdownInPagesOnly())
    if seeds.GIVEN_SEED is not None:
        config.option.hypothesis_seed = seeds.GIVEN_SEED


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Have every failure say how to repeat it: whatever is drawn in a test is drawn from a seed."""
    report = yield
    if report.failed:
        report.sections.append(("To repeat it", seeds.command(item.nodeid, seeds.GIVEN_SEED)))
    return report


@pytest.fixture
def try_each(request: pytest.FixtureRequest) -> seeds.TryEach:
    """Try each of some seeds, see `tests.support.seeds`; a failure names this test, and its seed."""
    return partial(seeds.try_each, test=request.node.nodeid)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def short_slices() -> Iterator[None]:
    """Have long operations let other tasks run after `ITEMS_PER_SLICE` items, not after a time."""
    with counted_slices():
        yield


@pytest.fixture(params=STORES)
def make_store(request: pytest.FixtureRequest, clock: Clock) -> Iterator[Any]:
    cls, defaults = STORES[request.param]
    yield from made_and_checked(lambda **options: cls(**{"clock": clock, **defaults, **options}))


@pytest.fixture
def store(make_store: Any) -> Any:
    """Each store in turn, with the test's clock."""
    return make_store()


@pytest.fixture
def make_indexed(clock: Clock) -> Iterator[Any]:
    yield from made_and_checked(lambda **options: InMemorySessionStore(**{"clock": clock, **options}))


@pytest.fixture
def indexed(make_indexed: Any) -> InMemorySessionStore:
    store: InMemorySessionStore = make_indexed()
    return store
