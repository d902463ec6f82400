"""Take a turn with the installed package. `nox -s packages` runs this outside the source tree, and names the source."""

import asyncio
import logging
import sys
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

import sessiondex
from sessiondex import Channel, InMemorySessionStore, Session
from sessiondex.testing import check_session_store


def files_under(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def check_files(source: Path) -> None:
    """Compare all files, such as `py.typed` and the Lua scripts, with those of the source."""
    installed = Path(sessiondex.__file__).parent
    assert installed.is_relative_to(sys.prefix), f"this is not the installed package: {installed}"
    expected, found = files_under(source), files_under(installed)
    assert {"py.typed", "stores/redis/lua/writes.lua", "testing/cases/saves.py"} <= expected.keys()
    different = {path for path in expected.keys() | found.keys() if expected.get(path) != found.get(path)}
    assert not different, f"not as in the source: {sorted(different)}"
    assert version("sessiondex") == sessiondex.__version__


async def take_turn() -> None:
    async with InMemorySessionStore() as store:
        session = Session(tenant_id=uuid4(), agent_id=uuid4(), channel=Channel.SLACK, user_channel_id="ann")
        async with store.exclusive(session.session_id):
            session.variables["city"] = "Lisbon"
            await store.save(session)
        found = await store.get_by_channel(session.tenant_id, Channel.SLACK, "ann")
        assert found is not None
        assert found.variables == {"city": "Lisbon"}
    logging.disable()  # the kit makes stores log errors
    assert (await check_session_store(InMemorySessionStore)).ok


if __name__ == "__main__":
    check_files(Path(sys.argv[1]))
    asyncio.run(take_turn())
    print(f"sessiondex {sessiondex.__version__} on Python {sys.version.split()[0]}")  # noqa: T201  # for the log
