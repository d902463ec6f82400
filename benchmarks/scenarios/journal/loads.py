"""Measure how long a store takes to open a journal, and the memory of its sessions: each size in processes of its own.

`python -m benchmarks.scenarios.journal.loads save FILE SESSIONS SEED` makes the file and prints a `Saved` as JSON.
`... load FILE SESSIONS` prints a `Load`. One process for both would count memory that saving had freed.
"""

import asyncio
import gc
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.measure.delays import Ticker
from benchmarks.measure.machine import resident_bytes
from benchmarks.measure.processes import run_module
from benchmarks.measure.progress import Progress
from benchmarks.scenarios.answers import AnswersDifferError
from benchmarks.scenarios.footprint import MIN_WEIGHED
from benchmarks.scenarios.journal.reads import Store, repacked
from benchmarks.scenarios.sessions import Population
from sessiondex.stores.sqlite import SQLiteJournal

_BATCH_SIZE = 250


@dataclass(frozen=True)
class ContentSum:
    """The sessions of a store: how many, a sum of their hashes that knows no order, and their length as JSON."""

    sessions: int
    digest: str
    json_bytes: int


@dataclass(frozen=True)
class Load:
    """A journal of this many sessions that was opened. Bytes per session are growth of the resident memory.

    They are `None` below 10,000 sessions and outside Linux.
    """

    sessions: int
    seconds: float
    longest_pause: float
    """In milliseconds, while the journal is loaded."""
    repack_seconds: float
    longest_repack_pause: float
    file_of_json: float
    """The size of the file, divided by that of all sessions as JSON."""
    bytes_loaded: float | None
    """Per session, just after loading."""
    bytes_repacked: float | None
    """Per session, after repacking."""

    @property
    def per_session(self) -> float:
        """Microseconds of loading a session."""
        return self.seconds / self.sessions * 1e6


async def run(sizes: Sequence[int], seed: int, folder: Path, progress: Progress) -> list[Load]:
    """Make and load a journal of each size.

    Raises:
        AnswersDifferError: other sessions were loaded than were saved.
        ProcessFailedError: a process failed; the message holds its error output.
    """
    loads = []
    with progress.stage("journal: loading", 2 * len(sizes)) as advance:
        for size in sizes:
            path = folder / f"{size}.db"
            saved = ContentSum(**await _in_process("save", path, size, seed))
            advance(1)
            answer = await _in_process("load", path, size)
            loads.append(checked(saved, ContentSum(**answer["contents"]), Load(**answer["load"])))
            path.unlink()  # a million sessions take 2 GB
            advance(1)
    return loads


def checked(saved: ContentSum, loaded: ContentSum, load: Load) -> Load:
    """Return the load if the sessions that were loaded are those that were saved.

    Raises:
        AnswersDifferError: they are not.
    """
    if saved != loaded:
        raise AnswersDifferError(f"journal of {saved.sessions:,} sessions: other ones were loaded, {loaded.sessions:,}")
    return load


async def save(path: Path, size: int, seed: int) -> ContentSum:
    """Make a journal of a population."""
    async with Store(journal=SQLiteJournal(path, durability="batched")) as store:
        sessions = iter(Population(size, seed))
        while batch := list(islice(sessions, _BATCH_SIZE)):
            await store.load(batch)
        return await _contents(store)


async def load(path: Path, size: int) -> tuple[Load, ContentSum]:
    """Open a journal, and return what that took, and what it held."""
    gc.collect()
    resident = resident_bytes()
    ticker, repack_ticker = Ticker(), Ticker()
    store = Store(journal=SQLiteJournal(path))
    start = perf_counter()
    with ticker.running():
        await asyncio.sleep(0)
        async with store:
            loaded = perf_counter()
            bytes_loaded = _growth(resident, size)
            with repack_ticker.running():
                await repacked()
            repack_seconds = perf_counter() - loaded
            gc.collect()
            bytes_repacked = _growth(resident, size)
            contents = await _contents(store)
    found = Load(
        sessions=size,
        seconds=round(loaded - start, 4),
        longest_pause=ticker.pauses().longest,
        repack_seconds=round(repack_seconds, 4),
        longest_repack_pause=repack_ticker.pauses().longest,
        file_of_json=round(_file_size(path) / contents.json_bytes, 4),
        bytes_loaded=bytes_loaded,
        bytes_repacked=bytes_repacked,
    )
    return found, contents


def _file_size(path: Path) -> int:
    return path.stat().st_size


def _growth(before: int | None, size: int) -> float | None:
    after = resident_bytes()
    return round((after - before) / size, 1) if size >= MIN_WEIGHED and after is not None and before else None


async def _contents(store: Store) -> ContentSum:
    count = digest = json_bytes = 0
    cursor: str | None = None
    while True:
        page, cursor = await store.export(cursor=cursor)
        for session in page:
            text = session.model_dump_json().encode()
            count, json_bytes = count + 1, json_bytes + len(text)
            digest += int.from_bytes(hashlib.blake2b(text, digest_size=16).digest())
        if cursor is None:
            return ContentSum(count, f"{digest:x}", json_bytes)
        await asyncio.sleep(0)


async def _in_process(command: str, path: Path, *numbers: int) -> dict[str, Any]:
    what = f"journal, {numbers[0]:,} sessions"
    out = await run_module("benchmarks.scenarios.journal.loads", command, path, *numbers, what=what)
    answer: dict[str, Any] = json.loads(out)
    return answer


async def _answer(command: str, path: Path, *numbers: int) -> dict[str, Any]:
    if command == "save":
        return asdict(await save(path, *numbers))
    found, contents = await load(path, *numbers)
    return {"load": asdict(found), "contents": asdict(contents)}


if __name__ == "__main__":
    asked, file, *rest = sys.argv[1:]
    print(json.dumps(asyncio.run(_answer(asked, Path(file), *map(int, rest)))))
