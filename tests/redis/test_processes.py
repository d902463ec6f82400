"""Share sessions between two processes. `nox -s servers` runs this."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import make_session
from tests.support.redis.internals import prefix_of
from tests.support.redis.servers import Servers

pytestmark = pytest.mark.servers

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


@pytest.mark.parametrize("how", ["update", "lock"])
async def test_two_processes_lose_nothing(make_redis: Any, servers: Servers, how: str) -> None:
    """Each adds fifty to a counter, by `update`, or by read and save while it owns the lock."""
    store, session = make_redis(), make_session()
    await store.save(session)
    command = [
        sys.executable,
        "-c",
        textwrap.dedent(WORKER),
        servers.url,
        prefix_of(store),
        str(session.session_id),
        how,
    ]
    workers = [await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=subprocess.PIPE) for _ in range(2)]
    outputs = await asyncio.gather(*(worker.communicate() for worker in workers))

    assert [worker.returncode for worker in workers] == [0, 0], outputs
    assert (await store.get(session.session_id)).turn_count == 100
