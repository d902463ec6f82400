"""The sweeper of a server that is down logs one warning for each outage, and goes on afterwards."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from sessiondex import StoreUnavailableError
from sessiondex.stores.redis.maintenance import Sweeper
from tests.support.waiting import until


class Tenants:
    """A registry on a server that is down at some of the reads, and closes the sweeper after the last."""

    def __init__(self, *is_down: bool) -> None:
        self.left = list(is_down)
        self.known: list[UUID] = []
        self.sweeper: Any = None

    async def tenants(self) -> AsyncIterator[UUID]:
        is_down = self.left.pop(0)
        if not self.left:
            self.sweeper._closing.set()
        if is_down:
            raise StoreUnavailableError("host:1", "sweep", "it cannot be reached")
        for tenant_id in self.known:
            yield tenant_id


@pytest.mark.parametrize(
    ("is_down", "warnings"), [((True,) * 5, 1), ((True, True, False, True, True), 2), ((False,) * 3, 0)], ids=str
)
async def test_an_outage_is_logged_once(
    is_down: tuple[bool, ...], warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    tenants: Any = Tenants(*is_down)
    unused: Any = None
    sweeper = tenants.sweeper = Sweeper(unused, unused, tenants)
    with caplog.at_level(logging.WARNING, "sessiondex"):
        sweeper.start(0.001)
        await until(lambda: sweeper.has_failed)  # it ends when it is closed

    records = [record for record in caplog.records if "the store tries again: " in record.getMessage()]
    assert len(records) == len(caplog.records) == warnings
    assert not any(record.exc_info for record in records)
