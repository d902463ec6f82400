"""BulkSaver: saves and restores many sessions, the sessions of each tenant in one step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic
from uuid import UUID

from sessiondex.errors import TenantMismatchError, add_position_note
from sessiondex.reading import S
from sessiondex.stores.redis.codec import SessionCodec
from sessiondex.stores.redis.saves import (
    PreparedSave,
    SaveConflict,
    Saver,
    SaveTerms,
    prepare_save,
    write_back_if_later,
)
from sessiondex.stores.slices import map_in_slices


class BulkSaver(Generic[S]):
    """Checks all sessions of a batch before it sends any. `enter` admits the running loop after each pause."""

    def __init__(self, saver: Saver[S], codec: SessionCodec[S], enter: Callable[[], None]) -> None:
        self._saver = saver
        self._codec = codec
        self._enter = enter

    async def put(self, sessions: Sequence[S], terms: Sequence[SaveTerms], first: int) -> list[UUID]:
        """Save all sessions of each tenant or none, and return their ids. `first` is the number of the first."""
        saves = await self._prepare(sessions, first)
        ids = [save.encoded.session_id for save in saves]
        by_tenant: dict[bytes, list[int]] = {}
        for position, save in enumerate(saves):
            by_tenant.setdefault(save.encoded.tenant_id.bytes, []).append(position)
        for positions in by_tenant.values():
            batch = [saves[position] for position in positions]
            try:
                tenant_id = batch[0].encoded.tenant_id
                versions, _ = await self._saver.save(tenant_id, batch, [terms[position] for position in positions])
            except SaveConflict as conflict:
                number = first + positions[conflict.place]
                add_position_note(conflict.error, number, whole_batch=len(by_tenant) == 1)
                raise conflict.error from None
            except TenantMismatchError as error:
                add_position_note(error, first + ids.index(error.session_id), whole_batch=len(by_tenant) == 1)
                raise
            for save, version in zip(batch, versions, strict=True):
                write_back_if_later(save, *version)
        return ids

    async def restore(self, versions: Sequence[tuple[S, int, int]]) -> int:
        """Save sessions with the stamps and revisions given beside them, and return how many were saved."""
        saves = await self._prepare([session for session, _, _ in versions], 0)
        positions: dict[bytes, int] = {}  # of the latest version of each session
        for position, (save, version) in enumerate(zip(saves, versions, strict=True)):
            key = save.encoded.session_id.bytes
            if key not in positions or versions[positions[key]][1:] < version[1:]:
                positions[key] = position
        by_tenant: dict[bytes, list[int]] = {}
        # In the order of stamps, as in every store: of two sessions with one stamp, the first keeps it.
        for position in sorted(positions.values(), key=lambda position: (versions[position][1], position)):
            by_tenant.setdefault(saves[position].encoded.tenant_id.bytes, []).append(position)
        count = 0
        for group in by_tenant.values():
            batch = [saves[position]._replace(is_new=True) for position in group]
            terms = [SaveTerms(stamp=str(versions[at][1]), revision=str(versions[at][2])) for at in group]
            try:
                restored, _ = await self._saver.save(batch[0].encoded.tenant_id, batch, terms)
            except TenantMismatchError as error:
                ids = [save.encoded.session_id for save in saves]
                add_position_note(error, ids.index(error.session_id), whole_batch=len(by_tenant) == 1)
                raise
            count += sum(1 for version in restored if version.revision)
        return count

    async def _prepare(self, sessions: Sequence[S], first: int) -> list[PreparedSave[S]]:
        """Check all sessions of a batch, in which each id belongs to one tenant."""
        owners: dict[bytes, UUID] = {}

        def prepare(session: S) -> PreparedSave[S]:
            save = prepare_save(self._codec, session)
            session_id, tenant_id = save.encoded.session_id, save.encoded.tenant_id
            if owners.setdefault(session_id.bytes, tenant_id) != tenant_id:
                raise TenantMismatchError(session_id)
            return save

        return await map_in_slices(prepare, sessions, first, self._enter)
