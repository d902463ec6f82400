"""Finds out whether the write-ahead log of a database is damaged, which SQLite takes for the end of the log.

The log is a header of 32 bytes and frames: a frame is a header of 24 bytes and a page. Frames of the present log have
the salts of its header; others were left by an earlier one. Checksums run through all frames. SQLite stops at the first
that is wrong, because a crash may leave its last commit half written.

All commits are synced one after another. So behind a commit that is half written, there is nothing. If there is a frame
of the present log, the log is damaged, and acknowledged commits would be lost. Not detected: a log that was cut off, or
whose very last commit is damaged. If the header of a commit's last frame is wiped out, that commit and the next are
taken for one.
"""

from __future__ import annotations

from pathlib import Path
from struct import Struct, iter_unpack
from typing import IO, Literal

_MAGIC = 0x377F0682  # the last bit says whether checksums are of big-endian numbers
_HEADER = Struct(">IIIIIIII")
_FRAME = Struct(">IIIIII")
"""Page number, size of the database in pages if it is the last frame of a commit, two salts, two checksums. Each frame
begins at a multiple of 8, so the salts are never on both sides of the border of a sector."""
_MASK = 0xFFFFFFFF


def find_damage(path: Path) -> str | None:
    """Return what is wrong with the log, or `None`. Cost: that of reading it, and 150 µs a page."""
    with path.open("rb") as file:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return None  # no commit was ever written
        magic, _, page_size, _, salt1, salt2, *checksums = _HEADER.unpack(header)
        order: Literal["big", "little"] = "big" if magic & 1 else "little"
        if magic & ~1 != _MAGIC or _add((0, 0), header[:24], order) != tuple(checksums):
            return "its header is damaged" if any(file.read(1_000_000)) else None
        return _find_broken_frame(file, page_size, (salt1, salt2), _pair(checksums), order)


def _find_broken_frame(
    file: IO[bytes], page_size: int, salts: tuple[int, int], checksums: tuple[int, int], order: Literal["big", "little"]
) -> str | None:
    is_whole, has_ended = True, False
    while len(frame := file.read(_FRAME.size + page_size)) == _FRAME.size + page_size:
        _, committed_size, salt1, salt2, *expected = _FRAME.unpack_from(frame)
        # Either of the two will do: every log has others, and no power failure tears them apart, see `_FRAME`.
        is_present = salt1 == salts[0] or salt2 == salts[1]
        if is_whole and (salt1, salt2) == salts:
            checksums = _add(_add(checksums, frame[:8], order), frame[_FRAME.size :], order)
            is_whole = checksums == tuple(expected)
        else:
            is_whole = False
        if is_whole:
            continue
        if is_present and has_ended:
            return "commits that were written to it cannot be read"
        # The end of a commit that a crash may have left half written. Behind it there must be nothing.
        has_ended = has_ended or (is_present and committed_size != 0)
    return None


def _pair(numbers: list[int]) -> tuple[int, int]:
    first, second = numbers
    return first, second


def _add(checksums: tuple[int, int], data: bytes, order: Literal["big", "little"]) -> tuple[int, int]:
    """Return the checksums of SQLite's log format, continued with the data."""
    first, second = checksums
    for one, other in iter_unpack(">II" if order == "big" else "<II", data):
        first = (first + one + second) & _MASK
        second = (second + other + first) & _MASK
    return first, second
