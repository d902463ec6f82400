"""The service, as its clients see it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from sessiondex import InMemorySessionStore
from sessiondex import example as service

HELLO = {"channel": "webchat", "user": "ann", "text": "hello"}


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    if service.STORE != "memory://":  # a server has what other tests left there
        monkeypatch.setattr(service, "STORE", f"{service.STORE}?prefix=test-{uuid4().hex}")
    async with service.lifespan(service.app):
        transport = httpx.ASGITransport(service.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test/tenants/acme/") as client:
            yield client


@contextmanager
def served(url: str) -> Iterator[tuple[httpx.Client, subprocess.Popen[str]]]:
    """Run the service in a process of its own, with that URL of the store."""
    command = [sys.executable, "-m", "sessiondex.example", "--port", "0"]
    environment = {**os.environ, "SESSIONS": url}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603  # our own command
        assert process.stderr is not None
        try:
            # uvicorn names the port that it was given.
            found = next(filter(None, (re.findall(r"running on (\S+)", line) for line in process.stderr)))
            with httpx.Client(base_url=f"{found[0]}/tenants/acme/") as client:
                yield client, process
        finally:
            process.kill()


async def say(client: httpx.AsyncClient, **fields: Any) -> Any:
    response = await client.post("messages", json={**HELLO, **fields})
    assert response.status_code == 200, response.text
    return response.json()


async def test_a_conversation_goes_on(client: httpx.AsyncClient) -> None:
    first, second = await say(client), await say(client, text="again")
    assert first["text"] == "HELLO, you said in turn 1"
    assert second == {"session_id": first["session_id"], "turn": 2, "text": "AGAIN, you said in turn 2"}


async def test_messages_that_come_at_once_are_turns_of_one_conversation(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(say(client) for _ in range(20)))
    assert len({answer["session_id"] for answer in answers}) == 1
    assert sorted(answer["turn"] for answer in answers) == list(range(1, 21))


async def test_another_user_has_another_conversation(client: httpx.AsyncClient) -> None:
    assert (await say(client))["session_id"] != (await say(client, user="bob"))["session_id"]


async def test_sessions_come_in_pages(client: httpx.AsyncClient) -> None:
    for number in range(5):
        await say(client, user=f"user-{number}")
    users, parameters = [], {"limit": "2"}
    while True:
        page = (await client.get("sessions", params=parameters)).json()
        assert page["total"] == 5
        users.append([session["user_channel_id"] for session in page["sessions"]])
        if "before" not in page:
            break
        parameters["before"] = page["before"]

    assert users == [["user-4", "user-3"], ["user-2", "user-1"], ["user-0"]]


async def test_a_closed_conversation_is_followed_by_another(client: httpx.AsyncClient) -> None:
    first = (await say(client))["session_id"]
    closed = (await client.post(f"sessions/{first}/close")).json()
    assert closed["status"] == "closed"

    assert (await say(client))["session_id"] != first
    assert (await client.get("sessions", params={"status": "closed"})).json()["total"] == 1


async def test_another_tenant_sees_nothing(client: httpx.AsyncClient) -> None:
    session_id = (await say(client))["session_id"]
    assert (await client.get(f"sessions/{session_id}")).status_code == 200
    assert (await client.get(f"http://test/tenants/rival/sessions/{session_id}")).status_code == 404
    assert (await client.post(f"http://test/tenants/rival/sessions/{session_id}/close")).status_code == 404
    assert (await client.get("http://test/tenants/rival/sessions")).json()["total"] == 0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda client: client.get(f"sessions/{UUID(int=7)}"),
            f"tenant 'acme' has no session {UUID(int=7)}; /tenants/acme/",
        ),
        (lambda client: client.get("sessions/seven"), "path.session_id: Input should be a valid UUID"),
        (lambda client: client.get("sessions", params={"before": "2026-03-01T00:00:00"}), "before: must be an aware"),
        (
            lambda client: client.post("messages", json={**HELLO, "user": ""}),
            "body.user: String should have at least 1 character",
        ),
        (
            lambda client: client.post("messages", json={**HELLO, "channel": "pigeon"}),
            "body.channel: Input should be 'whatsapp'",
        ),
        (
            lambda client: client.post("messages", content="{", headers={"content-type": "application/json"}),
            "body: is no JSON (Expecting property name",
        ),
        (
            lambda client: client.post("messages", data={"a": "b"}),
            "; send it with the header content-type: application/json",
        ),
    ],
)
async def test_what_is_wrong_is_said(client: httpx.AsyncClient, call: Any, said: str) -> None:
    response = await call(client)
    assert response.status_code in {404, 422}
    assert said in response.json()["detail"]


async def test_a_turn_that_does_not_come_is_said(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    session_id = UUID((await say(client))["session_id"])
    monkeypatch.setattr(service, "TURN_TIMEOUT", 0)
    async with service.app.state.store.exclusive(session_id):
        response = await asyncio.create_task(client.post("messages", json=HELLO))
    assert response.status_code == 503
    assert "was not free within 0 s" in response.text


async def test_the_store_can_be_replaced(client: httpx.AsyncClient) -> None:
    """As a service's own tests do, to own time."""
    now = datetime(2026, 3, 1, tzinfo=UTC)
    store = InMemorySessionStore(idle_ttl=timedelta(hours=1), clock=lambda: now)
    service.app.dependency_overrides[service.store_of] = lambda: store
    try:
        first = (await say(client))["session_id"]
        now += timedelta(hours=2)
        assert (await say(client))["session_id"] != first
    finally:
        service.app.dependency_overrides.clear()


async def test_a_tenant_has_a_name_or_an_id(client: httpx.AsyncClient) -> None:
    """A name always means the same id."""
    session_id = (await say(client))["session_id"]
    by_id = await client.get(f"http://test/tenants/{service.id_of('acme')}/sessions/{session_id}")
    assert by_id.json()["tenant_id"] == str(service.id_of("acme"))


async def test_answers_have_no_nulls(client: httpx.AsyncClient) -> None:
    session_id = (await say(client))["session_id"]
    answers = [
        await client.get("sessions"),
        await client.get(f"sessions/{session_id}"),
        await client.post(f"sessions/{session_id}/close"),
    ]
    assert all("null" not in answer.text and "webchat" in answer.text for answer in answers)


async def test_the_start_page_has_every_path_and_a_command_that_works(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "STORE", "redis://ann:s3cret@localhost")
    page = (await client.get("http://test/")).text
    assert all(path in page for path in service.app.openapi()["paths"])
    assert "redis://" in page
    assert "s3cret" not in page
    ((url, header, value, body),) = re.findall(r"curl (\S+) -H '(.+): (.+)' \\\s+-d '(.+)'", page)
    answer = await client.post(url, headers={header: value}, content=body)
    assert answer.json()["turn"] == 1


@pytest.mark.skipif(sys.platform == "win32", reason="a journal needs file locks that Windows does not have")
@pytest.mark.parametrize("durability", ["full", "batched"])
def test_conversations_survive_a_killed_service(tmp_path: Path, durability: str) -> None:
    """All it takes is the URL. "batched" may lose the last moments before a kill, so that one ends in good order."""
    url = f"sqlite:///{tmp_path}/sessions.db?durability={durability}"
    with served(url) as (client, process):
        answers = [client.post("messages", json={**HELLO, "user": user}).json() for user in ("ann", "bob", "ann")]
        process.send_signal(signal.SIGKILL if durability == "full" else signal.SIGTERM)
        process.wait()
    with served(url) as (client, _):
        page = client.get("sessions").json()
        next_answer = client.post("messages", json=HELLO).json()

    assert [answer["turn"] for answer in answers] == [1, 1, 2]
    assert page["total"] == 2
    assert [session["user_channel_id"] for session in page["sessions"]] == ["ann", "bob"]
    assert page["sessions"][0]["variables"] == {"last answer": answers[2]["text"]}
    assert next_answer == {**answers[2], "turn": 3, "text": "HELLO, you said in turn 3"}


async def test_it_is_healthy(client: httpx.AsyncClient) -> None:
    assert (await client.get("http://test/health")).json() == {"healthy": True}
