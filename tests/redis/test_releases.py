"""Two releases of a service share a server, each in a process of its own, and lose nothing (law 6)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar
from uuid import uuid4

import pytest
from pydantic import BaseModel, ConfigDict

from sessiondex import InMemorySessionStore, InvalidSessionError, ScanSessionStore, Session, SessionStatus
from tests.support.builders import make_session
from tests.support.redis.internals import prefix_of
from tests.support.redis.servers import Servers
from tests.support.redis.stores import RedisStores

OLD = """
from typing import ClassVar
from sessiondex import InMemorySessionStore, InvalidSessionError, ScanSessionStore, Session, SessionStatus

class Ticket(Session):
    session_type: ClassVar[str] = "ticket"
    name: str = ""
    priority: str = "low"
"""

ADDS_A_FIELD = """
from typing import ClassVar
from sessiondex import InMemorySessionStore, InvalidSessionError, ScanSessionStore, Session, SessionStatus

class Case(Session):  # renamed and moved, too
    session_type: ClassVar[str] = "ticket"
    name: str = ""
    priority: str = "low"
    labels: list[str] = []
"""

RENAMES_AND_RETYPES = """
from typing import Any, ClassVar, Generic, TypeVar
from sessiondex import InMemorySessionStore, InvalidSessionError, ScanSessionStore, Session, SessionStatus

class Case(Session):
    session_type: ClassVar[str] = "ticket"
    schema_version: ClassVar[int] = 2
    title: str = ""
    priority: int = 0

    @classmethod
    def upgrade(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        data["title"] = data.pop("name", "")
        data["priority"] = {"low": 0, "high": 9}[data.pop("priority", "low")]
        return data
"""

EXPANDS = """
from typing import ClassVar
from sessiondex import InMemorySessionStore, InvalidSessionError, ScanSessionStore, Session, SessionStatus

class Case(Session):
    session_type: ClassVar[str] = "ticket"
    name: str = ""  # read while old workers run
    title: str = ""  # written as well
    priority: str = "low"
"""

WORKER = """
import asyncio, json, sys
from uuid import UUID
import models
from sessiondex import Session, open_store

cls = getattr(models, "Ticket", None) or models.Case
url, session_id, fields = sys.argv[1], UUID(sys.argv[2]), json.loads(sys.argv[3])

async def main():
    async with open_store(url, session_classes=[cls]) as store:
        session = await store.get(session_id, tenant_id=UUID(int=1))
        if session is None:
            ids = {"session_id": session_id, "tenant_id": UUID(int=1), "agent_id": UUID(int=2)}
            session = cls(**ids, channel="telegram", user_channel_id="u")
        for name, value in fields.items():
            setattr(session, name, value)
        await store.save(session, expected_revision=session.revision)
        [listed] = await store.list_by_agent(UUID(int=1), UUID(int=2))
        found, is_new = await store.get_or_create(UUID(int=1), "telegram", "u", lambda: None)
        assert (listed, found, is_new) == (session, session, False)
        own = cls.model_fields.keys() - Session.model_fields.keys()
        print(json.dumps({name: getattr(found, name) for name in sorted(own)}))

asyncio.run(main())
"""


class Release:
    """A release of the service: each call of `save` is a process that reads the session, changes and saves it."""

    def __init__(self, folder: Path, models: str, url: str, session_id: str) -> None:
        folder.mkdir()
        (folder / "models.py").write_text(models)
        (folder / "worker.py").write_text(WORKER)
        self._folder, self._arguments = folder, (url, session_id)

    def save(self, **fields: Any) -> Any:
        command = [sys.executable, "worker.py", *self._arguments, json.dumps(fields)]
        done = subprocess.run(command, cwd=self._folder, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def releases(servers: Servers, tmp_path: Path) -> Any:
    """Return a function that makes the old release and a new one, which share a session."""
    url, session_id = f"{servers.url}?prefix=t{uuid4().hex}", str(uuid4())

    def make(new: str) -> tuple[Release, Release]:
        return Release(tmp_path / "old", OLD, url, session_id), Release(tmp_path / "new", new, url, session_id)

    yield make
    servers.flush()


def test_an_added_field_survives_the_old_release(releases: Any) -> None:
    """Also a class that was renamed and moved, as its type stays."""
    old, new = releases(ADDS_A_FIELD)
    assert old.save(name="refund") == {"name": "refund", "priority": "low"}
    assert new.save(labels=["a"]) == {"labels": ["a"], "name": "refund", "priority": "low"}
    assert old.save(priority="high") == {"name": "refund", "priority": "high"}

    assert new.save() == {"labels": ["a"], "name": "refund", "priority": "high"}


def test_an_added_field_survives_if_the_new_release_begins(releases: Any) -> None:
    old, new = releases(ADDS_A_FIELD)
    assert new.save(labels=["a", "b"])["labels"] == ["a", "b"]
    assert old.save(name="refund") == {"name": "refund", "priority": "low"}

    assert new.save() == {"labels": ["a", "b"], "name": "refund", "priority": "low"}


def test_a_renamed_and_retyped_field_is_upgraded_once(releases: Any) -> None:
    """When no old worker is left."""
    old, new = releases(RENAMES_AND_RETYPES)
    old.save(name="refund", priority="high")
    assert new.save() == {"priority": 9, "title": "refund"}
    assert new.save(priority=5) == {"priority": 5, "title": "refund"}

    assert new.save() == {"priority": 5, "title": "refund"}


def test_a_rename_in_two_releases_loses_no_write(releases: Any, tmp_path: Path) -> None:
    """Expand, then contract: what the old release writes last is what the last one has."""
    old, expanded = releases(EXPANDS)
    old.save(name="a")
    expanded.save(name="b", title="b")
    old.save(name="c")
    assert expanded.save()["name"] == "c"
    (tmp_path / "new" / "models.py").write_text(RENAMES_AND_RETYPES)

    assert expanded.save() == {"priority": 0, "title": "c"}


class First(Session):
    session_type: ClassVar[str] = "note"
    text: str = ""


class Second(Session):
    session_type: ClassVar[str] = "note"
    schema_version: ClassVar[int] = 2
    text: str = ""

    @classmethod
    def upgrade(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        assert version == 1
        return {**data, "text": f"upgraded {data['text']}"}


async def test_a_row_keeps_the_highest_version_that_wrote_it(make_redis: RedisStores) -> None:
    """Also if an earlier release replaces the session without having read it. Another type has its own version."""
    new = make_redis(session_classes=[Second])
    old = make_redis(prefix=prefix_of(new), session_classes=[First])
    session_id = uuid4()
    for text in ("a", "b"):
        await old.save(make_session(First, session_id=session_id, text=text))
        assert (await new.get(session_id)).text == f"upgraded {text}"
    await new.save(make_session(Second, session_id=session_id, text="c"))
    await old.save(make_session(First, session_id=session_id, text="d"))
    assert (await new.get(session_id)).text == "d"

    await new.save(make_session(session_id=session_id))
    await old.save(make_session(First, session_id=session_id, text="e"))
    assert (await new.get(session_id)).text == "upgraded e"


V = TypeVar("V")


class Flow(Session, Generic[V]):
    value: V | None = None


class Orders(BaseModel):
    order: str = ""


class Refunds(BaseModel):
    refund: str = ""


async def test_generic_classes_are_refused_before_anything_is_stored(make_redis: RedisStores) -> None:
    """Their names do not distinguish them. A store in memory needs no names, nor does one without indexes."""
    flows: Any = [Flow[Orders], Flow[Refunds]]
    store, others = make_redis(), (InMemorySessionStore[Any](), ScanSessionStore[Any]())
    for cls in flows:
        session = make_session(cls, value=cls.model_fields["value"].annotation.__args__[0]())
        with pytest.raises(InvalidSessionError, match="has parameters"):
            await store.save(session)
        assert await store.get(session.session_id) is None
        for other in others:
            await other.save(session)
            assert type(await other.get(session.session_id)) is cls


OF_MAIN = """
import asyncio, sys
from uuid import UUID
from sessiondex import InMemorySessionStore, InvalidSessionError, ScanSessionStore, Session, open_store

class Ticket(Session):
    email: str = ""

class Named(Session):
    session_type = "named"

async def main():
    ids = {"tenant_id": UUID(int=1), "agent_id": UUID(int=2)}
    ticket, named = (cls(**ids, channel="telegram", user_channel_id="u") for cls in (Ticket, Named))
    async with open_store(sys.argv[1]) as store:
        try:
            await store.save(ticket)
        except InvalidSessionError as error:
            print(error)
        await store.save(named)
        assert [named] == await store.list_by_tenant(UUID(int=1))
    for other in (InMemorySessionStore(), ScanSessionStore()):
        await other.save(ticket)
        assert await other.get(ticket.session_id) == ticket

asyncio.run(main())
"""


def test_a_class_of_the_main_module_is_refused_by_what_outlives_the_process(servers: Servers, tmp_path: Path) -> None:
    """Another program would not find it by its name. A declared type is found."""
    (tmp_path / "svc.py").write_text(OF_MAIN)
    url = f"{servers.url}?prefix=t{uuid4().hex}"
    command = [sys.executable, str(tmp_path / "svc.py"), url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
    servers.flush()

    assert done.returncode == 0, done.stderr
    assert "Ticket is of the main module" in done.stdout
    assert "declare `session_type" in done.stdout


class EnumValues(Session):
    model_config = ConfigDict(use_enum_values=True)
    channel: str


@pytest.mark.parametrize("channel", ["sms", "telegram"])
async def test_enum_values_and_plain_channels(make_redis: RedisStores, channel: str) -> None:
    for store in (make_redis(), InMemorySessionStore(), ScanSessionStore()):
        session = make_session(EnumValues, channel=channel, status="idle")
        await store.save(session)
        found: Any = await store.get_by_channel(session.tenant_id, channel, session.user_channel_id)
        assert (found, found.status, found.channel) == (session, "idle", channel)
        assert await store.list_by_agent(session.tenant_id, session.agent_id, status=SessionStatus.IDLE) == [session]
