"""RemovalHandler: does what follows the removal of sessions. It releases their claims and reports evictions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TypeAlias
from uuid import UUID

from sessiondex.changes import EvictionReason
from sessiondex.stores.eviction import EvictionNotifier
from sessiondex.stores.redis import keys
from sessiondex.stores.redis.background_tasks import BackgroundTasks
from sessiondex.stores.redis.codec import index_keys_in
from sessiondex.stores.redis.locators import Claim, Locators
from sessiondex.stores.redis.tenant_client import TenantClient

RELEASE_BATCH_SIZE = 20  # locators released at the same time, so that other calls are not delayed

EvictedRow: TypeAlias = tuple[bytes, UUID]
"""A row that the server has evicted, and its tenant."""


class RemovalHandler:
    """Handles the removals that the server reports in its answers. Without a `notifier`, evictions are not reported."""

    def __init__(
        self,
        calls: TenantClient,
        locators: Locators,
        tasks: BackgroundTasks,
        notifier: EvictionNotifier[EvictedRow] | None,
    ) -> None:
        self._calls = calls.in_background()
        self._locators = locators
        self._tasks = tasks
        self._notifier = notifier
        self.wants_rows = "" if notifier is None else "1"
        """Whether functions are to return evicted rows, as they take it."""

    def handle_evicted(self, tenant_id: UUID, evicted: Iterable[Sequence[bytes]]) -> None:
        """Release claims and notify `on_evict`. Each evicted session is id, fencing token, reason and row."""
        removed = list(evicted)
        self.release_claims(tenant_id, removed)
        if self._notifier is not None and removed:
            for _, _, reason, row in removed:
                self._notifier.add((row, tenant_id), EvictionReason(reason.decode()))
            self._notifier.schedule()

    def forget(self, tenant_id: UUID, lists: Sequence[bytes] | None) -> None:
        """Drop the pending callbacks for evicted sessions of these lists, or of the whole tenant."""
        if self._notifier is not None:
            self._notifier.forget(
                lambda evicted: (
                    evicted[1] == tenant_id
                    and (lists is None or not keys.unpack_lists(index_keys_in(evicted[0])).isdisjoint(lists))
                )
            )

    def release_claims(self, tenant_id: UUID, removed: Sequence[Sequence[bytes]]) -> None:
        """Release the claims of removed sessions in the background. Each begins with id and fencing token."""
        if removed:
            self._tasks.spawn(self.release_now(tenant_id, removed))

    def release_if_deleted(self, session_id: UUID, claim: Claim) -> None:
        """Release the claim in the background, unless the tenant has the session."""
        self._tasks.spawn(self._release_if_deleted(session_id, claim))

    async def fence(self, tenant_id: UUID, session_id: UUID, fencing_token: str) -> bool:
        """Return whether the tenant has the session. If not, raise its fence, see `locators.Fence`."""
        answer = await self._calls.call("fence", tenant_id, self.wants_rows, session_id.hex, fencing_token)
        is_stored, evicted = answer
        self.handle_evicted(tenant_id, evicted)
        return bool(is_stored)

    async def release_now(self, tenant_id: UUID, removed: Sequence[Sequence[bytes]]) -> None:
        """Release the claims of removed sessions, some at a time, and return when that is done."""
        for start in range(0, len(removed), RELEASE_BATCH_SIZE):
            batch = removed[start : start + RELEASE_BATCH_SIZE]
            claims = {UUID(key.decode()): Claim(tenant_id, token.decode()) for key, token, *_ in batch}
            await asyncio.gather(*(self._release(key, claim) for key, claim in claims.items()))

    async def _release(self, session_id: UUID, claim: Claim) -> None:
        newer = await self._locators.release(session_id, claim)
        if newer:  # its save is under way, or has failed
            await self._release_if_deleted(session_id, claim._replace(fencing_token=newer))

    async def _release_if_deleted(self, session_id: UUID, claim: Claim) -> None:
        if not await self.fence(claim.tenant_id, session_id, claim.fencing_token):
            await self._locators.release(session_id, claim)
