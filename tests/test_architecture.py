"""The house: who may import whom. Data flows one way."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import sessiondex
from sessiondex import testing

SOURCE = Path(sessiondex.__file__).parent

ARROWS = {
    "errors": set(),
    "models": set(),
    "clock": {"errors"},
    "contract": {"errors", "models"},
    "json_values": set(),
    "copying": {"json_values", "models"},
    "packing": {"models"},
    "records": {"copying", "errors", "json_values", "models", "packing", "refusals"},
    "refusals": {"errors", "json_values", "models"},
    "snapshots": {"errors", "models"},
    "engine": set(),
    "schema": {"clock", "engine", "models"},
    "stores": {"clock", "contract", "engine", "errors", "models", "records", "schema"},
    "moving": {"contract", "errors"},
    "schemes": {"contract", "errors", "stores"},
    "testing": {"contract", "errors", "models"},
}
"""Room -> the rooms that it may import from, besides itself."""

NARROWER = {
    **{
        f"stores/{name}.py": {"clock", "contract", "errors", "models", "records", "stores"}
        for name in ("scan", "local", "lifecycle", "commits", "composed", "backend", "eviction", "telling")
    },
    "stores/arguments.py": {"errors", "models"},
    "stores/feed.py": {"contract", "errors"},
    "stores/loops.py": {"errors"},
    "stores/turns.py": {"errors"},
    "testing/machine.py": {"contract", "errors", "models", "stores", "testing"},
    "testing/machine_core.py": {"contract", "errors", "models", "stores", "testing"},
}
"""What shares no index code with what it judges, and what only checks."""

NEEDS_HYPOTHESIS = {"testing/machine.py", "testing/machine_core.py", "testing/strategies.py"}
"""What the extra `testing` is for. Nothing else imports it, nor these."""

NEEDS_REDIS = "stores/redis/"
"""What the extra `redis` is for."""

FILES = sorted(str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def imported(file: str) -> set[str]:
    """Return every module that the file imports, also under `if TYPE_CHECKING`."""
    modules = set()
    for node in ast.walk(ast.parse((SOURCE / file).read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that they can be read"
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


@pytest.mark.parametrize("file", FILES)
def test_imports_follow_the_arrows(file: str) -> None:
    room = Path(file).parts[0].removesuffix(".py")
    rooms = {module.split(".")[1] for module in imported(file) if module.startswith("sessiondex.")}

    assert rooms <= NARROWER.get(file, ARROWS[room] | {room})


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith("engine/")])
def test_the_engine_knows_no_session_no_loop_and_no_clock(file: str) -> None:
    roots = {module.partition(".")[0] for module in imported(file)}

    assert not roots & {"asyncio", "datetime", "pydantic", "time", "uuid"}


def test_only_stores_and_the_kit_know_asyncio() -> None:
    users = {file for file in FILES if any(module.partition(".")[0] == "asyncio" for module in imported(file))}

    names = ("composed", "feed", "lifecycle", "local", "loops", "telling", "turns")
    elsewhere = {file for file in users if not file.startswith(("testing/", NEEDS_REDIS))}
    assert elsewhere == {f"stores/{name}.py" for name in names}


def test_the_kit_knows_the_scan_store_and_no_other() -> None:
    kit = [file for file in FILES if file.startswith("testing/")]
    stores = {module for file in kit for module in imported(file) if module.startswith("sessiondex.stores")}

    assert stores <= {"sessiondex.stores.scan.ScanSessionStore"}


def test_only_schema_and_the_indexed_store_meet_the_engine() -> None:
    users = {file for file in FILES if any(module.startswith("sessiondex.engine") for module in imported(file))}

    assert {file for file in users if not file.startswith("engine/")} == {"schema.py", "stores/memory.py"}


def test_the_run_time_dependency_is_pydantic() -> None:
    core = [file for file in FILES if file not in NEEDS_HYPOTHESIS and not file.startswith(NEEDS_REDIS)]
    roots = {module.partition(".")[0] for file in core for module in imported(file)}

    # typing_extensions is imported under TYPE_CHECKING only: type checkers have it within them.
    assert roots - sys.stdlib_module_names == {"pydantic", "sessiondex", "typing_extensions"}


def test_only_the_machine_needs_hypothesis() -> None:
    users = {
        file
        for file in FILES
        for module in imported(file)
        if module.partition(".")[0] == "hypothesis"
        or module.startswith(("sessiondex.testing.machine", "sessiondex.testing.strategies"))
    }

    assert users <= NEEDS_HYPOTHESIS


def test_the_redis_store_knows_redis_py_and_no_engine() -> None:
    files = [file for file in FILES if file.startswith(NEEDS_REDIS)]
    modules = {module for file in files for module in imported(file)}

    assert {module.partition(".")[0] for module in modules} - sys.stdlib_module_names == {
        "pydantic_core",
        "redis",
        "sessiondex",
    }
    assert not any(module.startswith(("sessiondex.engine", "sessiondex.schema")) for module in modules)


def test_the_public_names_are_listed_and_there() -> None:
    assert sessiondex.__all__ == sorted(sessiondex.__all__)
    for package in (sessiondex, testing):
        assert all(hasattr(package, name) for name in package.__all__)
