"""Share sessions through a server between several stores, as of several processes."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from sessiondex import (
    InvalidArgumentError,
    InvalidSessionError,
)
from sessiondex.stores.redis import RedisSessionStore
from tests.support.builders import AGENT, TENANT, NotedSession, make_session
from tests.support.redis.internals import prefix_of


@pytest.mark.parametrize("fields", [{}, {"session_id": UUID(int=77)}], ids=["other ids", "one id"])
async def test_several_processes_that_create_a_session_of_one_identity(make_redis: Any, fields: dict[str, Any]) -> None:
    """One of them creates it, and all get it. Each calls `create` at most once, also if all sessions have one id."""
    first = make_redis()
    stores = [first, *(make_redis(prefix=prefix_of(first)) for _ in range(3))]
    made = []

    async def create() -> Any:
        session = make_session(user_channel_id="ann", **fields)
        made.append(session)
        await asyncio.sleep(0)
        return session

    calls = [store.get_or_create(TENANT, "webchat", "ann", create) for store in stores * 5]
    answers = await asyncio.gather(*calls)

    assert len({session.session_id for session, _ in answers}) == 1
    assert sum(was_created for _, was_created in answers) == 1
    assert len(made) <= len(stores)
    assert len(await stores[0].list_by_agent(TENANT, AGENT)) == 1


async def test_a_session_of_an_unknown_class(make_redis: Any) -> None:
    """The error names the type and `session_classes`. A store that knows the class returns the session."""
    writer = make_redis()
    reader = make_redis(prefix=prefix_of(writer))
    informed = make_redis(prefix=prefix_of(writer), session_classes=[NotedSession])
    session = make_session(NotedSession, note="n")
    await writer.save(session)
    with pytest.raises(InvalidSessionError, match=r"type .*:NotedSession, version 1: .* give it in session_classes"):
        await reader.get(session.session_id)

    assert await informed.get(session.session_id) == session


@pytest.mark.parametrize("classes", [NotedSession, "NotedSession", [int], ["x"]])
def test_invalid_session_classes(classes: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="session_classes"):
        RedisSessionStore("redis://localhost", session_classes=classes)
