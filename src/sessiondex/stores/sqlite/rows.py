"""What a journal writes about one session, and the checksums by which it knows its own rows.

A row has two checksums, so that a touch can write a new stamp without the session. Each covers the id as well: a row
whose parts belong to different sessions is damaged.
"""

from __future__ import annotations

import struct
from typing import NamedTuple, TypeAlias
from zlib import crc32

from sessiondex.snapshots.codec import Document

_HEAD = struct.Struct(">16sqq")
WRONG_TYPES: tuple[type[Exception], ...] = (AttributeError, TypeError, ValueError, struct.error)
"""What is raised for values of damaged rows, which may be of any type."""


class Put(NamedTuple):
    """The session was saved."""

    key: bytes
    """The id of the session."""
    stamp: int
    """In microseconds since 1970-01-01 UTC."""
    revision: int
    document: Document


class Touch(NamedTuple):
    """The session got a new stamp."""

    key: bytes
    stamp: int
    revision: int


class Delete(NamedTuple):
    """The session is gone: deleted, erased or evicted."""

    key: bytes


Write: TypeAlias = Put | Touch | Delete


def head_check(key: bytes, stamp: int, revision: int) -> int:
    """Return the checksum of what a touch may change."""
    return crc32(_HEAD.pack(key, stamp, revision))


def data_check(key: bytes, session_type: bytes, version: int, data: bytes) -> int:
    """Return the checksum of the session, with its type and version."""
    return crc32(data, crc32(b"%b%d:%b\0" % (key, version, session_type)))
