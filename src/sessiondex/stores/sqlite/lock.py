"""FileLock: one owner of a file, in this process and all others.

SQLite's own locks do not see a second store in one process, and the system drops them when any handle of the file is
closed. So the owner holds `flock` on a second file. That file is never removed: after a removal, another store could
lock a new file of that name while the owner still holds the old one.
"""

from __future__ import annotations

import os
from pathlib import Path
from weakref import WeakSet

from sessiondex.errors import JournalInUseError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

IS_SUPPORTED: bool = fcntl is not None
"""Whether this system can lock files."""

_held: WeakSet[FileLock] = WeakSet()


class FileLock:
    """The lock of a file, held until `release`. Made by the owner's thread, and dropped in a forked child."""

    def __init__(self, path: Path) -> None:
        """Raises `JournalInUseError` if somebody holds the lock of the file, and `OSError` as `open` does."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor: int | None = os.open(path.with_name(f"{path.name}-lock"), flags, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.forget()
            raise JournalInUseError(path) from None
        except BaseException:
            self.forget()
            raise
        _held.add(self)

    def release(self) -> None:
        """Let others have the file, also if a child of a fork still has a copy of the descriptor."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            self.forget()

    def forget(self) -> None:
        """Close the descriptor. In a forked child, this leaves the lock to the parent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _forget_all() -> None:
    for lock in _held:
        lock.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
