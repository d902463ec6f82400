"""Run all checks of all subjects, and keep the outcome."""

import json
import platform
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from redis.asyncio import Redis

from benchmarks.features.cells import Cell
from benchmarks.features.checks import FEATURES, Checks
from benchmarks.features.servers import keys_read, redis_with_search, valkey
from benchmarks.features.subjects.dict_loops import DictChecks
from benchmarks.features.subjects.sessiondex import SessiondexChecks
from benchmarks.features.subjects.sqlite import SQLiteChecks

IN_MEMORY = "sessiondex in memory"
ON_SERVER = "sessiondex on a server"
_PYTHON = f"{platform.python_implementation()} {platform.python_version()}"
_MODULES = {"ReJSON": "RedisJSON", "search": "RediSearch"}


@dataclass(frozen=True)
class Subject:
    """A subject, the versions of what it is made of, and how to make it for one check."""

    name: str
    versions: str
    make: Callable[[], Checks]
    server_url: str | None = None
    """Emptied before each check."""


@dataclass
class Matrix:
    """The outcome: a cell for each feature of each subject, and how long lists take."""

    python: str
    versions: dict[str, str] = field(default_factory=dict)
    cells: dict[str, dict[str, Cell]] = field(default_factory=dict)
    """By feature, then by subject."""
    lists: list[dict[str, Any]] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=dict)
    """Where the lists were measured, and when."""

    def to_json(self) -> str:
        """Return it as JSON, for `read`."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"


def read(path: Path) -> Matrix:
    """Return the matrix in a file."""
    found = json.loads(path.read_text(encoding="utf-8"))
    cells = {name: {subject: Cell(**cell) for subject, cell in row.items()} for name, row in found.pop("cells").items()}
    return Matrix(**found, cells=cells)


def local_subjects(folder: Path) -> list[Subject]:
    """Return the subjects that need neither a peer nor a server."""
    return [
        Subject(IN_MEMORY, f"sessiondex {version('sessiondex')}", partial(SessiondexChecks, "memory://")),
        Subject("dict", _PYTHON, DictChecks),
        Subject("SQLite", f"SQLite {sqlite3.sqlite_version}", partial(SQLiteChecks, folder)),
    ]


@asynccontextmanager
async def all_subjects() -> AsyncIterator[list[Subject]]:
    """Start the servers, and yield all subjects."""
    # Imported here: only `nox -s features` has the peers.
    from benchmarks.features.subjects.adk import AdkChecks  # noqa: PLC0415
    from benchmarks.features.subjects.langgraph import LangGraphChecks  # noqa: PLC0415
    from benchmarks.features.subjects.redis_by_hand import RedisChecks  # noqa: PLC0415
    from benchmarks.features.subjects.redis_om import RedisOmChecks  # noqa: PLC0415

    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        plain, search = stack.enter_context(valkey()), stack.enter_context(redis_with_search())
        async with Redis.from_url(plain) as client, Redis.from_url(search, decode_responses=True) as searching:
            server = f"Valkey {(await client.info('server'))['valkey_version']}"
            redis = f"Redis {(await searching.info('server'))['redis_version']}"
            modules = [_module(each) for each in await searching.module_list() if each["name"] in _MODULES]
            on_server = partial(SessiondexChecks, plain, "keys read", partial(keys_read, client))
            in_memory, *by_hand = local_subjects(folder)
            yield [
                in_memory,
                Subject(ON_SERVER, f"{in_memory.versions}, {server}", on_server, plain),
                *by_hand,
                Subject("Redis", f"redis-py {version('redis')}, {server}", partial(RedisChecks, plain), plain),
                Subject(
                    "redis-om",
                    f"redis-om {version('redis-om')}, {redis}, {', '.join(sorted(modules))}",
                    partial(RedisOmChecks, search, plain),
                    search,
                ),
                Subject("ADK", f"google-adk {version('google-adk')}", partial(AdkChecks, folder)),
                Subject(
                    "LangGraph",
                    f"langgraph {version('langgraph')}, langgraph-checkpoint {version('langgraph-checkpoint')}",
                    partial(LangGraphChecks, folder),
                ),
            ]


def _module(about: dict[str, Any]) -> str:
    number = int(about["ver"])
    return f"{_MODULES[about['name']]} {number // 10_000}.{number // 100 % 100}.{number % 100}"


async def run(subjects: Iterable[Subject], done: Callable[[str], None] = lambda _: None) -> Matrix:
    """Put every subject to every check; a check that cannot be run raises."""
    matrix = Matrix(_PYTHON)
    for subject in subjects:
        matrix.versions[subject.name] = subject.versions
        for feature in FEATURES:
            if subject.server_url is not None:
                async with Redis.from_url(subject.server_url) as client:
                    await client.flushall()
            checks = subject.make()
            try:
                cell = await getattr(checks, feature)()
            finally:
                await checks.aclose()
            matrix.cells.setdefault(feature, {})[subject.name] = cell
        done(subject.name)
    return matrix
