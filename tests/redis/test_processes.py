"""Several processes, and several stores of one, that share sessions through a server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from sessiondex import ChangeKind, TurnTimeoutError
from tests.support.builders import AGENT, TENANT, make_session
from tests.support.redis.servers import Servers

ROOT = Path(__file__).parents[2]

WORKER = """
    import asyncio, sys
    from uuid import UUID
    from sessiondex.stores.redis import RedisSessionStore

    def counted(session):
        session.turn_count += 1

    async def main(url, prefix, session_id, how):
        async with RedisSessionStore(url, prefix=prefix) as store:
            for _ in range(50):
                if how == "update":
                    await store.update(session_id, counted, attempts=1_000)
                else:
                    async with store.exclusive(session_id):
                        session = await store.get(session_id)
                        counted(session)
                        await store.save(session, expected_revision=session.revision)

    asyncio.run(main(sys.argv[1], sys.argv[2], UUID(sys.argv[3]), sys.argv[4]))
"""


@pytest.mark.parametrize("how", ["update", "turn"])
async def test_two_processes_lose_nothing(make_redis: Any, servers: Servers, how: str) -> None:
    """Each counts to fifty, by updates, or in turns in which it saves what it has read."""
    store, session = make_redis(), make_session()
    await store.save(session)
    command = [sys.executable, "-c", textwrap.dedent(WORKER), servers.url, store._prefix, str(session.session_id), how]
    workers = [await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=subprocess.PIPE) for _ in range(2)]
    told = await asyncio.gather(*(worker.communicate() for worker in workers))

    assert [worker.returncode for worker in workers] == [0, 0], told
    assert (await store.get(session.session_id)).turn_count == 100


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
    """Soon after it no longer renews it; and one that is renewed lasts for as long as it takes."""
    one, other = (make_redis(turn_ttl=timedelta(milliseconds=300)) for _ in range(2))
    other._prefix = one._prefix
    session_id = make_session().session_id
    async with one.exclusive(session_id):
        with pytest.raises(TurnTimeoutError):
            async with other.exclusive(
                session_id, timeout=0.9
            ):  # three times as long as it lasts without being renewed
                pass
        (renewing,) = (task for task in asyncio.all_tasks() if task.get_name() == "sessiondex turn")
        renewing.cancel()  # as when the process has died
        async with other.exclusive(session_id, timeout=10):
            pass


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
