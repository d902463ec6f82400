"""The test files that the docs show run under pytest, as a user would run them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"

SERVICE = """
from typing import Annotated
from uuid import UUID

from fastapi import Depends, FastAPI

from sessiondex import Channel, InMemorySessionStore, Session, SessionStore

app = FastAPI()
STORE = InMemorySessionStore()


def store_of() -> SessionStore:
    return STORE


@app.post("/messages")
async def message(store: Annotated[SessionStore, Depends(store_of)]) -> None:
    await store.save(Session(tenant_id=UUID(int=1), agent_id=UUID(int=2), channel=Channel.API, user_channel_id="ann"))
"""

TEST_CLIENT = """
import asyncio

from fastapi.testclient import TestClient
import pytest
from uuid import uuid4

from my_service import STORE, app
from sessiondex import WrongLoopError


def test_the_client_runs_the_app_in_another_loop():
    with TestClient(app) as client:
        assert client.post("/messages", json={}).status_code == 200
        with pytest.raises(WrongLoopError):
            asyncio.run(STORE.get(uuid4()))
    assert STORE.stats().sessions == 1
    assert asyncio.run(STORE.get(uuid4())) is None
"""


def run_pytest(directory: Path, test: str) -> str:
    """Run pytest on the test beside the service, and return what it prints."""
    (directory / "my_service.py").write_text(SERVICE)
    (directory / "test_it.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-q", "-o", "asyncio_mode=auto", "-p", "no:cacheprovider", "test_it.py"]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=300, check=False).stdout  # noqa: S603


@pytest.mark.parametrize("page", ["recipes.md", "conformance.md"])
def test_a_test_file_of_the_docs_passes(page: str, tmp_path: Path) -> None:
    blocks = re.findall(
        r"^```(?:python\b|\{\.python )[^\n]*\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL
    )
    [block] = [block for block in blocks if "import pytest" in block]
    printed = run_pytest(tmp_path, block)

    assert re.search(r"^\d+ passed in", printed, re.MULTILINE), printed


def test_a_test_client_has_a_loop_of_its_own(tmp_path: Path) -> None:
    """As the recipe says: no call of the store while the client is open."""
    printed = run_pytest(tmp_path, TEST_CLIENT)

    assert "1 passed" in printed, printed
