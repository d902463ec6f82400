"""Put Python code between SQLite and its files.

SQLite reaches files through a VFS, a table of C functions. `Vfs` registers a copy of the default one in which some
functions are replaced by callbacks; all others, such as those for locks and shared memory, stay as they are. The files
themselves are opened by the default VFS, and then their own table is exchanged for such a copy too.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from ctypes import CFUNCTYPE, c_char_p, c_int, c_int64, c_void_p
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

SQLITE_OK = 0
OPEN_CREATE, OPEN_MAIN_JOURNAL, OPEN_SUPER_JOURNAL, OPEN_WAL = 0x4, 0x800, 0x4000, 0x80000
VERSION_WITHOUT_MMAP = 2  # the functions for shared memory, which WAL needs, came with it; those for mmap came later

# All functions return a result code. Names are passed on as addresses: URI parameters follow behind their end.
OPEN = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
DELETE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)
CLOSE = CFUNCTYPE(c_int, c_void_p)
TRANSFER = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
TRUNCATE = CFUNCTYPE(c_int, c_void_p, c_int64)
SYNC = CFUNCTYPE(c_int, c_void_p, c_int)


class _VfsTable(ctypes.Structure):
    """The C struct `sqlite3_vfs`, version 3."""

    _fields_ = (
        *(("iVersion", c_int), ("szOsFile", c_int), ("mxPathname", c_int)),
        *(("pNext", c_void_p), ("zName", c_char_p), ("pAppData", c_void_p)),
        *((name, c_void_p) for name in ("xOpen", "xDelete", "xAccess", "xFullPathname", "xDlOpen", "xDlError")),
        *((name, c_void_p) for name in ("xDlSym", "xDlClose", "xRandomness", "xSleep", "xCurrentTime")),
        *((name, c_void_p) for name in ("xGetLastError", "xCurrentTimeInt64")),
        *((name, c_void_p) for name in ("xSetSystemCall", "xGetSystemCall", "xNextSystemCall")),
    )


class _FileTable(ctypes.Structure):
    """The C struct `sqlite3_io_methods`, version 3."""

    _fields_ = (
        ("iVersion", c_int),
        *((name, c_void_p) for name in ("xClose", "xRead", "xWrite", "xTruncate", "xSync", "xFileSize", "xLock")),
        *((name, c_void_p) for name in ("xUnlock", "xCheckReservedLock", "xFileControl", "xSectorSize")),
        *((name, c_void_p) for name in ("xDeviceCharacteristics", "xShmMap", "xShmLock", "xShmBarrier", "xShmUnmap")),
        *((name, c_void_p) for name in ("xFetch", "xUnfetch")),
    )


Proceed = Callable[[], int]
"""Does what SQLite asked for, on the real file, and returns SQLite's result code."""


@dataclass(slots=True)
class _OpenFile:
    path: Path
    table: _FileTable
    """The default VFS's functions for the file."""
    has_new_name: bool
    """Whether the folder is synced with the file's next sync."""


class FileCalls(Protocol):
    """Answers the calls of a VFS: each method returns SQLite's result code, its own or that of `proceed()`.

    The methods are called from all threads that use SQLite. They must not raise: SQLite would take it for a success.
    """

    def on_open(self, path: Path, proceed: Proceed) -> int: ...
    def on_read(self, proceed: Proceed) -> int: ...
    def on_write(self, path: Path, offset: int, content: bytes, proceed: Proceed) -> int: ...
    def on_truncate(self, path: Path, size: int, proceed: Proceed) -> int: ...
    def on_sync(self, path: Path, is_folder_synced: bool, proceed: Proceed) -> int: ...
    def on_delete(self, path: Path, is_folder_synced: bool, proceed: Proceed) -> int: ...


@cache
def _library() -> ctypes.CDLL | str:
    """Return the SQLite that the module `sqlite3` uses, or why it cannot be reached."""
    if sys.platform != "linux":
        return "the simulated disk was only tried on Linux"
    spec = find_spec("_sqlite3")
    if spec is None or not spec.has_location or spec.origin is None:
        return "SQLite is built into this Python"
    library = ctypes.CDLL(spec.origin)  # symbols are looked up in the libraries that it is linked with, too
    try:
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_VfsTable)
    except AttributeError:
        return "this Python's SQLite hides its C functions"
    return library


def why_unsupported() -> str | None:
    """Return why no VFS can be registered with this Python's SQLite; None if one can."""
    library = _library()
    return library if isinstance(library, str) else None


class Vfs:
    """Registers a VFS with that name, which has each call to a named file answered by `calls`.

    Connect with `sqlite3.connect(f"file:{path}?vfs={name}", uri=True)`. Temporary files, which have no name, are left
    alone. All connections must be closed before the VFS is.
    """

    _registered: dict[str, Vfs] = {}
    """Keeps alive what SQLite has the addresses of."""

    def __init__(self, name: str, calls: FileCalls) -> None:
        library = _library()
        assert not isinstance(library, str), library
        assert name not in self._registered
        self._library, self._name, self._calls = library, name, calls
        self._default = library.sqlite3_vfs_find(None)
        self._open_default = OPEN(self._default.contents.xOpen)
        self._delete_default = DELETE(self._default.contents.xDelete)
        self._files: dict[int, _OpenFile] = {}
        """The open files, by their addresses."""
        self._tables: dict[int, tuple[_FileTable, _FileTable]] = {}
        """By the address of a table of the default VFS: that table, and the copy that replaces it."""
        self._callbacks: dict[str, Any] = {
            "xClose": CLOSE(self._close_file),
            "xRead": TRANSFER(self._read),
            "xWrite": TRANSFER(self._write),
            "xTruncate": TRUNCATE(self._truncate),
            "xSync": SYNC(self._sync),
        }
        self._vfs_callbacks: dict[str, Any] = {"xOpen": OPEN(self._open), "xDelete": DELETE(self._delete)}
        self._table = _copy(self._default.contents, self._vfs_callbacks)
        self._table.zName, self._table.pNext = name.encode(), None
        assert library.sqlite3_vfs_register(ctypes.byref(self._table), False) == SQLITE_OK
        self._registered[name] = self

    def close(self) -> None:
        """Unregister the VFS; raise ValueError if a connection still uses it."""
        if self._files:
            paths = ", ".join(str(file.path) for file in self._files.values())
            raise ValueError(f"close the connections first: open are {paths}")
        if self._registered.pop(self._name, None) is not None:
            self._library.sqlite3_vfs_unregister(ctypes.byref(self._table))

    def _open(self, _: int, name: int | None, file: int, flags: int, flags_out: int | None) -> int:
        proceed: Proceed = partial(self._open_default, self._default, name, file, flags, flags_out)
        if name is None:
            return proceed()
        path = _path(name)
        result = self._calls.on_open(path, proceed)
        if result == SQLITE_OK:
            pointer = c_void_p.from_address(file)  # a file begins with the pointer to its table
            default, own = self._tables_at(pointer.value)
            self._files[file] = _OpenFile(path, default, _has_new_name(flags))
            pointer.value = ctypes.addressof(own)
        return result

    def _tables_at(self, address: int | None) -> tuple[_FileTable, _FileTable]:
        assert address is not None
        if address not in self._tables:
            default = _FileTable.from_address(address)
            own = _copy(default, self._callbacks)
            own.iVersion = min(own.iVersion, VERSION_WITHOUT_MMAP)
            self._tables[address] = default, own
        return self._tables[address]

    def _delete(self, _: int, name: int, is_folder_synced: int) -> int:
        proceed = partial(self._delete_default, self._default, name, is_folder_synced)
        return self._calls.on_delete(_path(name), bool(is_folder_synced), proceed)

    def _close_file(self, address: int) -> int:
        result: int = CLOSE(self._files.pop(address).table.xClose)(address)
        return result

    def _read(self, address: int, buffer: int, size: int, offset: int) -> int:
        table = self._files[address].table
        return self._calls.on_read(partial(TRANSFER(table.xRead), address, buffer, size, offset))

    def _write(self, address: int, buffer: int, size: int, offset: int) -> int:
        file = self._files[address]
        proceed = partial(TRANSFER(file.table.xWrite), address, buffer, size, offset)
        return self._calls.on_write(file.path, offset, ctypes.string_at(buffer, size), proceed)

    def _truncate(self, address: int, size: int) -> int:
        file = self._files[address]
        return self._calls.on_truncate(file.path, size, partial(TRUNCATE(file.table.xTruncate), address, size))

    def _sync(self, address: int, flags: int) -> int:
        file = self._files[address]
        proceed = partial(SYNC(file.table.xSync), address, flags)
        result = self._calls.on_sync(file.path, file.has_new_name, proceed)
        file.has_new_name &= result != SQLITE_OK
        return result


def _has_new_name(flags: int) -> bool:
    """Return whether SQLite syncs the folder with the first sync of a file that it opens with these flags."""
    return bool(flags & OPEN_CREATE and flags & (OPEN_MAIN_JOURNAL | OPEN_SUPER_JOURNAL | OPEN_WAL))


def _copy(table: Any, callbacks: dict[str, Any]) -> Any:
    """Return a copy of the table of C functions in which the callbacks replace the functions of those names."""
    own = type(table).from_buffer_copy(table)
    for name, callback in callbacks.items():
        setattr(own, name, ctypes.cast(callback, c_void_p))
    return own


def _path(name: int) -> Path:
    return Path(os.fsdecode(ctypes.string_at(name)))
