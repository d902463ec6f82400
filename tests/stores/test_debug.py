"""`debug=True`: every save and deletion checks the whole store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sessiondex import InMemorySessionStore, InvariantError, schema
from sessiondex.engine.postings import encode_sortable
from sessiondex.stores.table_backend import TableBackend
from tests.support.builders import AGENT, TENANT, Clock, at_step, make_session
from tests.support.stores import cached_snapshot, storage_of


def lose_a_posting(store: Any, session: Any) -> None:
    postings, key = storage_of(store, schema.AGENT), TENANT.bytes + AGENT.bytes + b"active"
    posting = postings.latest(key)
    assert posting.endswith(session.session_id.bytes)
    postings.remove(key, posting)


def leave_a_ghost(store: Any, _session: Any) -> None:
    storage_of(store, schema.CUSTOMER).add(b"nobody", encode_sortable(1) + b"x" * 16)


def change_a_cached_one(store: Any, session: Any) -> None:
    cached_snapshot(store, session).variables["aliased"] = True


BUGS: dict[str, tuple[Callable[..., None], str]] = {
    "a lost posting": (lose_a_posting, "index 'agent and status'"),
    "a ghost": (leave_a_ghost, "index 'customer'"),
    "a snapshot that is shared": (change_a_cached_one, "cached session"),
}


WRITES: dict[str, Callable[[Any, Any], Any]] = {
    "save": lambda store, _: store.save(make_session()),
    "save_many": lambda store, _: store.save_many([make_session()]),
    "load": lambda store, _: store.load([make_session()]),
    "delete": lambda store, other: store.delete(other.session_id),
    "delete_many": lambda store, other: store.delete_many([other.session_id]),
    "update": lambda store, other: store.update(other.session_id, lambda _: None),
    "touch": lambda store, other: store.touch(other.session_id),
    "delete_by_channel": lambda store, _: store.delete_by_channel(TENANT, "webchat", "another"),
    "get_or_create": lambda store, _: store.get_or_create(
        TENANT, "sms", "new", lambda: make_session(channel="sms", user_channel_id="new")
    ),
}


@pytest.mark.parametrize("bug", BUGS)
@pytest.mark.parametrize("write", WRITES)
async def test_the_next_write_reports_a_divergence_with_both_sides(bug: str, write: str) -> None:
    store: Any = InMemorySessionStore(debug=True)
    other, session = make_session(user_channel_id="another"), at_step()
    await store.save(other)
    await store.save(session)
    for _ in range(2):  # then it is cached
        await store.get(session.session_id)
    plant, where = BUGS[bug]
    plant(store, session)

    with pytest.raises(InvariantError, match="please report") as error:
        await WRITES[write](store, other)
    assert where in error.value.where
    assert error.value.actual != error.value.expected


async def test_an_eviction_is_checked_too(clock: Clock) -> None:
    store: Any = InMemorySessionStore(debug=True, idle_ttl=timedelta(hours=1), clock=clock)
    session = make_session()
    await store.save(session)
    leave_a_ghost(store, session)
    clock.move(hours=2)

    with pytest.raises(InvariantError, match="nobody"):
        await store.count_by_agent(TENANT, AGENT)


async def test_without_debug_nothing_is_checked(indexed: InMemorySessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(TableBackend, "check", lambda _: pytest.fail("it checked"))
        await indexed.save(make_session())
