"""Saver: saves sessions of one tenant, all or none, and writes the versions back to the caller's objects."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, NamedTuple
from uuid import UUID

from pydantic_core import to_json

from sessiondex.clock import to_datetime
from sessiondex.errors import ConflictError, StoreUnavailableError
from sessiondex.models import Session
from sessiondex.queries import Expected
from sessiondex.reading import S
from sessiondex.snapshots.class_codec import write_back_version
from sessiondex.stores.eviction import EvictionPolicy
from sessiondex.stores.redis.codec import EncodedSession, SessionCodec, head_of
from sessiondex.stores.redis.locators import Claim, Locators
from sessiondex.stores.redis.maintenance import TenantRegistry
from sessiondex.stores.redis.removals import RemovalHandler
from sessiondex.stores.redis.tenant_client import TenantClient

EVICTIONS_PER_SAVE = 2  # expired sessions: more than a save adds, so that saves alone keep their number down
MAX_CLAIM_ROUNDS = 20  # of one save; another tenant's fence causes each further one
CLAIM_RETRY_BASE_SECONDS = 0.002  # doubled each round up to 0.128 s, drawn at random below that

Version = tuple[object, object]
"""Stamp and revision as an object shows them. The user may have assigned anything."""


class PreparedSave(NamedTuple, Generic[S]):
    """A session that was checked, and can be sent to the server."""

    session: S
    """The caller's object."""
    given_version: Version
    """The version of the object before the save."""
    encoded: EncodedSession
    is_new: bool
    """Whether the session is probably new: then the store claims it before the save, which avoids a round trip."""


class SaveTerms(NamedTuple):
    """The conditions of a save. An empty text is no condition."""

    expected: str = ""
    """The revision that must be stored."""
    expected_token: str = ""
    """The fencing token that must be stored: it changes when the session is deleted and saved again."""
    is_quiet: str = ""
    """`1` if the session keeps its stamp."""
    stamp: str = ""
    """The stamp to restore, unless a version as late is stored."""
    revision: str = ""
    """The revision to restore."""


class SaveConflict(Exception):  # noqa: N818  # not seen by users
    """Another version is stored than one of the saves expects."""

    def __init__(self, place: int, error: ConflictError) -> None:
        super().__init__(place)
        self.place = place
        """Of the save, counted from 0."""
        self.error = error


class SavedVersion(NamedTuple):
    """The version that a save has stored. Revision 0: the session was left alone."""

    stamp: int
    revision: int


def terms_of(expected: Expected | None, *, touch: bool) -> SaveTerms:
    """Return the terms of a save."""
    is_quiet = "" if touch else "1"
    if expected is None:
        return SaveTerms(is_quiet=is_quiet)
    token = "" if expected.generation is None else str(expected.generation)
    return SaveTerms(str(expected.revision), token, is_quiet)


def prepare_save(codec: SessionCodec[S], session: S) -> PreparedSave[S]:
    """Check and encode the session. Raises `InvalidSessionError`."""
    encoded = codec.encode(session)
    given_version = version_of(session)
    return PreparedSave(session, given_version, encoded, is_new=given_version[1] == 0)


def version_of(session: Session) -> Version:
    """Return stamp and revision of the object."""
    values = object.__getattribute__(session, "__dict__")
    return values.get("last_activity_at"), values.get("revision")


def write_back_if_later(save: PreparedSave[Any], stamp: int, revision: int) -> None:
    """Set stamp and revision on the caller's object, unless a later save of the object has already done so.

    Answers may arrive in another order than the server's commits. If the object no longer shows the version from before
    this save, another save has written back, and the later stamp wins, or the later revision with the same stamp.
    Otherwise the shown stamp says nothing: it may come from another clock.
    """
    shown = version_of(save.session)
    if shown == save.given_version or not _is_later(shown, (to_datetime(stamp), revision)):
        write_back_version(save.session, stamp, revision)


def _is_later(shown: Version, saved: tuple[datetime, int]) -> bool:
    at, revision = shown
    if not isinstance(at, datetime) or at.utcoffset() is None or type(revision) is not int:
        return False
    return (at, revision) > saved


class Saver(Generic[S]):
    """Saves prepared sessions from one event loop, and claims those that are new."""

    def __init__(  # noqa: PLR0917  # called in one place
        self,
        calls: TenantClient,
        codec: SessionCodec[S],
        policy: EvictionPolicy,
        locators: Locators,
        removals: RemovalHandler,
        tenants: TenantRegistry,
    ) -> None:
        self._calls = calls
        self._codec = codec
        self._policy = policy
        self._locators = locators
        self._removals = removals
        self._tenants = tenants

    async def save(
        self, tenant_id: UUID, saves: Sequence[PreparedSave[S]], terms: Sequence[SaveTerms], identity: bytes = b""
    ) -> tuple[list[SavedVersion], S | None]:
        """Save sessions of one tenant, all or none, and return their versions.

        `identity` is the list of a channel identity that must have no session; if it has one, return no versions, and
        that session.

        Raises:
            SaveConflict: another version of a session is stored than the expected one.
            TenantMismatchError: another tenant has a session.
        """
        with self._calls.writes:
            return await self._save(tenant_id, saves, terms, identity)

    async def _save(
        self, tenant_id: UUID, saves: Sequence[PreparedSave[S]], terms: Sequence[SaveTerms], identity: bytes
    ) -> tuple[list[SavedVersion], S | None]:
        await self._tenants.ensure_registered(tenant_id)
        claims: dict[str, str] = {}
        versions: list[SavedVersion] = []
        try:
            versions, found = await self._claim_and_save(tenant_id, saves, terms, identity, claims)
        finally:  # release the claims of unsaved sessions, unless an earlier save has stored the session
            for place, save in enumerate(saves if claims else ()):
                session_id = save.encoded.session_id
                token = claims.get(session_id.hex)
                if token is not None and not (versions and versions[place].revision):
                    self._removals.release_if_deleted(session_id, Claim(tenant_id, token))
        return versions, found

    async def _claim_and_save(
        self,
        tenant_id: UUID,
        saves: Sequence[PreparedSave[S]],
        terms: Sequence[SaveTerms],
        identity: bytes,
        claims: dict[str, str],
    ) -> tuple[list[SavedVersion], S | None]:
        """Do what `save` does. Add the fencing token of each claim to `claims`, by the session's id."""
        unclaimed = {save.encoded.session_id.hex: "0" for save in saves if save.is_new}
        unreadable = ""  # the stamp of a session that has the identity and cannot be read, so it does not count
        for number in range(MAX_CLAIM_ROUNDS):
            if unclaimed:
                await self.claim(unclaimed, tenant_id, claims)
            request = self._request(saves, terms, unreadable, claims)
            data = [save.encoded.data for save in saves]
            kind, *answer = await self._calls.call("save", tenant_id, request, identity, *data)
            if kind == b"claim":
                if number > 0:  # two tenants that claim one id in step would fence each other off in every round
                    await asyncio.sleep(random.uniform(0, CLAIM_RETRY_BASE_SECONDS * 2 ** min(number, 6)))  # noqa: S311  # no secret
                unclaimed = {session_id.decode(): fence.decode() for session_id, fence in answer[0]}
                continue
            if kind == b"found":
                found = self._codec.decode_or_skip(answer[0], tenant_id)
                if found is not None:
                    return [], found
                unreadable, unclaimed = str(head_of(answer[0]).stamp), {}
                continue
            if kind == b"conflict":
                place, stored = int(answer[0]) - 1, int(answer[1])
                error = ConflictError(saves[place].encoded.session_id, int(terms[place].expected), stored)
                raise SaveConflict(place, error)
            if len(answer) > 1:
                self._removals.handle_evicted(tenant_id, answer[1])
            if kind == b"first":  # the server may have lost its keys, and the registry of tenants too
                self._tenants.register_again(tenant_id)
            numbers = list(map(int, answer[0].split()))
            return list(map(SavedVersion, numbers[::2], numbers[1::2])), None
        raise StoreUnavailableError(
            self._calls.client.host, "save", "other tenants kept claiming the same id; try again"
        )

    def _request(
        self, saves: Sequence[PreparedSave[S]], terms: Sequence[SaveTerms], unreadable: str, claims: Mapping[str, str]
    ) -> bytes:
        """Return the request of the function `save`, see `lua/writes.lua`."""
        cap = "" if self._policy.max_sessions is None else self._policy.max_sessions
        evictions = EVICTIONS_PER_SAVE * len(saves) if self._policy.idle_ttl is not None else 0
        sessions = []
        for save, (expected, expected_token, is_quiet, stamp, revision) in zip(saves, terms, strict=True):
            session_id, _, _, size, version = save.encoded
            claimed = claims.get(session_id.hex, "")
            part = (session_id.hex, size, version, expected, expected_token, claimed, is_quiet, stamp, revision)
            sessions.append(part)
        return to_json((cap, evictions, self._removals.wants_rows, unreadable, sessions))

    async def claim(self, unclaimed: Mapping[str, str], tenant_id: UUID, claims: dict[str, str]) -> None:
        """Claim sessions for the tenant, each with a token above the given one. Add the tokens to `claims`.

        Raises:
            TenantMismatchError: another tenant has a session.
        """

        async def claim_one(key: str, minimum: str) -> None:
            claiming = self._locators.claim(UUID(hex=key), tenant_id, self._removals.fence, minimum)
            claims[key] = await self._calls.checked(claiming, is_read=False)

        # All claims are awaited even if one fails: successful ones must be known, to be released.
        claiming = [claim_one(key, minimum) for key, minimum in unclaimed.items()]
        for error in await asyncio.gather(*claiming, return_exceptions=True):
            if error is not None:
                raise error
