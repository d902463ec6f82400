"""Stores that show one tenant something of another, for the tests that must find it."""

from __future__ import annotations

import logging
import warnings
from typing import Any
from uuid import UUID

from sessiondex import ScanSessionStore, TenantMismatchError
from tests.support.stores import backend_of, scan_snapshots


class ForgetsTheTenant(ScanSessionStore[Any]):
    async def get(self, session_id: UUID, *, tenant_id: UUID | None = None) -> Any:  # noqa: ARG002  # as the contract
        return await super().get(session_id)


class NamesTheOwner(ScanSessionStore[Any]):
    async def save(self, session: Any, *, expected_revision: int | None = None, touch: bool = True) -> UUID:
        try:
            return await super().save(session, expected_revision=expected_revision, touch=touch)
        except TenantMismatchError as error:
            error.add_note(f"it belongs to {scan_snapshots(self)[session.session_id].tenant_id.hex}")
            raise


class HasACause(ScanSessionStore[Any]):
    """Raises an error whose cause shows another tenant."""

    async def save(self, session: Any, *, expected_revision: int | None = None, touch: bool = True) -> UUID:
        try:
            return await super().save(session, expected_revision=expected_revision, touch=touch)
        except TenantMismatchError as error:
            raise error from KeyError(scan_snapshots(self)[session.session_id].user_channel_id)


class Logs(ScanSessionStore[Any]):
    async def get(self, session_id: UUID, *, tenant_id: UUID | None = None) -> Any:
        logging.getLogger("sessiondex").debug("asked for %s", scan_snapshots(self).get(session_id))
        return await super().get(session_id, tenant_id=tenant_id)


class Warns(ScanSessionStore[Any]):
    async def delete(self, session_id: UUID, *, tenant_id: UUID | None = None) -> bool:
        warnings.warn(f"of {scan_snapshots(self)[session_id].agent_id.int}", stacklevel=1)
        return await super().delete(session_id, tenant_id=tenant_id)


class Merges(ScanSessionStore[Any]):
    """Merges the lists of all tenants."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        backend_of(self)._visible = lambda *_: iter(scan_snapshots(self).values())


class ShowsItself(ScanSessionStore[Any]):
    def __repr__(self) -> str:
        return f"store of {[one.bytes for one in scan_snapshots(self)]}"


class MixesIn(ScanSessionStore[Any]):
    """Adds something of the last save to every thirtieth answer."""

    answers = 0

    async def get(self, session_id: UUID, *, tenant_id: UUID | None = None) -> Any:
        found = await super().get(session_id, tenant_id=tenant_id)
        self.answers += 1
        if found is not None and self.answers % 30 == 0:
            last = max(scan_snapshots(self).values(), key=lambda snapshot: snapshot.last_activity_at)
            # The set of set fields is not compared. `model_fields_set` returns a copy, so the set itself is replaced.
            object.__setattr__(found, "__pydantic_fields_set__", {*found.model_fields_set, last.user_channel_id})
        return found


class FindsTheOldest(ScanSessionStore[Any]):
    async def _latest(self, query: Any) -> Any:
        newest = await super()._latest(query)
        if newest is None:
            return None
        owned = [one for one in scan_snapshots(self).values() if one.tenant_id == query.tenant_id]
        return next(one for one in owned if one.user_channel_id == newest.user_channel_id).model_copy(deep=True)


class FindsOthers(ScanSessionStore[Any]):
    """Finds as many sessions as there are, at another step."""

    async def _at_step(self, query: Any) -> Any:
        found = await super()._at_step(query)
        owned = [one for one in scan_snapshots(self).values() if one.tenant_id == query.tenant_id]
        others = [one for one in owned if one not in found]
        return others[: len(found)] if len(others) >= len(found) else found
