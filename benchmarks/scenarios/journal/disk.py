"""Measure how long the disk takes to make a write durable, the time that a save with durability "full" waits for."""

import os
from pathlib import Path
from time import perf_counter

_PAGE = bytes(4096)
_sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


def sync_milliseconds(folder: Path, count: int) -> list[float]:
    """Append 4 KB to a file and sync it, so many times; return the milliseconds of each sync."""
    took = []
    descriptor = os.open(folder / "synced", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        for _ in range(count):
            os.write(descriptor, _PAGE)
            start = perf_counter()
            _sync(descriptor)
            took.append((perf_counter() - start) * 1000)
    finally:
        os.close(descriptor)
    return took
