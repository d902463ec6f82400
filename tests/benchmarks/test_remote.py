"""The store over a server: what is counted, compared and shared."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.figure import MISSED, NOT_RUN, REACHED
from benchmarks.figures_remote import remote_figures
from benchmarks.progress import QuietProgress
from benchmarks.remote import rates, service, trips
from benchmarks.remote.all import Remote
from benchmarks.remote.relay import Relay
from benchmarks.remote.server import bare_client, url, valkey
from benchmarks.remote.service import TurnsDifferError, WorkerFailedError, check
from benchmarks.remote.tables import tables
from benchmarks.remote.worker import AGENT, CHANNEL, TAKEN, TENANT, Share, user
from sessiondex import Session, SessionStore
from sessiondex.stores.redis import RedisSessionStore
from tests.benchmarks.small_run import small_run


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with valkey() as port:
        yield port


def remote() -> Remote:
    return small_run().remote


# -- round trips --


async def test_a_round_trip_is_a_request_and_its_answer(port: int) -> None:
    """Commands that are sent together are one, as is one that is long; one after the other, each is one."""
    async with Relay(port) as relay, bare_client(relay.port) as client:
        await client.ping()
        before = relay.traffic
        await client.set("long", b"x" * 1_000_000)
        await client.get("long")
        one_by_one = relay.traffic.since(before)
        async with client.pipeline(transaction=False) as pipeline:
            for key in "abc":
                pipeline.get(key)
            await pipeline.execute()
        together = relay.traffic.since(before).trips - one_by_one.trips

    assert (one_by_one.trips, together) == (2, 1)
    assert min(one_by_one.sent, one_by_one.received) > 1_000_000


def test_every_operation_is_counted() -> None:
    """Whatever the contract has that asks for something."""
    ends = {"aclose", "stats"}
    operations = {name for name, _ in inspect.getmembers(SessionStore, inspect.isfunction) if name[0] != "_"} - ends
    counted = {name.partition(",")[0] for name in trips.OPERATIONS}

    assert operations <= counted


def test_what_the_docs_say_of_round_trips() -> None:
    """One, and one more without a tenant, and for what is new."""
    waited = {one.operation: one.waited for one in remote().trips}

    assert waited.keys() == trips.OPERATIONS.keys()
    assert {waited[name] for name in ("get", "save", "delete", "get_by_channel", "count_steps")} == {1}
    assert {waited[name] for name in ("get, no tenant given", "save, new", "update")} == {2}


# -- rates --


def test_rates_are_compared_with_the_bare_ones() -> None:
    shares = {rate.call: rate.of_bare for rate in remote().rates}

    assert {name for name, share in shares.items() if share is None} == {rates.BARE_GET, rates.BARE_SET}
    assert all(share > 0 for share in shares.values() if share is not None)


@pytest.mark.parametrize(
    ("sessions", "get", "save"), [(10_000, REACHED, MISSED), (100, NOT_RUN, NOT_RUN)], ids=["enough", "too few"]
)
def test_figures(sessions: int, get: str, save: str) -> None:
    """At least 60 % of the bare calls, at the size that it is said of."""
    made = [rates.Rate(rates.GET, 6_000, 0.6, 90, 15), rates.Rate(rates.SAVE, 3_000, 0.3, 200, 80)]
    figures = list(remote_figures(replace(remote(), sessions=sessions, rates=made)))

    assert [get, save] == [figure.state for figure in figures]
    assert all("bare" in figure.name and figure.target == "at least 60 %" for figure in figures)


# -- workers --


async def test_every_turn_is_taken_once(port: int) -> None:
    """By one worker and by two."""
    found = await service.run(port, 3, 6, rounds=1, progress=QuietProgress(), tasks=4)

    assert [(each.workers, each.turns) for each in found] == [(1, 18), (2, 18)]


def test_workers_share_each_conversation() -> None:
    """Each has turns of all, and together they have every turn of every one."""
    shares = [Share("", "", worker, 2, conversations=5, turns=7, tasks=1).visits() for worker in range(2)]

    assert all({conversation for conversation, _ in visits} == set(range(5)) for visits in shares)
    assert sorted(shares[0] + shares[1]) == [(conversation, turn) for conversation in range(5) for turn in range(7)]


@pytest.mark.parametrize(
    ("taken", "message"),
    [([0, 1], None), ([1, 0], None), ([0], "has the turns"), ([0, 1, 1], "has the turns")],
    ids=["all", "in another order", "lost", "twice"],
)
async def test_turns_are_counted(port: int, taken: list[int], message: str | None) -> None:
    """A turn that was lost, or taken twice, is an error that names the conversation."""
    prefix = f"counted-{taken}"
    async with RedisSessionStore[Session](url(port), prefix=prefix) as store:
        await _talk(store, taken)

    if message is None:
        await check(url(port), prefix, 1, 2)
    else:
        with pytest.raises(TurnsDifferError, match=f"conversation 0 {message}"):
            await check(url(port), prefix, 1, 2)


async def test_sessions_are_counted(port: int) -> None:
    """Two sessions of one conversation are an error, though one has all turns."""
    async with RedisSessionStore[Session](url(port), prefix="double") as store:
        await _talk(store, [])
        await _talk(store, [0, 1])

    with pytest.raises(TurnsDifferError, match="1 conversations have 2 sessions"):
        await check(url(port), "double", 1, 2)


async def _talk(store: Any, taken: list[int]) -> None:
    session = Session(
        tenant_id=TENANT, agent_id=AGENT, channel=CHANNEL, user_channel_id=user(0), variables={TAKEN: list(taken)}
    )
    await store.save(session)


async def test_a_worker_that_fails(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends the run, with what it said."""
    monkeypatch.setattr(service, "url", lambda port: f"nonsense://{port}")

    with pytest.raises(WorkerFailedError, match="InvalidArgumentError: url: must begin with one of"):
        await service.run(port, 1, 1, rounds=1, progress=QuietProgress())


# -- the rest --


def test_weight() -> None:
    """A row is its JSON and a little more; with its locator and its share of the indexes it is most of what is used."""
    weight = remote().weight
    parts = sum(weight.keys.values())

    assert set(weight.keys) == {"row", "indexes", "locator"}
    assert 1 < weight.keys["row"] / weight.json < 1.5
    assert weight.keys["row"] < parts < weight.used


def test_tables() -> None:
    """Each has a row for each thing that was measured, as wide as its head."""
    shown = tables(remote())

    assert [len(trips.OPERATIONS), len(rates.BARE) + 2, 9, 2, 1] == [len(table.rows) for table in shown]
    assert all(len(row) == len(table.head) for table in shown for row in table.rows)
