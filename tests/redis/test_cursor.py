"""Parse cursors of `export`."""

from __future__ import annotations

from typing import Any

import pytest

from sessiondex import InvalidArgumentError, ScanSessionStore
from sessiondex.stores.redis import RedisSessionStore
from sessiondex.stores.redis.cursor import ExportCursor
from tests.support.builders import TENANT, make_session

SESSION = make_session().session_id.hex
CURSORS = {
    "the first position": ExportCursor(),
    "before a tenant": ExportCursor(TENANT.hex),
    "after a session": ExportCursor(TENANT.hex, "1700000000000000", SESSION),
}


@pytest.mark.parametrize("name", CURSORS)
def test_a_cursor_as_text(name: str) -> None:
    """It is parsed to the same cursor."""
    cursor = CURSORS[name]

    assert ExportCursor.parse(str(cursor) if cursor.tenant else None) == cursor


INVALID = {
    "no tenant": "no cursor",
    "no stamp": f"{TENANT.hex}:x",
    "no session": f"{TENANT.hex}:17",
    "an empty session": f"{TENANT.hex}:17:",
    "an empty stamp": f"{TENANT.hex}::{SESSION}",
    "a negative stamp": f"{TENANT.hex}:-1:{SESSION}",
    "a stamp of other digits": f"{TENANT.hex}:\u0661:{SESSION}",
    "a stamp that is too long": f"{TENANT.hex}:{'1' * 17}:{SESSION}",
    "a session that is no id": f"{TENANT.hex}:17:{'x' * 32}",
    "a session with more text": f"{TENANT.hex}:17:{SESSION}:",
}


@pytest.mark.parametrize("name", INVALID)
async def test_an_invalid_cursor(name: str) -> None:
    store = RedisSessionStore[Any]("redis://localhost")
    with pytest.raises(InvalidArgumentError, match="cursor"):
        await store.export(cursor=INVALID[name])
    await store.aclose()


async def test_a_cursor_of_another_kind_of_store() -> None:
    with pytest.raises(InvalidArgumentError, match="cursor"):
        await ScanSessionStore[Any]().export(cursor=f"{TENANT.hex}:17:{SESSION}")
