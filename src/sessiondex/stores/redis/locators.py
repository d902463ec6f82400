"""Locators: the registry of the tenant of each session. Fencing tokens keep the id unique across nodes.

Rules. A save of a new session needs a *claim* of its locator. The claim's fencing token must be higher than the
tenant's *fence* for that session. A locator is removed, or given to another tenant, only after its tenant has raised
the fence to the locator's token. The tenant does this in one step with the check that it does not have the session. A
delete raises the fence to the token in the row.

Theory of operation. Tenants may be on different nodes, and no server step spans two nodes. Tokens of one session only
grow, and a row remembers the token of its claim. A save of an unknown session claims it first. A delete releases the
claim of the row. If the locator has a newer claim by then, the delete raises the fence to that token too, and releases
the claim: its save is under way, or has failed. A save that meets a higher fence claims again, and learns which tenant
has the session. A client that crashes between two steps leaves a locator without a session. It does no harm: a `get`
that follows it finds nothing, and releases it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sessiondex.errors import StoreUnavailableError, TenantMismatchError
from sessiondex.stores.redis import keys
from sessiondex.stores.redis.client import RedisClient


class Claim(NamedTuple):
    """The tenant that has a session, and the fencing token of its claim."""

    tenant_id: UUID
    fencing_token: str


Fence = Callable[[UUID, UUID, str], Awaitable[bool]]
"""Takes tenant, session and fencing token. Returns whether the tenant has the session; if not, raises its fence."""


class Locators:
    """The locators of a store, from one event loop."""

    def __init__(self, client: RedisClient, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    async def locate(self, session_id: UUID) -> Claim | None:
        """Return the claim in the session's locator, or `None`. Cost: one round trip."""
        key = keys.locator(self._prefix, session_id)
        value: bytes | None = await self._client.command("get", "GET", key, key=key)
        if value is None:
            return None
        try:
            owner, token = value.decode().split(":")
            return Claim(UUID(owner), token)
        except ValueError:
            reason = "it holds something else under a key of this store; give the store a prefix of its own"
            raise StoreUnavailableError(self._client.host, "get", reason) from None

    async def positions_by_tenant(
        self,
        session_ids: Sequence[UUID],
        tenant_id: UUID | None,
        read: Callable[[Awaitable[Claim | None]], Awaitable[Claim | None]],
    ) -> dict[UUID, list[int]]:
        """Return the positions of the sessions of each tenant: of the one that is given, or as the locators say.

        `read` awaits a request, see `TenantClient.read`. Cost: a request for each session, unless a tenant is given.
        """
        if tenant_id is not None:
            return {tenant_id: [*range(len(session_ids))]}
        located = await asyncio.gather(*(read(self.locate(one)) for one in session_ids))
        positions: dict[UUID, list[int]] = {}
        for position, claim in enumerate(located):
            if claim is not None:
                positions.setdefault(claim.tenant_id, []).append(position)
        return positions

    async def claim(self, session_id: UUID, tenant_id: UUID, fence: Fence, minimum: str) -> str:
        """Claim the session for the tenant, and return the fencing token, which is higher than `minimum`.

        Cost: one round trip if the id is free.

        Raises:
            TenantMismatchError: another tenant has the session.
        """
        key = keys.locator(self._prefix, session_id)
        token = ""
        while True:
            _, owner, token = await self._client.call("claim", [key], "", "", tenant_id.hex, token, minimum)
            if owner.decode() == tenant_id.hex:
                return _text(token)
            if await fence(UUID(owner.decode()), session_id, _text(token)):
                raise TenantMismatchError(session_id)

    async def release(self, session_id: UUID, released: Claim) -> str:
        """Remove the locator of a session that no longer exists.

        Return the token of a newer claim of the same tenant, which stays, or an empty text.
        """
        key = keys.locator(self._prefix, session_id)
        tenant, token = released.tenant_id.hex, released.fencing_token
        _, newer = await self._client.call("release_claim", [key], "", "", tenant, token)
        return _text(newer)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
