"""The examples in the benchmarks' docstrings run: pytest collects those of `src` only."""

import doctest
import importlib
from pathlib import Path

import pytest

import benchmarks

HERE = Path(benchmarks.__path__[0])
FILES = [path.relative_to(HERE).with_suffix("") for path in HERE.rglob("*.py") if ">>>" in path.read_text()]
MODULES = {".".join(path.parts) for path in FILES}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_module(name: str) -> None:
    if name in {"report.charts", "sharding"}:
        pytest.importorskip("altair", reason="the bench group is not installed; `nox -s page` has it")
    failed, _ = doctest.testmod(importlib.import_module(f"benchmarks.{name}"))

    assert failed == 0
