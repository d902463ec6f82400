"""Law 3: isolation. Law 4: keys are remembered."""

from __future__ import annotations

from typing import Any

import pytest

from sessiondex import Channel, Session, SessionStatus
from tests.support.builders import (
    AGENT,
    CUSTOMER,
    SCENARIO,
    TENANT,
    at_step,
    make_session,
)
from tests.support.mutable_containers import CLASSES, session_with_everything, spoil


@pytest.mark.parametrize("cls", CLASSES)
async def test_a_session_is_changed_after_its_save(store: Any, cls: type[Session]) -> None:
    """Nothing reachable from a saved session is shared with the store, however deeply nested."""
    session = session_with_everything(cls)
    await store.save(session)
    expected = session.model_copy(deep=True)

    assert spoil(session) >= 11
    assert await store.get(session.session_id) == expected


@pytest.mark.parametrize("cls", CLASSES)
async def test_a_session_is_changed_after_it_was_read(store: Any, cls: type[Session]) -> None:
    """Nothing reachable from the answer of any query is shared with the store, nor with another answer."""
    session = session_with_everything(cls)
    await store.save(session)
    queries: list[Any] = [
        lambda: store.get(session.session_id),
        lambda: store.get_by_channel(TENANT, Channel.WEBCHAT, "user-1"),
        lambda: store.list_by_agent(TENANT, AGENT),
        lambda: store.list_by_agent(TENANT, AGENT, status=SessionStatus.ACTIVE),
        lambda: store.list_by_customer(TENANT, CUSTOMER),
        lambda: store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-1"),
    ]
    for query in [*queries, *queries]:
        answer = await query()
        found = answer[0] if isinstance(answer, list) else answer
        assert found == session
        assert type(found) is cls
        assert spoil(found) >= 11


async def test_the_set_of_set_fields_is_not_shared(store: Any) -> None:
    session = make_session()
    await store.save(session)
    first = await store.get(session.session_id)
    first.model_fields_set.clear()

    assert (await store.get(session.session_id)).model_fields_set == set(Session.model_fields)


async def test_many_results_are_all_private(store: Any) -> None:
    """Also where a long answer is copied in slices."""
    for _ in range(1_100):
        await store.save(at_step(variables={"a": [1]}))
    for found in await store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-1"):
        spoil(found)

    again = await store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-1")
    assert len(again) == 1_100
    assert all(found.variables == {"a": [1]} and len(found.step_history) == 2 for found in again)
