"""Store sessions on a Redis or Valkey server. Each operation of the contract calls one function of `lua/`."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from inspect import isawaitable
from typing import Generic
from uuid import UUID

from pydantic_core import to_json

from sessiondex.clock import microseconds
from sessiondex.contract import S
from sessiondex.errors import (
    ConflictError,
    InvalidArgumentError,
    SessiondexError,
    StoreUnavailableError,
    TenantMismatchError,
)
from sessiondex.models import Channel
from sessiondex.stores import arguments as check
from sessiondex.stores.composed import CHECKS, check_has_identity, note_place, saved_as
from sessiondex.stores.eviction import Eviction, OnEvict
from sessiondex.stores.redis import keys
from sessiondex.stores.redis.cursor import ExportCursor
from sessiondex.stores.redis.locators import Claim, claim, locate
from sessiondex.stores.redis.queries import PAGE_SIZE, RedisQueries
from sessiondex.stores.redis.saves import PreparedSave, SaveTerms, version_of, write_back_version
from sessiondex.stores.redis.url import address_of

EVICTIONS_PER_SAVE = 2  # expired sessions: more than a save adds, so that saves alone keep their number down
MAX_CLAIM_ROUNDS = 20  # of one save; another tenant's fence causes each further one
CLAIM_RETRY_BASE_SECONDS = 0.002  # doubled each round up to 0.128 s, drawn at random below that


class RedisSessionStore(RedisQueries[S], Generic[S]):
    """Stores sessions on a Redis or Valkey server, or a cluster. Any number of processes can share them.

    `url` begins with `redis://`, `rediss://` (TLS) or `valkey://`, with `+cluster` for a cluster. `prefix` begins all
    keys of the store. `session_classes` are the subclasses of `Session` that other processes may have saved; the store
    knows the classes that it saves. The lock of `exclusive` expires after `turn_ttl` unless it is renewed. `timeout`,
    in seconds, bounds each attempt of a call. `max_connections` is for this process. The other options are those of
    `InMemorySessionStore`: give all processes the same ones. `max_sessions` is for each tenant. Without `clock`, the
    server's clock counts.

    An operation takes one round trip. Operations without a tenant, and saves of new sessions, take two. Long answers
    take one for each 500 sessions. All operations raise `StoreUnavailableError` if the server cannot be reached, or
    cannot do it.
    """

    def __init__(
        self,
        url: str = "redis://localhost:6379",
        *,
        prefix: str = "sessiondex",
        session_classes: Iterable[type[S]] = (),
        idle_ttl: timedelta | None = None,
        max_sessions: int | None = None,
        on_evict: OnEvict | None = None,
        changes_kept: int = 1_000,
        turn_ttl: timedelta = timedelta(seconds=30),
        timeout: float = 5.0,
        max_connections: int = 50,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        prefix = check.exact_text("prefix", prefix)
        if not prefix or not prefix.isascii() or not prefix.isprintable() or set(prefix) & set("{}"):
            raise InvalidArgumentError("prefix", "must be printable ASCII characters, at least one, without braces")
        address = address_of(url, timeout=timeout, max_connections=max_connections)
        eviction = Eviction(idle_ttl, max_sessions, on_evict)
        super().__init__(address, prefix, session_classes, eviction, changes_kept, turn_ttl, clock)

    # -- one session --

    async def get(self, session_id: UUID, *, tenant_id: UUID | None = None) -> S | None:
        self._check_loop()
        session_id = check.exact_id("session_id", session_id)
        if tenant_id is not None:
            return await self._get(session_id, check.exact_id("tenant_id", tenant_id))
        located = await self._locate(session_id)
        if located is None:
            return None
        session = await self._get(session_id, located.tenant_id)
        if session is None:
            self._spawn(self._release_if_deleted(session_id, located))
        return session

    async def _get(self, session_id: UUID, tenant_id: UUID) -> S | None:
        if self._ttl:
            (row,) = await self._call("get", tenant_id, session_id.hex)
        else:  # a plain GET costs the server a third of a function call
            row = await self._read_row(tenant_id, session_id)
        if row is None:
            return None
        session = self._to_session(row, tenant_id)
        if session.session_id != session_id:
            raise StoreUnavailableError(self._address.host, "get", "it answered with another session")
        return session

    async def _read_row(self, tenant_id: UUID, session_id: UUID) -> bytes | None:
        self._check_loop()
        if self._new_readers:
            await self._begin_readers()
        client, key = self._client, keys.base(self._prefix, tenant_id) + f"s:{session_id.hex}".encode()
        row: bytes | None = await self._await_answer(client, client.command("get", "GET", key, key=key))
        return row

    async def _locate(self, session_id: UUID) -> Claim | None:
        if self._new_readers:
            await self._begin_readers()
        client = self._client
        return await self._await_answer(client, locate(client, self._prefix, session_id))

    async def save(self, session: S, *, expected_revision: int | None = None) -> UUID:
        self._check_loop()
        if expected_revision is not None:
            expected_revision = check.at_least(
                "expected_revision", expected_revision, 0, "0 expects that there is no session yet"
            )
        write = self._prepare(session)
        await self._save(write, "" if expected_revision is None else str(expected_revision))
        return write.session_id

    async def _save_instead(self, session: S, revision: int, stamp: datetime) -> None:
        self._check_loop()
        await self._save(self._prepare(session), str(revision), str(microseconds(stamp)))

    def _prepare(self, session: S) -> PreparedSave[S]:
        # The server assigns stamp and revision. These stand in for them while the session is checked.
        kept = self._codec.records.snapshot(session, self._own_clock.now(), revision=1)
        snapshot, index_json = kept.snapshot, to_json(keys.index_keys(kept.snapshot))
        return PreparedSave(
            session,
            version_of(session),
            snapshot.session_id,
            snapshot.tenant_id,
            index_json + self._codec.encode(kept),
            len(index_json),
            session.revision == 0,
        )

    async def _save(self, write: PreparedSave[S], expected: str = "", stamp: str = "", identity: str = "") -> S | None:
        """Save one session. If another session has the identity, return that one instead."""
        answers, found = await self._write(write.tenant_id, [write], [SaveTerms(expected, stamp, identity)])
        for answer in answers:
            write_back_version(write, *answer)
        return found

    async def _write(
        self, tenant_id: UUID, writes: Sequence[PreparedSave[S]], terms: Sequence[SaveTerms]
    ) -> tuple[list[tuple[int, int]], S | None]:
        """Save sessions of one tenant, all or none.

        Return stamp and revision of each, or zeros for a session that was left alone. If another session has the
        identity, return no answers and that session.
        """
        await self._ensure_tenant_registered(tenant_id)
        claims: dict[str, str] = {}
        answers: list[tuple[int, int]] = []
        try:
            answers, found = await self._claim_and_save(tenant_id, writes, terms, claims)
        finally:  # release the claims of unsaved sessions, unless an earlier save has stored the session
            stamps = [stamp for stamp, _ in answers] or [0] * len(writes)
            for write, stamp in zip(writes, stamps, strict=True):
                token = claims.get(write.session_id.hex)
                if token is not None and not stamp:
                    self._spawn(self._release_if_deleted(write.session_id, Claim(tenant_id, token)))
        return answers, found

    async def _claim_and_save(
        self, tenant_id: UUID, writes: Sequence[PreparedSave[S]], terms: Sequence[SaveTerms], claims: dict[str, str]
    ) -> tuple[list[tuple[int, int]], S | None]:
        """Do what `_write` does. Add the fencing token of each claim to `claims`, by the session's id."""
        unclaimed = {write.session_id.hex: "0" for write in writes if write.is_new}
        cap = "" if self._eviction.max_sessions is None else self._eviction.max_sessions
        evictions = EVICTIONS_PER_SAVE * len(writes) if self._eviction.idle_ttl is not None else 0
        for number in range(MAX_CLAIM_ROUNDS):
            if unclaimed:
                await self._claim(unclaimed, tenant_id, claims)
            sessions = []
            for write, (expected, expected_stamp, *others) in zip(writes, terms, strict=True):
                key = write.session_id.hex
                sessions.append((key, write.size, expected, expected_stamp, claims.get(key, ""), *others))
            request = to_json((cap, evictions, self._wants_rows, sessions))
            kind, *answer = await self._call("save", tenant_id, request, *(write.row for write in writes))
            if kind == b"claim":
                if number > 0:  # two tenants that claim one id in step would fence each other off in every round
                    await asyncio.sleep(random.uniform(0, CLAIM_RETRY_BASE_SECONDS * 2 ** min(number, 6)))  # noqa: S311  # no secret
                unclaimed = {session_id.decode(): fence.decode() for session_id, fence in answer[0]}
                continue
            if kind == b"found":
                return [], self._to_session(answer[0], tenant_id)
            if kind == b"conflict":
                place, stored = int(answer[0]) - 1, int(answer[1])
                raise ConflictError(writes[place].session_id, int(terms[place].expected), stored)
            if len(answer) > 1:
                self._handle_evicted(tenant_id, answer[1])
            if kind == b"first":  # the server may have lost its keys, and the registry of tenants too
                self._spawn(self._register_tenant(tenant_id))
            numbers = list(map(int, answer[0].split()))
            return list(zip(numbers[::2], numbers[1::2], strict=True)), None
        raise StoreUnavailableError(self._address.host, "save", "other tenants kept claiming the same id; try again")

    async def _claim(self, unclaimed: Mapping[str, str], tenant_id: UUID, claims: dict[str, str]) -> None:
        async def claim_one(key: str, minimum: str) -> None:
            claiming = claim(client, self._prefix, UUID(hex=key), tenant_id, self._fence, minimum)
            claims[key] = await self._await_answer(client, claiming, is_read=False)

        client = self._client
        # All claims are awaited even if one fails: successful ones must be known, to be released.
        claiming = [claim_one(key, minimum) for key, minimum in unclaimed.items()]
        for error in await asyncio.gather(*claiming, return_exceptions=True):
            if error is not None:
                raise error

    async def delete(self, session_id: UUID, *, tenant_id: UUID | None = None) -> bool:
        self._check_loop()
        return await self._delete([check.exact_id("session_id", session_id)], tenant_id) == 1

    async def get_or_create(
        self, tenant_id: UUID, channel: Channel, user_channel_id: str, create: Callable[[], S | Awaitable[S]]
    ) -> tuple[S, bool]:
        self._check_loop()
        identity = check.identity(tenant_id, channel, user_channel_id)
        check.callback("create", create)
        found = await self._latest(*identity, is_open=True)
        if found is not None:
            return found, False
        client = self._client
        async with self._creations.turn(repr(identity).encode()):
            self._check_client(client)
            found = await self._latest(*identity, is_open=True)
            if found is not None:
                return found, False
            made = create()
            session = (await made) if isawaitable(made) else made
            check_has_identity(session, identity)
            self._check_client(client)
            list_key = keys.identity(*identity[1:], is_open=True)
            found = await self._save(self._prepare(session), "0", identity=list_key)
            return (session, True) if found is None else (found, False)

    # -- many sessions --

    async def _save_batch(self, sessions: Sequence[S], first: int) -> list[UUID]:
        self._check_loop()
        writes_by_tenant: dict[UUID, list[PreparedSave[S]]] = {}
        owners: dict[bytes, UUID] = {}
        ids = []
        for place, session in enumerate(sessions):
            if place % CHECKS == CHECKS - 1:
                await asyncio.sleep(0)
            try:
                write = self._prepare(session)
                if owners.setdefault(write.session_id.bytes, write.tenant_id) != write.tenant_id:
                    raise TenantMismatchError(write.session_id)
            except SessiondexError as error:
                note_place(error, first + place)
                raise
            writes_by_tenant.setdefault(write.tenant_id, []).append(write)
            ids.append(write.session_id)
        for tenant_id, writes in writes_by_tenant.items():
            try:
                answers, _ = await self._write(tenant_id, writes, [SaveTerms()] * len(writes))
            except TenantMismatchError as error:
                note_place(error, first + ids.index(error.session_id), whole=len(writes_by_tenant) == 1)
                raise
            for write, answer in zip(writes, answers, strict=True):
                write_back_version(write, *answer)
        return ids

    async def delete_many(self, session_ids: Iterable[UUID], *, tenant_id: UUID | None = None) -> int:
        self._check_loop()
        ids = [check.exact_id("session_ids", one) for one in check.many("session_ids", session_ids, "delete")]
        return await self._delete(ids, tenant_id)

    async def _delete(self, session_ids: Sequence[UUID], tenant_id: UUID | None) -> int:
        if tenant_id is not None:
            return await self._delete_of(check.exact_id("tenant_id", tenant_id), session_ids)
        located = await asyncio.gather(*map(self._locate, session_ids))
        ids_by_tenant: dict[UUID, list[UUID]] = {}
        for session_id, found in zip(session_ids, located, strict=True):
            if found is not None:
                ids_by_tenant.setdefault(found.tenant_id, []).append(session_id)
        return sum([await self._delete_of(owner, ids) for owner, ids in ids_by_tenant.items()])

    async def _delete_of(self, tenant_id: UUID, session_ids: Sequence[UUID]) -> int:
        ids = [session_id.hex for session_id in session_ids]
        deleted, evicted = await self._call("delete", tenant_id, self._wants_rows, *ids)
        self._release_claims(tenant_id, deleted)
        self._handle_evicted(tenant_id, evicted)
        return len(deleted)

    # -- export and restore --

    async def export(self, *, cursor: str | None = None, limit: int = 500) -> tuple[list[S], str | None]:
        self._check_loop()
        limit = check.at_least("limit", limit, 1, "some hundred is a good size")
        start = ExportCursor.parse(cursor)
        found: list[S] = []
        async for tenant_id in self._tenants(start.tenant):
            place = start if tenant_id.hex == start.tenant else ExportCursor(tenant_id.hex)
            while place.tenant:
                if len(found) == limit:
                    return found, str(place)
                page_size = min(limit - len(found), PAGE_SIZE)
                rows, stamp, last_id = await self._call("export", tenant_id, page_size, place.stamp, place.session)
                found += [self._to_session(row, tenant_id) for row in rows]
                place = ExportCursor(tenant_id.hex if last_id else "", stamp.decode(), last_id.decode())
        return found, None

    async def restore(self, sessions: Iterable[S]) -> int:
        self._check_loop()
        latest: dict[bytes, tuple[PreparedSave[S], SaveTerms]] = {}
        by_tenant: dict[UUID, list[tuple[PreparedSave[S], SaveTerms]]] = {}
        for place, session in enumerate(check.many("sessions", sessions, "save")):
            try:
                stamp, revision = saved_as(session)
                write = self._prepare(session)
            except SessiondexError as error:
                note_place(error, place)
                raise
            key, terms = write.session_id.bytes, SaveTerms(stamp=str(microseconds(stamp)), revision=str(revision))
            earlier = latest.get(key)
            if earlier is not None and earlier[0].tenant_id != write.tenant_id:
                mismatch = TenantMismatchError(write.session_id)
                note_place(mismatch, place)
                raise mismatch
            if earlier is None or int(earlier[1].stamp) < int(terms.stamp):
                latest[key] = write._replace(is_new=True), terms
        for write, terms in latest.values():
            by_tenant.setdefault(write.tenant_id, []).append((write, terms))
        count = 0
        for tenant_id, given in by_tenant.items():
            answers, _ = await self._write(tenant_id, [write for write, _ in given], [terms for _, terms in given])
            count += sum(1 for stamp, _ in answers if stamp)
        return count
