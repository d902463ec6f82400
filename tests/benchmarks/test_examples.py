"""The examples in the benchmarks' docstrings run: pytest collects those of `src` only."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import benchmarks

NEED_ALTAIR = {"charts", "report"}
HERE = Path(benchmarks.__path__[0])
FILES = [path.relative_to(HERE).with_suffix("") for path in (*HERE.glob("*.py"), *HERE.glob("remote/*.py"))]
MODULES = {".".join(path.parts) for path in FILES} - NEED_ALTAIR - {"__init__", "__main__", "remote.__init__"}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_module(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(f"benchmarks.{name}"))

    assert failed == 0
