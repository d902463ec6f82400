"""The architecture: which module may import which, and what each file may know. Data flows downwards."""

from __future__ import annotations

import ast
import sys
from itertools import chain
from pathlib import Path

import pytest

import sessiondex
from sessiondex import testing

SOURCE = Path(sessiondex.__file__).parent
MAX_LINES = 350

ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "changes": set(),
    "clock": {"errors"},
    "indexed": {"errors"},
    "models": {"indexed"},
    "reading": {"models"},
    "contract": {"changes", "models", "reading"},
    "arguments": {"clock", "errors", "models"},
    "queries": {"arguments", "errors", "indexed", "models"},
    "snapshots": {"errors", "indexed", "models"},
    "engine": set(),
    "schema": {"clock", "indexed", "models", "queries"},
    "stores": {
        *("arguments", "changes", "clock", "contract", "errors", "indexed", "models", "progress", "queries"),
        *("reading", "snapshots"),
    },
    "progress": set(),
    "transfer": {"arguments", "contract", "errors", "progress"},
    "jsonl": {"arguments", "clock", "contract", "errors", "indexed", "models", "progress", "snapshots", "transfer"},
    "urls": {"arguments", "contract", "errors", "stores"},
    "testing": {"changes", "contract", "errors", "indexed", "models"},
    "example": set(sessiondex.__all__),
    "__main__": {"__version__"},
}
"""The modules and packages, and from which others each may import."""

_CONTRACT = {"contract", "indexed", "models", "reading"}

NARROWER: dict[str, set[str]] = {
    "snapshots/json_values.py": set(),
    "snapshots/instances.py": {"models"},
    "snapshots/plain_types.py": {"indexed", "models"},
    "snapshots/compiled.py": {"models"},
    "stores/base.py": {"arguments", "changes", "errors", "queries", *_CONTRACT},
    "stores/backend.py": {"models", "queries", "snapshots"},
    "stores/callback_scope.py": set(),
    "stores/change_feed.py": {"changes", "clock", "errors"},
    "stores/commit.py": {"changes", "snapshots"},
    "stores/eviction.py": {"arguments", "changes", "errors"},
    "stores/keyed_locks.py": {"errors"},
    "stores/loop_guard.py": {"errors"},
    "stores/lru_cache.py": set(),
    "stores/pages.py": {"clock", "queries", "reading"},
    "stores/reads.py": {"arguments", "queries", *_CONTRACT},
    "stores/slices.py": {"errors"},
    "stores/stats.py": set(),
    "stores/sweeper.py": {"errors"},
    "stores/table_indexes.py": {"clock", "engine", "queries", "schema"},
    "stores/terms.py": {"errors", "queries", "snapshots"},
    "stores/unreadable.py": {"errors"},
    "stores/writer.py": {"changes", "clock", "errors", "queries", "snapshots"},
}
"""Files that may import from fewer than their package, or from others."""

WIDER: dict[str, set[str]] = {
    "stores/memory.py": {"engine", "schema"},
    "stores/table_backend.py": {"engine", "schema"},
    "testing/machine.py": {"stores"},
    "testing/machine_core.py": {"stores"},
}
"""Files that may import from more. Only the indexed store uses index code; the scan store, its oracle, shares none."""

REDIS_WIDER = {"schema"}
"""What the Redis store may import as well: the same declarations name its sorted sets."""

STORE_PARTS: dict[str, set[str]] = {
    "base": {"callback_scope", "keyed_locks", "loop_guard", "reads", "slices"},
    "backend": set(),
    "callback_scope": set(),
    "change_feed": {"commit"},
    "commit": set(),
    "eviction": {"callback_scope", "commit"},
    "evictor": {"backend", "eviction", "slices", "writer"},
    "journal": {"commit", "stats"},
    "keyed_locks": set(),
    "loading": {"callback_scope", "journal", "slices", "unreadable", "writer"},
    "local": {
        *("backend", "base", "callback_scope", "change_feed", "eviction", "evictor", "journal", "loading"),
        *("session_loader", "slices"),
        *("sweeper", "unreadable", "writer"),
    },
    "loop_guard": set(),
    "lru_cache": set(),
    "memory": {
        *("eviction", "journal", "loading", "local", "options", "repacking", "stats", "table_backend", "unreadable"),
    },
    "options": set(),
    "pages": set(),
    "reads": {"loop_guard", "pages"},
    "repacking": {"backend"},
    "scan": {"backend", "eviction", "local", "options", "unreadable"},
    "session_loader": {"backend", "slices", "unreadable"},
    "slices": set(),
    "stats": set(),
    "sweeper": set(),
    "table_backend": {"backend", "lru_cache", "stats", "table_indexes"},
    "table_indexes": set(),
    "terms": {"backend"},
    "unreadable": set(),
    "writer": {"backend", "commit", "eviction", "terms"},
}
"""The modules of `stores`, and which others of them each may import."""

SQLITE_PARTS: dict[str, set[str]] = {
    "rows": set(),
    "wal": set(),
    "files": set(),
    "lock": set(),
    "statements": {"rows"},
    "database": {"files", "rows", "statements", "wal"},
    "thread": {"database", "lock", "rows"},
    "journal": {"database", "lock", "rows", "thread"},
}
"""The modules of `stores/sqlite`, and which others of them each may import."""

ENGINE_PARTS: dict[str, set[str]] = {
    "chunks": set(),
    "invariants": set(),
    "index": set(),
    "sharded_dict": set(),
    "chunked_list": {"chunks", "invariants"},
    "postings": {"chunked_list", "chunks", "invariants", "sharded_dict"},
    "multi_postings": {"postings"},
    "faceted": {"invariants", "postings"},
    "table": {"faceted", "index", "invariants", "postings", "sharded_dict"},
}
"""The modules of `engine`, and which others of them each may import."""

USES_ASYNCIO = {
    *("base", "local", "loop_guard", "keyed_locks", "change_feed", "eviction", "memory", "pages", "repacking"),
    *("slices", "sqlite/journal", "sweeper"),
}
"""The modules of `stores` that may import asyncio."""

MAKES_TASKS_OR_FUTURES = {"keyed_locks", "change_feed", "eviction", "sqlite/journal"}
"""Those that may ask for the running loop besides `loop_guard`: to make a task or a future in it."""

NEEDS_HYPOTHESIS = {
    *("testing/machine.py", "testing/machine_core.py", "testing/machine_bulk.py", "testing/machine_queries.py"),
    *("testing/machine_writes.py", "testing/strategies.py"),
}
"""Files that need the extra `testing`. No other file imports it, nor these."""

SQLITE = "stores/sqlite/"
"""The package of the journal."""

NEEDS_REDIS = "stores/redis/"
"""The package that needs the extra `redis`."""

EXAMPLE = "example.py"
"""The file that needs the extra `example`. It imports the names of the package, as a user's code does."""

FILES = sorted(str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")
LOCAL_STORE_FILES = [file for file in FILES if file.startswith("stores/") and not file.startswith(NEEDS_REDIS)]
STORE_CLASSES = {
    "ReadMethods": ["SessionStore"],
    "BaseSessionStore": ["ReadMethods"],
    "LocalSessionStore": ["BaseSessionStore"],
    "InMemorySessionStore": ["LocalSessionStore"],
    "ScanSessionStore": ["LocalSessionStore"],
    "RedisSessionStore": ["BaseSessionStore"],
}
_NO_BASES = {"ABC", "Generic", "Protocol"}


def parsed(file: str) -> ast.Module:
    return ast.parse((SOURCE / file).read_text())


def imported(file: str) -> set[str]:
    """Return every module that the file imports, also under `if TYPE_CHECKING`."""
    modules = set()
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that they can be read"
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


def roots_of(files: list[str]) -> set[str]:
    """Return the packages outside the standard library that these files import."""
    roots = {module.partition(".")[0] for file in files for module in imported(file)}
    return roots - sys.stdlib_module_names - {"sessiondex"}


def siblings(file: str, package: str) -> set[str]:
    """Return the modules of the package that the file imports."""
    prefix = f"sessiondex.{package}."
    return {module.removeprefix(prefix).partition(".")[0] for module in imported(file) if module.startswith(prefix)}


# -- who imports whom --


@pytest.mark.parametrize("file", FILES)
def test_imports_follow_the_arrows(file: str) -> None:
    package = Path(file).parts[0].removesuffix(".py")
    found = {module.split(".")[1] for module in imported(file) if module.startswith("sessiondex.")}

    wider = REDIS_WIDER if file.startswith(NEEDS_REDIS) else WIDER.get(file, set())

    assert found <= NARROWER.get(file, ARROWS[package] | wider) | {package}


@pytest.mark.parametrize("file", LOCAL_STORE_FILES)
def test_store_modules_import_only_their_parts(file: str) -> None:
    name = Path(file).stem
    if name != "__init__" and not file.startswith(SQLITE):
        assert siblings(file, "stores") <= STORE_PARTS[name]


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith(SQLITE)])
def test_journal_modules_import_only_their_parts(file: str) -> None:
    """Of the other stores, they know the protocol and what is in a commit."""
    name = Path(file).stem
    if name != "__init__":
        assert siblings(file, "stores.sqlite") <= SQLITE_PARTS[name]
        assert siblings(file, "stores") <= {"commit", "journal", "sqlite", "stats"}


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith("engine/")])
def test_engine_modules_import_only_their_parts(file: str) -> None:
    name = Path(file).stem
    if name != "__init__":
        assert siblings(file, "engine") <= ENGINE_PARTS[name]


@pytest.mark.parametrize(
    "parts", [STORE_PARTS, SQLITE_PARTS, ENGINE_PARTS, ARROWS], ids=["stores", "journal", "engine", "packages"]
)
def test_calls_only_go_down(parts: dict[str, set[str]]) -> None:
    """The arrows have no cycle."""
    left = dict(parts)
    while left:
        lowest = [name for name, below in left.items() if not below & left.keys()]
        assert lowest, f"a cycle among {sorted(left)}"
        for name in lowest:
            del left[name]


def test_the_kit_imports_the_scan_store_and_no_other() -> None:
    kit = [file for file in FILES if file.startswith("testing/")]
    stores = {module for file in kit for module in imported(file) if module.startswith("sessiondex.stores")}

    assert stores <= {"sessiondex.stores.scan.ScanSessionStore"}


def test_only_the_state_machine_needs_hypothesis() -> None:
    users = {
        file
        for file in FILES
        for module in imported(file)
        if module.partition(".")[0] == "hypothesis"
        or module.startswith(("sessiondex.testing.machine", "sessiondex.testing.strategies"))
    }

    assert users <= NEEDS_HYPOTHESIS


# -- packages of others --


def test_the_run_time_dependencies_are_pydantic_and_sortedcontainers() -> None:
    core = [file for file in FILES if file not in {*NEEDS_HYPOTHESIS, EXAMPLE} and not file.startswith(NEEDS_REDIS)]

    # Type checkers have typing_extensions; it is imported under TYPE_CHECKING only.
    assert roots_of(core) - {"typing_extensions"} <= {"pydantic", "pydantic_core", "sortedcontainers"}


def test_the_engine_imports_only_sortedcontainers() -> None:
    """It knows no session, no event loop and no clock."""
    files = [file for file in FILES if file.startswith("engine/")]
    modules = {module.partition(".")[0] for file in files for module in imported(file)}

    assert roots_of(files) == {"sortedcontainers"}
    assert not modules & {"asyncio", "datetime", "threading", "time", "uuid"}
    assert {file for file in FILES if "sortedcontainers" in roots_of([file])} == {"engine/chunked_list.py"}


def test_the_redis_store_imports_redis_py_and_no_engine() -> None:
    files = [file for file in FILES if file.startswith(NEEDS_REDIS)]
    modules = {module for file in files for module in imported(file)}

    assert roots_of(files) <= {"pydantic_core", "redis"}
    assert not any(module.startswith("sessiondex.engine") for module in modules)


# -- asyncio --


def test_only_some_modules_import_asyncio() -> None:
    """The writer, the backends and the cache are synchronous: threads and other stores can use them."""
    users = {file for file in FILES if any(module.partition(".")[0] == "asyncio" for module in imported(file))}
    elsewhere = {file for file in users if not file.startswith(("testing/", NEEDS_REDIS, EXAMPLE))}

    assert elsewhere == {"jsonl.py", *(f"stores/{name}.py" for name in USES_ASYNCIO)}


def test_only_the_loop_guard_compares_running_loops() -> None:
    users = {file for file in LOCAL_STORE_FILES if "get_running_loop" in (SOURCE / file).read_text()}

    assert users == {f"stores/{name}.py" for name in {"loop_guard", *MAKES_TASKS_OR_FUTURES}}


# -- files and classes --


@pytest.mark.parametrize("file", FILES)
def test_a_file_has_at_most_350_lines(file: str) -> None:
    assert len((SOURCE / file).read_text().splitlines()) <= MAX_LINES


def test_a_store_has_one_base_class() -> None:
    """Everything else is composition."""
    bases = _bases_in(*(file for file in FILES if file.startswith("stores/")))

    assert {name: bases[name] for name in STORE_CLASSES} == STORE_CLASSES
    assert _bases_in("contract.py")["SessionStore"] == ["SessionReader"]
    assert not {name: found for name, found in bases.items() if len(found) > 1}


def _bases_in(*files: str) -> dict[str, list[str]]:
    """Return the names of the base classes of each class in these files."""
    return {
        node.name: [name for name in map(_name_of, node.bases) if name not in _NO_BASES]
        for node in chain.from_iterable(map(ast.walk, map(parsed, files)))
        if isinstance(node, ast.ClassDef)
    }


def _name_of(base: ast.expr) -> str:
    """Return the name of a base class without its type parameters."""
    if isinstance(base, ast.Subscript):
        base = base.value
    return base.attr if isinstance(base, ast.Attribute) else ast.unparse(base)


def test_the_public_names_are_listed_and_exist() -> None:
    assert sessiondex.__all__ == sorted(sessiondex.__all__)
    for package in (sessiondex, testing):
        assert all(hasattr(package, name) for name in package.__all__)
