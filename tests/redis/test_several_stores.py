"""Share sessions through a server: several stores, as several processes have them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from sessiondex import (
    ChangeKind,
    InvalidArgumentError,
    InvalidSessionError,
    ScanSessionStore,
    StoreUnavailableError,
    TurnTimeoutError,
)
from sessiondex.stores.redis import RedisSessionStore, keys
from sessiondex.stores.redis.turns import RemoteTurn
from tests.support import virtual_time
from tests.support.builders import AGENT, TENANT, NotedSession, make_session
from tests.support.redis.planted_keys import has_key
from tests.support.redis.servers import Servers


async def test_a_turn_of_another_process_is_waited_for(make_redis: Any) -> None:
    """It comes when that one has left, or not in time."""
    one, other, order = make_redis(), make_redis(), list[str]()
    other._prefix = one._prefix
    session_id = make_session().session_id

    async def work(store: Any, name: str) -> None:
        async with store.exclusive(session_id):
            order.append(f"{name} begins")
            await store.get(session_id)
            order.append(f"{name} ends")

    async with one.exclusive(session_id):
        with pytest.raises(TurnTimeoutError, match=r"within 0.05 s"):
            async with other.exclusive(session_id, timeout=0.05):
                pass
        waiting = asyncio.create_task(work(other, "other"))
    await asyncio.gather(work(one, "one"), waiting)

    assert [step.partition(" ")[2] for step in order] == ["begins", "ends"] * 2


async def test_a_turn_ends_with_the_process_that_has_it(make_redis: Any) -> None:
    """A turn that is not renewed runs out, and another process gets it."""
    one, other = (make_redis(turn_ttl=timedelta(milliseconds=100)) for _ in range(2))
    other._prefix = one._prefix
    session_id = make_session().session_id
    async with one.exclusive(session_id):
        (renewing,) = (task for task in asyncio.all_tasks() if task.get_name() == "sessiondex turn")
        renewing.cancel()  # as when the process has died
        async with other.exclusive(session_id):
            pass


async def test_renewing_a_turn_extends_it(make_redis: Any, servers: Servers) -> None:
    """On the server, and only for the task that has it."""
    store, session_id = make_redis(turn_ttl=timedelta(hours=1)), make_session().session_id
    key = keys.turn(store._prefix, session_id)
    async with store.exclusive(session_id):
        (client,) = (node.client() for node in servers.nodes if has_key(node, key))
        token = client.get(key).decode()
        client.pexpire(key, 600_000)
        is_anothers = await store._ask_for_turn(key, "keep_turn", "another", 3_600_000)
        left_to_another = client.pttl(key)
        is_ours = await store._ask_for_turn(key, "keep_turn", token, 3_600_000)

        assert (is_anothers, is_ours) == (False, True)
        assert left_to_another <= 600_000 < client.pttl(key)


def test_a_turn_is_renewed_for_as_long_as_it_takes() -> None:
    """Three times within its time to live, until it is passed on."""
    asked: list[tuple[str, float]] = []

    async def ask(function: str, _token: str, _ttl: int) -> bool:
        asked.append((function, round(asyncio.get_running_loop().time(), 3)))
        return True

    async def main() -> None:
        turn = RemoteTurn(ask, 3_000)
        await turn.take(None)
        await asyncio.sleep(2.5)
        await turn.pass_on()
        await asyncio.sleep(10)

    virtual_time.run(main())

    assert asked == [("take_turn", 0), ("keep_turn", 1), ("keep_turn", 2), ("pass_turn", 2.5)]


def test_a_turn_that_cannot_be_renewed_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A server that is away for a moment is asked again; a turn that ran out is not."""
    asked: list[str] = []

    async def ask(function: str, _token: str, _ttl: int) -> bool:
        asked.append(function)
        if function == "pass_turn" or asked.count("keep_turn") == 1:
            raise StoreUnavailableError("host:1", function, "it is away", is_outcome_unknown=False)
        return function == "take_turn" or asked.count("keep_turn") < 3

    async def main() -> None:
        turn = RemoteTurn(ask, 3_000)
        await turn.take(None)
        await asyncio.sleep(60)
        await turn.pass_on()

    virtual_time.run(main())

    assert asked == ["take_turn", "keep_turn", "keep_turn", "keep_turn", "pass_turn"]
    assert [record.message.partition(",")[0].partition(";")[0] for record in caplog.records] == [
        "a turn could not be renewed",
        "a turn ran out",
        "a turn could not be passed on",
    ]


@pytest.mark.parametrize("fields", [{}, {"session_id": UUID(int=77)}], ids=["other ids", "one id"])
async def test_one_of_several_processes_creates(make_redis: Any, fields: dict[str, Any]) -> None:
    """All of them get the session that one has made, and each makes one at most, though they may agree on its id."""
    stores = [make_redis() for _ in range(4)]
    made = []

    async def create() -> Any:
        session = make_session(user_channel_id="ann", **fields)
        made.append(session)
        await asyncio.sleep(0)
        return session

    for store in stores:
        store._prefix = stores[0]._prefix
    calls = [store.get_or_create(TENANT, "webchat", "ann", create) for store in stores * 5]
    answers = await asyncio.gather(*calls)

    assert len({session.session_id for session, _ in answers}) == 1
    assert sum(was_created for _, was_created in answers) == 1
    assert len(made) <= len(stores)
    assert len(await stores[0].list_by_agent(TENANT, AGENT)) == 1


async def test_changes_of_another_process_are_followed(make_redis: Any) -> None:
    """In the order of commits; from where another has read up to."""
    writer, reader = make_redis(), make_redis()
    reader._prefix = writer._prefix
    changes = reader.changes(tenant_id=TENANT)
    first = asyncio.ensure_future(anext(changes))
    await reader.get(make_session().session_id)  # by now it has its place
    sessions = [make_session() for _ in range(3)]
    for session in sessions:
        await writer.save(session)
    await writer.delete(sessions[0].session_id)
    found = [await first, *[await anext(changes) for _ in range(3)]]
    again = reader.changes(since=found[1].sequence, tenant_id=TENANT)

    assert [change.kind for change in found] == [ChangeKind.SAVED] * 3 + [ChangeKind.DELETED]
    assert [change.after for change in found] == [*sessions, None]
    assert await anext(again) == found[2]


async def test_on_a_cluster_changes_need_a_tenant(make_redis: Any, servers: Servers) -> None:
    if servers.url.startswith("redis+cluster"):
        with pytest.raises(NotImplementedError, match="give tenant_id"):
            make_redis().changes()
    else:
        assert make_redis().changes()


async def test_a_class_that_another_process_saved_has_to_be_known(make_redis: Any) -> None:
    """The error names the class, and `session_classes`."""
    writer, reader, informed = make_redis(), make_redis(), make_redis(session_classes=[NotedSession])
    reader._prefix = informed._prefix = writer._prefix
    session = make_session(NotedSession, note="n")
    await writer.save(session)
    with pytest.raises(InvalidSessionError, match=r"class .*NotedSession, which .* give it in session_classes"):
        await reader.get(session.session_id)

    assert await informed.get(session.session_id) == session


@pytest.mark.parametrize("classes", [NotedSession, "NotedSession", [int], ["x"]])
def test_session_classes_that_are_none(classes: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="session_classes"):
        RedisSessionStore("redis://localhost", session_classes=classes)


@pytest.mark.parametrize("turn_ttl", [timedelta(milliseconds=99), 5])
def test_a_turn_that_would_end_too_soon(turn_ttl: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"turn_ttl: must be a timedelta of at least 0\.1 s"):
        RedisSessionStore("redis://localhost", turn_ttl=turn_ttl)


async def test_a_cursor_of_another_store() -> None:
    with pytest.raises(InvalidArgumentError, match="cursor"):
        await ScanSessionStore[Any]().export(cursor="no cursor")
    store = RedisSessionStore[Any]("redis://localhost")
    with pytest.raises(InvalidArgumentError, match="cursor"):
        await store.export(cursor=f"{TENANT.hex}:x")
    await store.aclose()
