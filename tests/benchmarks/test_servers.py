"""The Redis store on a real server: all parts in one small run."""

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.measure.processes import ProcessFailedError
from benchmarks.measure.progress import Progress
from benchmarks.report.tables import tables
from benchmarks.scenarios.servers import rates, scenario, workers
from benchmarks.scenarios.servers.relay import Relay
from benchmarks.scenarios.servers.server import bare_client, url, valkey
from benchmarks.scenarios.servers.workers import AGENT, CHANNEL, TAKEN, TENANT, Share, TurnsDifferError
from sessiondex import Session
from sessiondex.stores.redis import RedisSessionStore
from tests.benchmarks.small_run import small_run

EXTENT = scenario.Extent(20, 1, 40, worker_rounds=1, conversations=2, turns=4)


async def test_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """All parts run and have tables; round trips are as documented; wrong turns and failed workers are found out."""
    with valkey() as port:
        monkeypatch.setattr(scenario, "valkey", lambda: nullcontext(port))
        found = await scenario.run(EXTENT, 1, Progress())
        await _check_relay(port)
        await _check_turns(port)
        monkeypatch.setattr(workers, "url", lambda port: f"nonsense://{port}")
        with pytest.raises(ProcessFailedError, match="InvalidArgumentError: url: must begin with one of"):
            await workers.run(port, 1, 1, rounds=1, progress=Progress())
    waited = {trips.operation: trips.waited for trips in found.trips}

    assert {waited[name] for name in ("get", "save", "delete", "get_by_channel", "count_steps")} == {1}
    assert {waited[name] for name in ("get, no tenant given", "save, new", "update")} == {2}
    assert {rate.call for rate in found.rates if rate.of_bare is None} == {rates.BARE_GET, rates.BARE_SET}
    assert [(each.workers, each.turns) for each in found.workers] == [(1, 8), (2, 8)]
    assert found.bytes_per_session > 1_600

    shown = [table for table in tables(replace(small_run(), servers=found)) if table.part == "servers"]
    assert [len(rates.BARE) + 2, len(found.trips), 2] == [len(table.rows) for table in shown]


async def _check_relay(port: int) -> None:
    """Commands that are sent together are one round trip, as is a long one; one after the other, each is one."""
    async with Relay(port) as relay, bare_client(relay.port) as client:
        await client.ping()
        before = relay.relayed
        await client.set("long", b"x" * 1_000_000)
        await client.get("long")
        one_by_one = relay.relayed.since(before)
        async with client.pipeline(transaction=False) as pipeline:
            for key in "abc":
                pipeline.get(key)
            await pipeline.execute()

        assert one_by_one.trips == 2
        assert min(one_by_one.sent, one_by_one.received) > 1_000_000
        assert relay.relayed.since(before).trips == 3


async def _check_turns(port: int) -> None:
    """A turn that was lost or taken twice is an error, and so are two sessions of one conversation."""
    for taken, message in (([1, 0], None), ([0], "has the turns"), ([0, 1, 1], "has the turns")):
        async with RedisSessionStore[Session](url(port), prefix=f"counted-{taken}") as store:
            await _save(store, taken)
            if message is None:
                await workers.check(url(port), f"counted-{taken}", 1, 2)
                continue
            with pytest.raises(TurnsDifferError, match=f"conversation 0 {message}"):
                await workers.check(url(port), f"counted-{taken}", 1, 2)
            await _save(store, [0, 1])
            with pytest.raises(TurnsDifferError, match="1 conversations have 2 sessions"):
                await workers.check(url(port), f"counted-{taken}", 1, 2)


async def _save(store: Any, taken: list[int]) -> None:
    variables: dict[str, Any] = {TAKEN: list(taken)}
    await store.save(
        Session(tenant_id=TENANT, agent_id=AGENT, channel=CHANNEL, user_channel_id="user-0", variables=variables)
    )


def test_shares() -> None:
    """Each worker has turns of all conversations, and together they have every turn."""
    shares = [Share("", "", worker, 2, conversations=5, turns=7).visits() for worker in range(2)]

    assert all({conversation for conversation, _ in visits} == set(range(5)) for visits in shares)
    assert sorted(shares[0] + shares[1]) == [(conversation, turn) for conversation in range(5) for turn in range(7)]
