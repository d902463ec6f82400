"""RedisQueries: answers queries from the rows and the indexes on the server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Generic
from uuid import UUID

from sessiondex.errors import StoreUnavailableError
from sessiondex.queries import (
    ChannelQuery,
    CountQuery,
    Expected,
    LatestQuery,
    ListQuery,
    Page,
    ScenarioQuery,
    StepQuery,
)
from sessiondex.reading import S
from sessiondex.stores.redis import keys
from sessiondex.stores.redis.background_tasks import BackgroundTasks
from sessiondex.stores.redis.codec import SessionCodec, head_of
from sessiondex.stores.redis.cursor import ExportCursor
from sessiondex.stores.redis.locators import Locators
from sessiondex.stores.redis.maintenance import Sweeper, TenantRegistry
from sessiondex.stores.redis.removals import RemovalHandler
from sessiondex.stores.redis.tenant_client import TenantClient
from sessiondex.stores.unreadable import MIN_PAGE_SIZE

PAGE_SIZE = 500  # sessions in one answer


class RedisQueries(Generic[S]):
    """Runs queries from one event loop. A query that meets index entries of lost sessions removes them."""

    def __init__(  # noqa: PLR0917  # called in one place
        self,
        calls: TenantClient,
        codec: SessionCodec[S],
        tasks: BackgroundTasks,
        locators: Locators,
        removals: RemovalHandler,
        tenants: TenantRegistry,
        sweeper: Sweeper,
    ) -> None:
        self._calls = calls
        self._repair_calls = calls.in_background()
        self._codec = codec
        self._tasks = tasks
        self._locators = locators
        self._removals = removals
        self._tenants = tenants
        self._sweeper = sweeper

    # -- one session --

    async def find(self, session_id: UUID, tenant_id: UUID | None) -> tuple[S, Expected] | None:
        """Return the session, of the tenant if one is given, and its version, or `None`."""
        if tenant_id is not None:
            return await self._find_of(session_id, tenant_id)
        located = await self._calls.read(self._locators.locate(session_id))
        if located is None:
            return None
        session = await self._find_of(session_id, located.tenant_id)
        if session is None:
            self._removals.release_if_deleted(session_id, located)
        return session

    async def _find_of(self, session_id: UUID, tenant_id: UUID) -> tuple[S, Expected] | None:
        if self._calls.has_idle_ttl:
            ((row,),) = await self._calls.call("get", tenant_id, session_id.hex)
        else:  # a plain GET costs the server a third of a function call
            row = await self._calls.read(self._read_row(session_id, tenant_id))
        if row is None:
            return None
        session, head = self._codec.decode(row, tenant_id), head_of(row)
        self._check_is(session, session_id)
        return session, Expected(head.revision, head.fencing_token)

    def _check_is(self, session: S, session_id: UUID) -> None:
        if session.session_id != session_id:
            raise StoreUnavailableError(self._calls.client.host, "get", "it answered with another session")

    async def _read_row(self, session_id: UUID, tenant_id: UUID) -> bytes | None:
        key = keys.row(self._calls.keyspace.prefix, tenant_id, session_id)
        row: bytes | None = await self._calls.client.command("get", "GET", key, key=key)
        return row

    async def find_many(self, session_ids: Sequence[UUID], tenant_id: UUID | None) -> list[S | None]:
        """Return the sessions. Cost: a round trip for each tenant and 500 sessions, and that of finding the tenants."""
        by_tenant = await self._locators.positions_by_tenant(session_ids, tenant_id, self._calls.read)
        pages = [
            (owner, positions[start : start + PAGE_SIZE])
            for owner, positions in by_tenant.items()
            for start in range(0, len(positions), PAGE_SIZE)
        ]
        calls = [
            self._calls.call("get", owner, *[session_ids[position].hex for position in positions])
            for owner, positions in pages
        ]
        found: list[S | None] = [None] * len(session_ids)
        for (owner, positions), (rows,) in zip(pages, await asyncio.gather(*calls), strict=True):
            for position, row in zip(positions, rows, strict=True):
                session = None if row is None else self._codec.decode_or_skip(row, owner)
                if session is not None:
                    self._check_is(session, session_ids[position])
                found[position] = session
        return found

    # -- lists --

    async def latest(self, query: LatestQuery) -> S | None:
        """Return the latest session that matches, or `None`."""
        rows = await self._page(query, Page(1))
        if not rows:
            return None
        if isinstance(query, ChannelQuery) and query.is_open:
            # Its user must be able to begin another; the save that follows logs this one.
            return self._codec.decode_or_skip(rows[0], query.tenant_id, is_logged=False)
        return self._codec.decode(rows[0], query.tenant_id)

    async def newest(self, query: ListQuery, page: Page) -> list[S]:
        """Return a page of sessions, newest first. Cost: a round trip for each 500 sessions."""
        before = page.before
        found: list[S] = []
        visited, wanted = 0, min(page.limit, PAGE_SIZE)
        while len(found) < page.limit:
            rows = await self._page(query, Page(wanted, before, page.after))
            found += self._codec.decode_all(rows, query.tenant_id)
            if len(rows) < wanted:
                break
            before = head_of(rows[-1]).stamp
            visited, missing = visited + len(rows), page.limit - len(found)
            wanted = min(missing if visited == len(found) else max(missing, MIN_PAGE_SIZE), PAGE_SIZE)
        return found[: page.limit]

    async def _page(self, query: ListQuery, page: Page) -> list[bytes]:
        """Return the rows of a page, and have stale entries removed."""
        lists, bounds = keys.lists_of(query), ["" if one is None else str(one) for one in page[1:]]
        answer = await self._calls.call("list", query.tenant_id, page.limit, *bounds, lists.also, *lists.names)
        rows, stale = answer
        self._repair(query.tenant_id, stale)
        return list(rows)

    def _repair(self, tenant_id: UUID, stale: Sequence[Sequence[bytes]]) -> None:
        """Remove stale entries in the background: pairs of list and id whose sessions the server has lost."""
        ids_by_list: dict[bytes, list[bytes]] = {}
        for list_key, session_id in stale:
            ids_by_list.setdefault(list_key, []).append(session_id)
        for list_key, ids in ids_by_list.items():
            self._tasks.spawn(self._repair_calls.call("repair", tenant_id, list_key, *ids))

    async def at_step(self, query: StepQuery) -> list[S]:
        """Return every active session at the step, newest first.

        More than 500 sessions take several calls. A session that is at the step during all of them is returned once.
        """
        tenant_id, step = query.tenant_id, keys.step_of(query)
        ages, sets = keys.scope(query.scope_filter)
        found: dict[bytes, S] = {}
        after: Sequence[bytes | str] = ("", "")
        while after:
            rows, stale, after = await self._calls.call("step", tenant_id, *step, *ages, PAGE_SIZE, *after, *sets)
            if stale:
                entries = [part for pair in stale for part in pair]
                self._tasks.spawn(self._repair_calls.call("repair_step", tenant_id, *step, *entries))
            for session in self._codec.decode_all(rows, tenant_id):
                found[session.session_id.bytes] = session
        return sorted(found.values(), key=lambda session: session.last_activity_at, reverse=True)

    async def export(self, cursor: str | None, limit: int) -> tuple[list[S], str | None]:
        """Return some sessions in the order of tenants, then stamps, and the next cursor."""
        start = ExportCursor.parse(cursor)
        found: list[S] = []
        room = limit
        async for tenant_id in self._tenants.tenants(start.tenant):
            place = start if tenant_id.hex == start.tenant else ExportCursor(tenant_id.hex)
            while place.tenant:
                if not room:
                    return found, str(place)
                page_size = min(room, PAGE_SIZE)
                answer = await self._calls.call("export", tenant_id, page_size, place.stamp, place.session)
                rows, stamp, last_id = answer
                room -= len(rows)
                found += self._codec.decode_all(rows, tenant_id)
                place = ExportCursor(tenant_id.hex if last_id else "", stamp.decode(), last_id.decode())
        return found, None

    # -- counts: expired sessions are evicted first --

    async def count(self, query: CountQuery) -> int:
        """Return how many sessions match."""
        await self._sweeper.sweep(query.tenant_id)
        if isinstance(query, StepQuery):
            (count,) = await self._calls.call("count_step", query.tenant_id, *keys.step_of(query))
        else:
            lists = keys.lists_of(query)
            (count,) = await self._calls.call("count", query.tenant_id, lists.also, *lists.names)
        return int(count)

    async def count_steps(self, query: ScenarioQuery) -> dict[str, int]:
        """Return how many sessions stand at each step, by the hash of the step."""
        await self._sweeper.sweep(query.tenant_id)
        (counts,) = await self._calls.call("count_steps", query.tenant_id, keys.version_of(query))
        return {step.decode(): int(count) for step, count in counts if count}
