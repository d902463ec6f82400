"""What a disk may hold after a power failure, computed from the operations before it.

- A sync makes the earlier changes of its file durable, and its name too. Until then they are pending.
- Each pending change may be on the disk or not, whatever happened to the others. A write may also be torn: only its
  first sectors are on the disk.
- A deletion is pending until the folder is synced, or a new file of that name. If it is lost, the name still leads to
  the deleted file, so all later changes are lost as well.
- After a failed sync, the pending changes of its file may be lost even if a later sync succeeds: Linux does not write
  them a second time.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path

SECTOR_BYTES = 512


@dataclass(frozen=True, slots=True)
class Write:
    file: str
    offset: int
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Truncation:
    file: str
    size: int


@dataclass(frozen=True, slots=True)
class Deletion:
    file: str
    is_folder_synced: bool


@dataclass(frozen=True, slots=True)
class Sync:
    """The end of a sync, which concerns the first `operations` operations: those recorded when it began."""

    file: str
    operations: int
    is_folder_synced: bool = False
    has_failed: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    value: object


Change = Write | Truncation | Deletion
Operation = Change | Sync | Mark
Survival = Callable[[Change], Change | None]
"""Returns what is on the disk of a pending change, or None."""


def lost(change: Change) -> None:
    """Lose each pending change."""


def kept(change: Change) -> Change:
    """Keep each pending change."""
    return change


def drawn(rng: random.Random) -> Survival:
    """Lose, tear or keep each pending change at random.

    The share of lost changes is drawn first. Otherwise nearly no state would keep, or lose, nearly all of many changes.
    """
    lost_share = rng.random()

    def survive(change: Change) -> Change | None:
        if rng.random() < lost_share:
            return None
        return _torn(change, rng) if isinstance(change, Write) and rng.random() < 0.2 else change

    return survive


def _torn(write: Write, rng: random.Random) -> Write | None:
    """Return the write up to a random border between sectors; None if it is all in one sector."""
    first = write.offset // SECTOR_BYTES + 1
    borders = range(first * SECTOR_BYTES, write.offset + len(write.content), SECTOR_BYTES)
    return replace(write, content=write.content[: rng.choice(borders) - write.offset]) if borders else None


@dataclass(slots=True)
class _Pending:
    number: int
    change: Change
    is_doubtful: bool = False
    """Whether it was in a failed sync: no later sync makes it certain."""
    is_certain: bool = False
    """Whether it was synced, and only waits for an earlier change that is doubtful."""


class DiskState:
    """What is on the disk after some operations: the durable content of the files, and the pending changes."""

    def __init__(self, initial: Mapping[str, bytes]) -> None:
        self.operations = 0
        """How many operations were applied."""
        self._durable = {file: bytearray(content) for file, content in initial.items()}
        self._pending: dict[str, list[_Pending]] = defaultdict(list)

    def apply(self, operation: Operation) -> None:
        """Apply the next operation."""
        match operation:
            case Write() | Truncation() | Deletion():
                self._pending[operation.file].append(_Pending(self.operations, operation))
                if isinstance(operation, Deletion) and operation.is_folder_synced:
                    self._sync_deletions(list(self._pending), self.operations + 1)
            case Sync(has_failed=True):
                for pending in self._pending[operation.file]:
                    pending.is_doubtful |= pending.number < operation.operations
            case Sync(file=file):
                self._sync_deletions(
                    list(self._pending) if operation.is_folder_synced else [file], operation.operations
                )
                self._sync_content(file, operation.operations)
            case Mark():
                pass
        self.operations += 1

    def after_power_failure(self, survive: Survival) -> dict[str, bytes]:
        """Return the content of all files if power fails now."""
        files = {file: bytearray(content) for file, content in self._durable.items()}
        for changes in self._pending.values():
            for pending in changes:
                survivor = pending.change if pending.is_certain else survive(pending.change)
                if survivor is not None:
                    _apply(survivor, files)
                elif isinstance(pending.change, Deletion):
                    break
        return {file: bytes(content) for file, content in files.items()}

    def _sync_deletions(self, files: Iterable[str], operations: int) -> None:
        """Make the deletions of these files durable, as far as they are among the first operations."""
        for file in files:
            changes = self._pending[file]
            for place, pending in enumerate(changes):
                if isinstance(pending.change, Deletion) and pending.number < operations:
                    self._durable.pop(file, None)
                    self._pending[file] = changes[place + 1 :]

    def _sync_content(self, file: str, operations: int) -> None:
        """Make the other changes of the file durable, as far as they are among the first operations."""
        changes = self._pending[file]
        for pending in changes:
            pending.is_certain |= pending.number < operations and not pending.is_doubtful
        durable = list(takewhile(lambda pending: pending.is_certain, changes))
        for pending in durable:
            _apply(pending.change, self._durable)
        del changes[: len(durable)]


def _apply(change: Change, files: dict[str, bytearray]) -> None:
    match change:
        case Deletion(file=file):
            files.pop(file, None)
        case Truncation(file=file, size=size):
            content = files.setdefault(file, bytearray())
            del content[size:]
            content.extend(bytes(size - len(content)))
        case Write(file=file, offset=offset):
            content = files.setdefault(file, bytearray())
            content.extend(bytes(max(0, offset - len(content))))
            content[offset : offset + len(change.content)] = change.content


def write_to(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make the folder, and write the files into it."""
    folder.mkdir()
    for file, content in files.items():
        (folder / file).write_bytes(content)
