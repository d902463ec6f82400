"""Run the tests of the example service on servers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import HANG_SECONDS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", ["standalone", "cluster"])
def test_the_example_service_with_a_redis_url(kind: str, request: pytest.FixtureRequest) -> None:
    """Its own tests pass."""
    server: Any = request.getfixturevalue(kind)
    others = {name: value for name, value in os.environ.items() if name != "PYTEST_DISABLE_PLUGIN_AUTOLOAD"}
    done = subprocess.run(  # our own command
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_example.py"],
        cwd=ROOT,
        env={**others, "SESSIONS": server.url},
        capture_output=True,
        text=True,
        timeout=2 * HANG_SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
