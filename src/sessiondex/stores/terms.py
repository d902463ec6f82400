"""The terms of a save: which version it may replace, and which stamp is free for a restored session."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sessiondex.errors import ConflictError, TenantMismatchError
from sessiondex.queries import Expected
from sessiondex.snapshots.codec import Prepared
from sessiondex.stores.backend import P, R, RowHead, Storage


def check_replaceable(head: RowHead | None, prepared: Prepared, expected: Expected | None = None) -> int:
    """Return the stored revision, 0 if there is none.

    Raises:
        ConflictError: another version is stored than the expected one.
        TenantMismatchError: the id belongs to another tenant.
    """
    if head is not None and head.owner != prepared.tenant_id.int.to_bytes(16):
        raise TenantMismatchError(prepared.session_id)
    revision = 0 if head is None else head.revision
    check_revision(prepared, revision, expected)
    is_another = expected is not None and head is not None and expected.generation not in {None, head.generation}
    if expected is not None and is_another:  # deleted, and saved again as often
        raise ConflictError(prepared.session_id, expected.revision, revision)
    return revision


def check_revision(prepared: Prepared, stored: int, expected: Expected | None) -> None:
    """Raise `ConflictError` if another revision is stored than the expected one."""
    if expected is not None and expected.revision != stored:
        raise ConflictError(prepared.session_id, expected.revision, stored)


def check_same_tenant(prepared: Prepared, tenant_id: UUID) -> None:
    """Raise `TenantMismatchError` if the session is of another tenant than an earlier one of its id."""
    if prepared.tenant_id != tenant_id:
        raise TenantMismatchError(prepared.session_id)


def with_free_stamps(
    storage: Storage[R, P], puts: Sequence[tuple[Prepared, int, int]]
) -> list[tuple[Prepared, int, int]]:
    """Return the puts, ordered by the stamps that they want, each with the first stamp from there that is free."""
    heads = [storage.head(prepared.session_id) for prepared, _, _ in puts]
    # Free as well: the stamps of the versions that these puts replace.
    left = {(head.owner, head.stamp) for head in heads if head is not None}
    # In the order of stamps: all from the wanted one to the last one given are taken, so the search goes on there.
    last_given: dict[bytes, int] = {}
    free = []
    for prepared, wanted, revision in puts:
        owner = prepared.tenant_id.bytes
        stamp = max(wanted, last_given.get(owner, -1) + 1)
        while (owner, stamp) not in left and storage.has_stamp(prepared.tenant_id, stamp):
            stamp += 1
        last_given[owner] = stamp
        free.append((prepared, stamp, revision))
    return free
