"""Law 7: tenants are walls."""

from __future__ import annotations

from sessiondex import Channel, InMemorySessionStore
from tests.support.builders import (
    AGENT,
    TENANT,
    make_session,
)


async def test_the_prefix_of_an_entry_is_all_of_the_tenant(indexed: InMemorySessionStore) -> None:
    """Tenants whose ids differ in the last byte only do not share an entry."""
    near = TENANT.__class__(int=TENANT.int ^ 1)
    await indexed.save(make_session())

    assert await indexed.list_by_agent(near, AGENT) == []
    assert await indexed.get_by_channel(near, Channel.WEBCHAT, "user-1") is None
