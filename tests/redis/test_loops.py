"""A store moves from one event loop to another while calls are under way. No call uses connections of another loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sessiondex import SessionStore, WrongLoopError
from sessiondex.stores.redis import RedisSessionStore
from tests.support.builders import AGENT, TENANT, make_session
from tests.support.redis.internals import client_of, parts_of
from tests.support.redis.servers import OneServer


@pytest.fixture
def loops() -> Iterator[list[asyncio.AbstractEventLoop]]:
    """Provide two loops, and end them as `asyncio.run` does."""
    with asyncio.Runner() as one, asyncio.Runner() as other:
        yield [one.get_loop(), other.get_loop()]


WRITES: dict[str, Callable[[SessionStore, Any], Any]] = {
    "save": lambda store, session: store.save(session),
    "save of a new session": lambda store, _: store.save(make_session()),
    "save_many": lambda store, session: store.save_many([session, make_session()]),
    "delete": lambda store, session: store.delete(session.session_id),
    "restore": lambda store, session: store.restore([session]),
    "update": lambda store, session: store.update(session.session_id, lambda _: None),
    "list_by_agent": lambda store, _: store.list_by_agent(TENANT, AGENT),
}


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 8, 13, 21])
@pytest.mark.parametrize("name", WRITES)
def test_a_loop_that_pauses_in_the_middle_of_a_call(
    standalone: OneServer, loops: list[asyncio.AbstractEventLoop], name: str, steps: int
) -> None:
    """The store moves to another loop and back. The call continues with its own connections, or is refused."""
    first, second = loops
    store, session, other = RedisSessionStore[Any](standalone.url), make_session(), make_session()
    first.run_until_complete(store.save(session))
    clients = [client_of(store)]
    calling = first.create_task(WRITES[name](store, session))
    for _ in range(steps):
        first.run_until_complete(asyncio.sleep(0))
    second.run_until_complete(store.save(other))
    clients.append(client_of(store))
    first.run_until_complete(asyncio.wait([calling]))
    error = calling.exception()
    found = first.run_until_complete(store.get(other.session_id, tenant_id=TENANT))
    first.run_until_complete(store.aclose())
    standalone.flush()

    assert clients[0] is not clients[1]
    assert error is None or isinstance(error, WrongLoopError)
    assert found == other


def test_each_loop_has_parts_of_its_own(standalone: OneServer) -> None:
    store, parts = RedisSessionStore[Any](standalone.url), []

    async def use() -> None:
        await store.save(make_session())
        parts.append(parts_of(store))

    for _ in range(2):
        asyncio.run(use())
    asyncio.run(store.aclose())
    standalone.flush()

    assert not any(one is other for one, other in zip(*parts, strict=True))
