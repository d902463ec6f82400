"""Deletions: removes sessions by id, and erases all of a tenant, a customer or a channel identity."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sessiondex.queries import ListQuery, TenantQuery
from sessiondex.stores.redis import keys
from sessiondex.stores.redis.locators import Locators
from sessiondex.stores.redis.maintenance import TenantRegistry
from sessiondex.stores.redis.removals import RemovalHandler
from sessiondex.stores.redis.tenant_client import TenantClient

ERASED_AT_ONCE = 100  # sessions, in one step of the server


class Deletions:
    """Deletes sessions from one event loop."""

    def __init__(
        self, calls: TenantClient, locators: Locators, removals: RemovalHandler, tenants: TenantRegistry
    ) -> None:
        self._calls = calls
        self._locators = locators
        self._removals = removals
        self._tenants = tenants

    async def remove(self, session_ids: Sequence[UUID], tenant_id: UUID | None) -> int:
        """Remove sessions, of the tenant if one is given, and return how many there were."""
        positions = await self._locators.positions_by_tenant(session_ids, tenant_id, self._calls.read)
        groups = {owner: [session_ids[at].hex for at in group] for owner, group in positions.items()}
        return sum([await self._remove_of(ids, owner) for owner, ids in groups.items()])

    async def _remove_of(self, ids: Sequence[str], tenant_id: UUID) -> int:
        with self._calls.writes:
            deleted, evicted = await self._calls.call("delete", tenant_id, self._removals.wants_rows, *ids)
            self._removals.release_claims(tenant_id, deleted)
            self._removals.handle_evicted(tenant_id, evicted)
        return len(deleted)

    async def erase(self, query: ListQuery) -> int:
        """Remove all sessions that match, also expired ones, until there are none; return how many had not expired.

        Of a tenant, the registry and the last stamp go as well: the last stamp in an hour, as fences do, since saves of
        other processes may be under way.
        """
        tenant_id, lists = query.tenant_id, keys.lists_of(query).names
        is_whole_tenant = isinstance(query, TenantQuery)
        if is_whole_tenant:
            lists.append(keys.ALL)  # which has sessions that the server has lost from other lists
        count, has_found = 0, True
        while has_found:
            with self._calls.writes:
                erased, visible, found = await self._calls.call("erase", tenant_id, ERASED_AT_ONCE, *lists)
                await self._removals.release_now(tenant_id, erased)
            self._removals.forget(tenant_id, None if is_whole_tenant else lists)
            count, has_found = count + visible, bool(found)
            if is_whole_tenant and not has_found:
                await self._tenants.unregister(tenant_id)
                (is_empty,) = await self._calls.call("forget", tenant_id)
                has_found = not is_empty  # another process has just saved a session
        return count
