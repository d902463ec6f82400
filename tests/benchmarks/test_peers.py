"""Peers: what is compared gives the same answers, and what does not is found out."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from typing import Any
from uuid import UUID

import pytest

from benchmarks import answers, contest
from benchmarks.answers import AnswersDifferError, digest
from benchmarks.contestants import Contestant, Store
from benchmarks.measure import Budget
from benchmarks.operations import BY_AGENT, DELETE, OPERATIONS, change
from benchmarks.peers.all import DEEP_COPY, PEERS
from benchmarks.peers.deepcopy import DeepCopyingDict
from benchmarks.peers.load import load
from benchmarks.peers.peer import COPIES, LIVE, Peer
from benchmarks.peers.sqlite import READS, SQLiteStore
from benchmarks.progress import QuietProgress
from benchmarks.sessions import Population, SessionKeys
from sessiondex import Channel, ScanSessionStore, ScopeFilter, Session, SessionStatus

SIZE = 120
POPULATION = Population(SIZE, seed=7)
NODE = next(iter(POPULATION)).step_history[-1].step_name
INSTALLED = [peer for peer in PEERS if peer.version() is not None]
ORACLE = Peer("scan store", lambda: "", COPIES, lambda clock: ScanSessionStore(clock=clock))
QUICK = Budget(seconds=0.001, most_calls=3, least_calls=1)

Field = tuple[Contestant, Contestant, list[SessionKeys]]


@pytest.fixture(
    params=[
        pytest.param(peer, id=peer.name, marks=pytest.mark.skipif(peer not in INSTALLED, reason="it is not installed"))
        for peer in PEERS
    ]
)
async def field(request: pytest.FixtureRequest) -> AsyncIterator[Field]:
    """The oracle and a peer with the same sessions, some of which were saved again under other keys, some deleted."""
    peer: Peer = request.param
    async with load([ORACLE, peer], POPULATION, QuietProgress()) as (stores, keys):
        oracle, judged = stores[ORACLE.name], stores[peer.name]
        for number, of_session in enumerate(keys[:90]):
            oracle.clock.tick()
            for contestant in (oracle, judged):
                await _alter(contestant.store, number % 8, of_session, keys[-number - 1])
        yield oracle, judged, keys


async def _alter(store: Store, way: int, of_session: SessionKeys, other: SessionKeys) -> None:
    if way == 0:
        assert await store.delete(of_session.session_id)
        return
    session = await store.get(of_session.session_id)
    assert session is not None
    match way:
        case 1:
            session.status = SessionStatus.CLOSED
        case 2:
            session.agent_id = other.agent_id
        case 3:
            session.customer_profile_id = None
        case 4:
            session.step_history = []
        case 5:
            session.channel, session.user_channel_id = other.channel, other.user_channel_id
        case 6:
            session.active_scenario_id = None
        case _:
            change(session)
    await store.save(session)


async def test_same_sessions(field: Field) -> None:
    """Every query gives the sessions that the scan store gives, with the same content and stamps, in the same order."""
    oracle, judged, keys = field
    expected = await answers.collect(oracle, keys[::2])

    assert all(any(found) for found in expected.values())
    assert expected == await answers.collect(judged, keys[::2])


@pytest.mark.parametrize(
    "scope",
    [
        {"include_channels": [Channel.WHATSAPP]},
        {"exclude_current_nodes": [NODE], "min_session_age_days": 3, "max_session_age_days": 20},
    ],
)
async def test_scope_filter(field: Field, scope: dict[str, Any]) -> None:
    """A step query with a filter gives the same sessions too."""
    *both, keys = field
    expected, actual = [
        [
            digest(session)
            for of in keys
            for session in await contestant.store.find_sessions_by_step_hash(
                of.tenant_id, of.scenario_id, of.scenario_version, of.step_content_hash, ScopeFilter(**scope)
            )
        ]
        for contestant in both
    ]

    assert expected
    assert expected == actual


async def test_limits(field: Field) -> None:
    """A limit cuts a list short after its newest."""
    *both, keys = field
    of = keys[-1]
    expected, actual = [await contestant.store.list_by_agent(of.tenant_id, of.agent_id, limit=2) for contestant in both]

    assert len(expected) == 2
    assert [digest(session) for session in expected] == [digest(session) for session in actual]


async def test_other_tenants(field: Field) -> None:
    """With another tenant's id a session is neither got nor deleted, with its own it is both."""
    _, judged, keys = field
    other = next(of.tenant_id for of in keys if of.tenant_id != keys[-1].tenant_id)
    session_id = keys[-1].session_id

    assert await judged.store.get(session_id, tenant_id=other) is None
    assert not await judged.store.delete(session_id, tenant_id=other)
    assert await judged.store.get(session_id, tenant_id=keys[-1].tenant_id) is not None
    assert await judged.store.delete(session_id, tenant_id=keys[-1].tenant_id)
    assert not await judged.store.delete(session_id)


async def test_what_is_handed_out(field: Field) -> None:
    """A change of what was got is a change of what is stored if, and only if, the table says live references."""
    _, judged, keys = field
    hands_out = next(peer.hands_out for peer in PEERS if peer.name == judged.name)
    got = await judged.store.get(keys[-1].session_id)
    assert got is not None
    got.variables["city"] = "elsewhere"
    stored = await judged.store.get(keys[-1].session_id)
    assert stored is not None

    assert (stored.variables["city"] == "elsewhere") == (hands_out == LIVE)


def test_plans_of_sqlite() -> None:
    """Each query reads one index, in its order: nothing is walked over, and nothing sorted."""
    store = SQLiteStore()
    for statement in READS:
        values = [0] * statement.count("?")
        (plan,) = [row[3] for row in store.database.execute(f"EXPLAIN QUERY PLAN {statement}", values)]

        assert plan.startswith("SEARCH sessions USING INDEX ")


async def test_contest() -> None:
    """Every peer that is installed has a cell for every operation and kind of keys, and all of it can be written."""
    found = await contest.run(SIZE, 1, QUICK, QuietProgress())

    assert {peer.name for peer in PEERS} == {peer.name for peer in found.peers}
    assert {(cell.contestant, cell.operation, cell.keys) for cell in found.cells} == {
        (peer.name, operation, keys) for peer in INSTALLED for operation in OPERATIONS for keys in contest.KEYS
    }
    assert all(cell.summary.results > 0 for cell in found.cells)
    assert json.loads(json.dumps(asdict(found)))["sessions"] == SIZE


class Forgetful(DeepCopyingDict):
    async def list_by_customer(self, tenant_id: UUID, customer_profile_id: UUID, *, limit: int = 100) -> list[Session]:
        found = await super().list_by_customer(tenant_id, customer_profile_id, limit=limit)
        return found[:-1]


async def test_peer_that_errs() -> None:
    """Where a peer answers otherwise, nothing is timed, and it is named."""
    forgetful = Peer("forgetful", lambda: "1", COPIES, lambda clock: Forgetful(clock=clock))

    with pytest.raises(AnswersDifferError, match=r"list_by_customer.* indexed and forgetful"):
        await contest.run(SIZE, 1, QUICK, QuietProgress(), [INSTALLED[0], forgetful])


class Unable(DeepCopyingDict):
    async def list_by_agent(self, *_: object, **__: object) -> list[Session]:
        raise AssertionError

    async def delete(self, *_: object, **__: object) -> bool:
        raise AssertionError


async def test_peer_that_cannot() -> None:
    """What a peer says that it cannot do is neither asked nor timed; the reason is told."""
    cannot = {BY_AGENT: "it has no lists", "list_by_agent + status": "it has no lists", DELETE: "it never forgets"}
    unable = Peer("unable", lambda: "1", COPIES, lambda clock: Unable(clock=clock), cannot=cannot)
    found = await contest.run(SIZE, 1, QUICK, QuietProgress(), [INSTALLED[0], unable])

    assert {cell.operation for cell in found.cells if cell.contestant == "unable"} == set(OPERATIONS) - cannot.keys()
    assert found.peers[1].cannot == cannot


async def test_peer_that_is_not_installed() -> None:
    """It is told of, without a version, and has no cells."""
    (deep_copy,) = [peer for peer in PEERS if peer.name == DEEP_COPY]
    absent = replace(deep_copy, name="absent", version=lambda: None, make=lambda _: pytest.fail("it was made"))
    found = await contest.run(SIZE, 1, QUICK, QuietProgress(), [INSTALLED[0], absent])

    assert [(peer.name, peer.version is None) for peer in found.peers] == [("indexed", False), ("absent", True)]
    assert {cell.contestant for cell in found.cells} == {"indexed"}
