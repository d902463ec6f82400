"""Which tenant has a session: one at most, though tenants may be on different nodes of a cluster.

Rules. A session is put under a tenant only by a *claim* of its locator that is newer than every bar of that tenant. A
locator is removed, or taken from another tenant, only after its tenant does not have the session, and has barred, in
the same step, every claim up to the one in the locator. So a delete bars the claim of the row.

Theory of operation. Claims of one session are numbers that grow, and the row remembers by which it came. Whoever saves
a session that the tenant does not have claims it first; whoever deletes it gives back the claim of the row; or, if
the locator was claimed since, bars that claim and gives it back: its save is under way, or came to nothing. A save that
was overtaken by a bar claims again, and learns whose the session is now. So a locator may be left behind, by a client
that died between two steps; it is harmless, for whoever follows it finds nothing, and gives it back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from uuid import UUID

from sessiondex.errors import StoreUnavailableError, TenantMismatchError
from sessiondex.stores.redis import keys
from sessiondex.stores.redis.server import Server


class Claim(NamedTuple):
    """Whose a session is, and by which claim."""

    tenant_id: UUID
    number: str


Bar = Callable[[UUID, UUID, str], Awaitable[bool]]
"""Whether the tenant has the session; if not, claims of it up to that number are barred."""


async def locate(server: Server, prefix: str, session_id: UUID) -> Claim | None:
    """Return which tenant has the session, or had it. Cost: one round trip."""
    key = keys.locator(prefix, session_id)
    value: bytes | None = await server.command("get", "GET", key, key=key)
    if value is None:
        return None
    try:
        owner, number = value.decode().split(":")
        return Claim(UUID(owner), number)
    except ValueError:
        raise StoreUnavailableError(
            server.host, "get", "it holds something else under a key of this store; give the store a prefix of its own"
        ) from None


async def claim(  # noqa: PLR0917  # for one place
    server: Server, prefix: str, session_id: UUID, tenant_id: UUID, bar: Bar, barred: str
) -> str:
    """Claim the session for the tenant, by more than what is barred, and return the number of the claim.

    Cost: one round trip, if it is free.

    Raises:
        TenantMismatchError: another tenant has it.
    """
    key = keys.locator(prefix, session_id)
    number = ""
    while True:
        _, owner, number = await server.call("claim", [key], "", "", tenant_id.hex, number, barred)
        if owner.decode() == tenant_id.hex:
            return _text(number)
        if await bar(UUID(owner.decode()), session_id, _text(number)):
            raise TenantMismatchError(session_id)


async def release(server: Server, prefix: str, session_id: UUID, given: Claim) -> str:
    """Give back a claim of a session that is no longer there. Return a later one of the same tenant, if there is."""
    key = keys.locator(prefix, session_id)
    _, later = await server.call("release", [key], "", "", given.tenant_id.hex, given.number)
    return _text(later)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
