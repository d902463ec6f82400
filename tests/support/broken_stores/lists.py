"""Stores with a fault in lists of tenants, channels and customers, or in `get_many`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sessiondex import ScanSessionStore, SessionStatus
from sessiondex.queries import ChannelQuery, CountQuery, CustomerQuery, ListQuery, Page, TenantQuery
from tests.support.broken_stores.fault import found_by
from tests.support.broken_stores.parts import OpenBackend, PartsStore


class _HidesTheClosed(OpenBackend):
    def newest(self, query: ListQuery, page: Page, cutoff: int | None) -> Sequence[Any]:
        found = super().newest(query, page, cutoff)
        if isinstance(query, TenantQuery | ChannelQuery):
            return [one for one in found if one.status is not SessionStatus.CLOSED]
        return found


@found_by("a-tenants-list-has-all-of-its-sessions", "a-channels-list-has-sessions-of-any-status")
class HidesTheClosed(PartsStore):
    backend_class = _HidesTheClosed


@found_by("a-channels-list-has-sessions-of-any-status")
class CountsTheOpen(ScanSessionStore[Any]):
    async def _count(self, query: CountQuery) -> int:
        return await super()._count(query._replace(is_open=True) if isinstance(query, ChannelQuery) else query)


@found_by("a-customers-list-of-a-status-has-that-status-alone")
class CutsBeforeItFilters(ScanSessionStore[Any]):
    """Reads a page of the customer, and drops what has another status."""

    async def _newest(self, query: ListQuery, page: Page) -> list[Any]:
        if not isinstance(query, CustomerQuery) or query.status is None:
            return await super()._newest(query, page)
        found = await super()._newest(query._replace(status=None), page)
        return [one for one in found if one.status is query.status]


@found_by("a-customers-list-of-a-status-has-that-status-alone")
class CountsCustomersOfAnyStatus(ScanSessionStore[Any]):
    async def _count(self, query: CountQuery) -> int:
        return await super()._count(query._replace(status=None) if isinstance(query, CustomerQuery) else query)


@found_by("get-many-answers-each-id-in-order")
class AnswersEachIdOnce(ScanSessionStore[Any]):
    async def _find_many(self, session_ids: Sequence[UUID], tenant_id: UUID | None) -> list[Any]:
        return await super()._find_many(list(dict.fromkeys(session_ids)), tenant_id)


@found_by("get-many-answers-each-id-in-order", "get-many-takes-any-number-of-ids")
class LeavesOutTheMissing(ScanSessionStore[Any]):
    async def _find_many(self, session_ids: Sequence[UUID], tenant_id: UUID | None) -> list[Any]:
        return [one for one in await super()._find_many(session_ids, tenant_id) if one is not None]


@found_by("get-many-answers-each-id-in-order")
class AnswersWithOneObject(ScanSessionStore[Any]):
    async def _find_many(self, session_ids: Sequence[UUID], tenant_id: UUID | None) -> list[Any]:
        found = await super()._find_many(session_ids, tenant_id)
        first = {one.session_id: one for one in reversed(found) if one is not None}
        return [one and first[one.session_id] for one in found]


@found_by("get-many-takes-any-number-of-ids")
class ReadsOneBatch(ScanSessionStore[Any]):
    async def _find_many(self, session_ids: Sequence[UUID], tenant_id: UUID | None) -> list[Any]:
        found = await super()._find_many(session_ids[:500], tenant_id)
        return found + [None] * (len(session_ids) - len(found))


@found_by("get-many-with-a-tenant-finds-that-tenant-alone")
class ReadsManyOfAnyTenant(ScanSessionStore[Any]):
    async def _find_many(self, session_ids: Sequence[UUID], tenant_id: UUID | None) -> list[Any]:  # noqa: ARG002  # the fault
        return await super()._find_many(session_ids, None)


class _DropsTheUnreadable(OpenBackend):
    def visible(self, session_id: UUID, tenant_id: UUID | None, cutoff: int | None) -> Any:
        found = super().visible(session_id, tenant_id, cutoff)
        return None if getattr(found, "word", "") else found


@found_by("get-many-gives-none-for-what-cannot-be-read")
class DropsTheUnreadable(PartsStore):
    backend_class = _DropsTheUnreadable

    async def _find_many(self, session_ids: Sequence[UUID], tenant_id: UUID | None) -> list[Any]:
        return [one for one in await super()._find_many(session_ids, tenant_id) if one is not None]
