"""The contract's operations, each of them a call of one function on the server."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from inspect import isawaitable
from typing import Generic, NamedTuple
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
from sessiondex.stores.redis.claims import Claim, claim, locate
from sessiondex.stores.redis.marks import Marks
from sessiondex.stores.redis.queries import ROWS_AT_ONCE, RedisQueries
from sessiondex.stores.redis.url import address_of

_SWEPT_BY_A_WRITE = 2  # more than a write adds, so that it keeps ahead whoever else sweeps
_ROUNDS = 20  # claims of one save; each further one was barred by another tenant
_CLAIM_PAUSE_SECONDS = 0.002  # doubled each round up to 0.128 s, drawn at random below that


class _Write(NamedTuple, Generic[S]):
    """A save of which all that can be checked here has been."""

    session: S
    session_id: UUID
    tenant_id: UUID
    row: bytes
    """What is ours of its row: where it is filed, and its value."""
    size: int
    """How many bytes of that say where it is filed."""
    is_new: bool
    """Whether it probably is."""


class _Terms(NamedTuple):
    """On which terms a session is saved; what is empty is no term."""

    expected: str = ""
    """The revision that is stored."""
    expected_stamp: str = ""
    identity: str = ""
    """The entry of an identity that must have no session."""
    stamp: str = ""
    """What to keep, if there is nothing as late."""
    revision: str = ""


class RedisSessionStore(RedisQueries[S], Generic[S]):
    """Keeps sessions on a Redis or Valkey server, or cluster, where any number of processes share them.

    `url` says where: `redis://`, `rediss://` (TLS) or `valkey://`, and with `+cluster` for a cluster. `prefix` begins
    all its keys. `session_classes` are the subclasses of `Session` that may be found there; those that this process
    saves are known anyway. A turn that is not renewed ends after `turn_ttl`. `timeout`, in seconds, and
    `max_connections` are of this process. The other options are those of `InMemorySessionStore`; all processes should
    give the same, and `max_sessions` is for each tenant. Without `clock`, instants are the server's.

    Every operation is one round trip, but those without a tenant, and saves of new sessions, which are two; and long
    answers, of which each 500 sessions are one. Every one raises `StoreUnavailableError` if the server cannot be
    reached, or cannot do it.
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
            raise InvalidArgumentError("prefix", "must be some printable ASCII characters, without braces")
        address = address_of(url, timeout=timeout, max_connections=max_connections)
        eviction = Eviction(idle_ttl, max_sessions, on_evict)
        super().__init__(address, prefix, session_classes, eviction, changes_kept, turn_ttl, clock)
        self._marks = Marks()

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
            self._errand(self._give_back_if_gone(session_id, located))
        return session

    async def _get(self, session_id: UUID, tenant_id: UUID) -> S | None:
        if self._ttl:
            (row,) = await self._ask("get", tenant_id, session_id.hex)
        else:  # nothing to decide there, and a plain command costs the server a third of a function
            row = await self._row(tenant_id, session_id)
        if row is None:
            return None
        session = self._session(row, tenant_id)
        if session.session_id != session_id:
            raise StoreUnavailableError(self._address.host, "get", "it answered with another session")
        return session

    async def _row(self, tenant_id: UUID, session_id: UUID) -> bytes | None:
        self._check_loop()
        if self._unbegun:
            await self._begin_reading()
        server, key = self._server, keys.base(self._prefix, tenant_id) + f"s:{session_id.hex}".encode()
        row: bytes | None = await self._answered(server, server.command("get", "GET", key, key=key))
        return row

    async def _locate(self, session_id: UUID) -> Claim | None:
        if self._unbegun:
            await self._begin_reading()
        server = self._server
        return await self._answered(server, locate(server, self._prefix, session_id))

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

    def _prepare(self, session: S) -> _Write[S]:
        # Stamp and revision are the server's to give; these stand in for them while it is checked.
        kept = self._rows.records.snapshot(session, self._own_clock.now(), revision=1)
        snapshot, filed = kept.snapshot, to_json(keys.filed(kept.snapshot))
        row = filed + self._rows.value(kept)
        return _Write(session, snapshot.session_id, snapshot.tenant_id, row, len(filed), session.revision == 0)

    async def _save(self, write: _Write[S], expected: str = "", stamp: str = "", identity: str = "") -> S | None:
        """Save one session, or return the one that is in the way of its identity."""
        with self._marks.of([write.session]):
            answers, found = await self._write(write.tenant_id, [write], [_Terms(expected, stamp, identity)])
            for answer in answers:
                self._marks.mark(write.session, *answer)
        return found

    async def _write(
        self, tenant_id: UUID, writes: Sequence[_Write[S]], terms: Sequence[_Terms]
    ) -> tuple[list[tuple[int, int]], S | None]:
        """Save all of them, which are the tenant's, or none.

        Return stamp and revision of each, 0 of what was left alone; or else the session that is in the way.
        """
        await self._know(tenant_id)
        claims: dict[str, str] = {}
        answers: list[tuple[int, int]] = []
        try:
            answers, found = await self._written(tenant_id, writes, terms, claims)
        finally:  # of what was not saved: it may be there all the same, by an earlier claim
            stamps = [stamp for stamp, _ in answers] or [0] * len(writes)
            for write, stamp in zip(writes, stamps, strict=True):
                number = claims.get(write.session_id.hex)
                if number is not None and not stamp:
                    self._errand(self._give_back_if_gone(write.session_id, Claim(tenant_id, number)))
        return answers, found

    async def _written(
        self, tenant_id: UUID, writes: Sequence[_Write[S]], terms: Sequence[_Terms], claims: dict[str, str]
    ) -> tuple[list[tuple[int, int]], S | None]:
        """As `_write`; note in `claims` what is claimed for it, by the session's id."""
        unclaimed = {write.session_id.hex: "0" for write in writes if write.is_new}
        cap = "" if self._eviction.max_sessions is None else self._eviction.max_sessions
        swept = _SWEPT_BY_A_WRITE * len(writes) if self._eviction.idle_ttl is not None else 0
        for number in range(_ROUNDS):
            if unclaimed:
                await self._claim(unclaimed, tenant_id, claims)
            asked = []
            for write, (expected, expected_stamp, *others) in zip(writes, terms, strict=True):
                key = write.session_id.hex
                asked.append((key, write.size, expected, expected_stamp, claims.get(key, ""), *others))
            what = to_json((cap, swept, self._wants_evicted, asked))
            kind, *answer = await self._ask("save", tenant_id, what, *(write.row for write in writes))
            if kind == b"claim":
                if number > 0:  # two tenants that claim one id in step would bar each other until the rounds run out
                    await asyncio.sleep(random.uniform(0, _CLAIM_PAUSE_SECONDS * 2 ** min(number, 6)))  # noqa: S311  # no secret
                unclaimed = {session_id.decode(): barred.decode() for session_id, barred in answer[0]}
                continue
            if kind == b"found":
                return [], self._session(answer[0], tenant_id)
            if kind == b"conflict":
                place, stored = int(answer[0]) - 1, int(answer[1])
                raise ConflictError(writes[place].session_id, int(terms[place].expected), stored)
            if len(answer) > 1:
                self._were_evicted(tenant_id, answer[1])
            if kind == b"first":  # the server may have lost what it knew: that there is such a tenant, too
                self._errand(self._tell_of(tenant_id))
            numbers = list(map(int, answer[0].split()))
            return list(zip(numbers[::2], numbers[1::2], strict=True)), None
        raise StoreUnavailableError(self._address.host, "save", "other tenants claim the same id again and again")

    async def _claim(self, unclaimed: Mapping[str, str], tenant_id: UUID, claims: dict[str, str]) -> None:
        async def claimed(key: str, barred: str) -> None:
            claiming = claim(server, self._prefix, UUID(hex=key), tenant_id, self._bar, barred)
            claims[key] = await self._answered(server, claiming, is_read=False)

        server = self._server
        # To the end of all, though one is refused: what was claimed has to be known.
        claiming = [claimed(key, barred) for key, barred in unclaimed.items()]
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
        server = self._server
        async with self._creations.turn(repr(identity).encode()):
            self._check_is_ours(server)
            found = await self._latest(*identity, is_open=True)
            if found is not None:
                return found, False
            made = create()
            session = (await made) if isawaitable(made) else made
            check_has_identity(session, identity)
            self._check_is_ours(server)
            entry = keys.identity(*identity[1:], is_open=True)
            found = await self._save(self._prepare(session), "0", identity=entry)
            return (session, True) if found is None else (found, False)

    # -- many sessions --

    async def _save_batch(self, sessions: Sequence[S], first: int) -> list[UUID]:
        self._check_loop()
        of_tenant: dict[UUID, list[_Write[S]]] = {}
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
            of_tenant.setdefault(write.tenant_id, []).append(write)
            ids.append(write.session_id)
        for tenant_id, writes in of_tenant.items():
            with self._marks.of([write.session for write in writes]):
                try:
                    answers, _ = await self._write(tenant_id, writes, [_Terms()] * len(writes))
                except TenantMismatchError as error:
                    note_place(error, first + ids.index(error.session_id), whole=len(of_tenant) == 1)
                    raise
                for write, answer in zip(writes, answers, strict=True):
                    self._marks.mark(write.session, *answer)
        return ids

    async def delete_many(self, session_ids: Iterable[UUID], *, tenant_id: UUID | None = None) -> int:
        self._check_loop()
        ids = [check.exact_id("session_ids", one) for one in check.many("session_ids", session_ids, "delete")]
        return await self._delete(ids, tenant_id)

    async def _delete(self, session_ids: Sequence[UUID], tenant_id: UUID | None) -> int:
        if tenant_id is not None:
            return await self._delete_of(check.exact_id("tenant_id", tenant_id), session_ids)
        located = await asyncio.gather(*map(self._locate, session_ids))
        of_tenant: dict[UUID, list[UUID]] = {}
        for session_id, found in zip(session_ids, located, strict=True):
            if found is not None:
                of_tenant.setdefault(found.tenant_id, []).append(session_id)
        return sum([await self._delete_of(owner, ids) for owner, ids in of_tenant.items()])

    async def _delete_of(self, tenant_id: UUID, session_ids: Sequence[UUID]) -> int:
        ids = [session_id.hex for session_id in session_ids]
        deleted, evicted = await self._ask("delete", tenant_id, self._wants_evicted, *ids)
        self._give_back(tenant_id, deleted)
        self._were_evicted(tenant_id, evicted)
        return len(deleted)

    # -- moving --

    async def export(self, *, cursor: str | None = None, limit: int = 500) -> tuple[list[S], str | None]:
        self._check_loop()
        limit = check.at_least("limit", limit, 1, "some hundred is a good size")
        first, after = check.place_in_cursor(cursor)
        found: list[S] = []
        async for tenant_id in self._tenants(first):
            last: bytes | None = after.encode() if tenant_id.hex == first else b""
            while last is not None:
                if len(found) == limit:
                    return found, f"{tenant_id.hex}:{last.decode()}"
                rows, last = await self._ask("walk", tenant_id, min(limit - len(found), ROWS_AT_ONCE), last)
                found += [self._session(row, tenant_id) for row in rows]
        return found, None

    async def restore(self, sessions: Iterable[S]) -> int:
        self._check_loop()
        latest: dict[bytes, tuple[_Write[S], _Terms]] = {}
        of_tenant: dict[UUID, list[tuple[_Write[S], _Terms]]] = {}
        for place, session in enumerate(check.many("sessions", sessions, "save")):
            try:
                stamp, revision = saved_as(session)
                write = self._prepare(session)
            except SessiondexError as error:
                note_place(error, place)
                raise
            key, terms = write.session_id.bytes, _Terms(stamp=str(microseconds(stamp)), revision=str(revision))
            earlier = latest.get(key)
            if earlier is not None and earlier[0].tenant_id != write.tenant_id:
                mismatch = TenantMismatchError(write.session_id)
                note_place(mismatch, place)
                raise mismatch
            if earlier is None or int(earlier[1].stamp) < int(terms.stamp):
                latest[key] = write._replace(is_new=True), terms  # most probably
        for write, terms in latest.values():
            of_tenant.setdefault(write.tenant_id, []).append((write, terms))
        count = 0
        for tenant_id, given in of_tenant.items():
            answers, _ = await self._write(tenant_id, [write for write, _ in given], [terms for _, terms in given])
            count += sum(1 for stamp, _ in answers if stamp)
        return count
