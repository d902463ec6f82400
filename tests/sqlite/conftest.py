"""Fixtures for stores with a journal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.journalled import JournalledStores


@pytest.fixture(params=["full", "batched"])
async def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    """Make open stores of both levels of durability; in the end, check all indexes against a recomputation."""
    stores = JournalledStores(tmp_path, durability=request.param)
    yield stores
    await stores.aclose()
