"""Conversations over HTTP, kept in sessiondex: a small service to run, to read and to copy from.

`python -m sessiondex.example` starts it. It needs FastAPI and uvicorn: `pip install "sessiondex[example]"`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Annotated
from uuid import NAMESPACE_DNS, UUID, uuid5

from pydantic import BaseModel, ConfigDict, Field

from sessiondex import (
    Channel,
    ConflictError,
    InvalidArgumentError,
    Session,
    SessionNotFoundError,
    SessionStatus,
    SessionStore,
    StoreUnavailableError,
    TurnTimeoutError,
    open_store,
)

try:
    import uvicorn
    from fastapi import Depends, FastAPI, Query, Request
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse, PlainTextResponse
    from fastapi.routing import APIRoute
except ModuleNotFoundError as error:
    hint = 'the example service needs FastAPI and uvicorn: pip install "sessiondex[example]"'
    raise SystemExit(hint) if __name__ == "__main__" else ModuleNotFoundError(hint, name=error.name) from error

AGENT = UUID(int=1)  # the one agent of this service
TENANTS = uuid5(NAMESPACE_DNS, "tenants.example.org")
TURN_TIMEOUT = 30  # seconds
STORE = os.environ.get("SESSIONS", "memory://")
# Or sqlite:///sessions.db, which survives a crash, or redis://localhost:6379, which any number of workers share.


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep the store open for as long as the service runs: it loads its journal, and removes expired sessions."""
    async with open_store(STORE, idle_ttl=timedelta(hours=24), max_sessions=100_000) as store:
        app.state.store = store
        yield


app = FastAPI(title="Conversations", lifespan=lifespan)


def store_of(request: Request) -> SessionStore:
    """Return the store that all requests share; tests put another in its place."""
    store: SessionStore = request.app.state.store
    return store


def id_of(tenant: str) -> UUID:
    """Return the id of a tenant: a name is mapped to an id, always to the same one, and an id stands for itself."""
    try:
        return UUID(tenant)
    except ValueError:
        return uuid5(TENANTS, tenant)


Store = Annotated[SessionStore, Depends(store_of)]
TenantId = Annotated[UUID, Depends(id_of)]


class Message(BaseModel):
    """What a user says."""

    model_config = ConfigDict(extra="forbid")

    channel: Channel  # `str` takes any other as well, such as "telegram"
    user: Annotated[str, Field(min_length=1)]
    text: str


class Answer(BaseModel):
    """What the agent says, and in which conversation."""

    session_id: UUID
    turn: int
    text: str


class Page(BaseModel):
    """Some sessions, newest first. `before` asks for the next page, if there is one; `total` counts them all."""

    sessions: list[Session]
    total: int
    before: datetime | None


async def think(session: Session, text: str) -> str:
    """Stand in for the model: it takes its time, and other tasks run."""
    await asyncio.sleep(0)
    return f"{text.upper()}, you said in turn {session.turn_count}"


@app.post("/tenants/{tenant}/messages")
async def message(tenant_id: TenantId, said: Message, store: Store) -> Answer:
    """Answer in the user's conversation, which begins if there is none."""

    def begin() -> Session:
        return Session(tenant_id=tenant_id, agent_id=AGENT, channel=said.channel, user_channel_id=said.user)

    found, _ = await store.get_or_create(tenant_id, said.channel, said.user, begin)
    async with store.exclusive(found.session_id, timeout=TURN_TIMEOUT):  # one turn at a time
        session = await store.get(found.session_id, tenant_id=tenant_id)
        if session is None:  # it was deleted while we waited
            raise SessionNotFoundError(found.session_id)
        session.turn_count += 1
        answer = await think(session, said.text)
        session.variables["last answer"] = answer
        await store.save(session, expected_revision=session.revision)
        return Answer(session_id=session.session_id, turn=session.turn_count, text=answer)


@app.get("/tenants/{tenant}/sessions", response_model_exclude_none=True)
async def sessions(
    tenant_id: TenantId,
    store: Store,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    status: SessionStatus | None = None,
    before: datetime | None = None,
) -> Page:
    """Return a page of the tenant's sessions, newest first."""
    found = await store.list_by_tenant(tenant_id, status=status, limit=limit + 1, before=before)
    total = await store.count_by_tenant(tenant_id, status=status)
    page, has_more = found[:limit], len(found) > limit
    return Page(sessions=page, total=total, before=page[-1].last_activity_at if has_more else None)


@app.get("/tenants/{tenant}/sessions/{session_id}", response_model_exclude_none=True)
async def session(tenant_id: TenantId, session_id: UUID, store: Store) -> Session:
    """Return one session."""
    found = await store.get(session_id, tenant_id=tenant_id)  # the tenant's, or none
    if found is None:
        raise SessionNotFoundError(session_id)
    return found


@app.post("/tenants/{tenant}/sessions/{session_id}/close", response_model_exclude_none=True)
async def close(tenant_id: TenantId, session_id: UUID, store: Store) -> Session:
    """Close a conversation, whatever else is being saved of it: the next message begins another."""

    def closed(current: Session) -> None:
        current.status = SessionStatus.CLOSED

    return await store.update(session_id, closed, tenant_id=tenant_id)


@app.get("/health")
async def health(store: Store) -> JSONResponse:
    """Return whether the service can serve."""
    is_healthy = await store.health_check()
    return JSONResponse({"healthy": is_healthy}, 200 if is_healthy else 503)


@app.get("/", include_in_schema=False)
async def describe(request: Request) -> PlainTextResponse:
    """Describe the service, in words and a command to begin with."""
    routes = [route for route in app.routes if isinstance(route, APIRoute) and route.include_in_schema]
    return PlainTextResponse(
        f"Conversations, kept in sessiondex at {STORE.partition(':')[0]}://. To begin one:\n\n"
        f"curl {request.base_url}tenants/acme/messages -H 'content-type: application/json' \\\n"
        """  -d '{"channel": "webchat", "user": "ann", "text": "hello"}'\n\n"""
        + "".join(f"{' '.join(route.methods or ()):5}{route.path:47}{route.description}\n" for route in routes)
        + f"{'GET':5}{'/docs':47}Everything about these, to try out in a browser.\n"
    )


@app.exception_handler(SessionNotFoundError)
async def not_found(request: Request, error: SessionNotFoundError) -> JSONResponse:
    """Say what was looked for, and where to find what there is."""
    tenant = request.path_params["tenant"]
    wanted = f"tenant {tenant!r} has no session {error.session_id}; /tenants/{tenant}/sessions lists those it has"
    return JSONResponse({"detail": wanted}, 404)


@app.exception_handler(ConflictError)
@app.exception_handler(InvalidArgumentError)
@app.exception_handler(StoreUnavailableError)
@app.exception_handler(TurnTimeoutError)
async def refused(_: Request, error: Exception) -> JSONResponse:
    """Say what was wrong. The messages name arguments, ids and the remedy, and no contents."""
    codes = {ConflictError: 409, InvalidArgumentError: 422}
    return JSONResponse({"detail": str(error)}, codes.get(type(error), 503))


@app.exception_handler(RequestValidationError)
async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    """Say in a line which parts of the request are wrong, and what they may be."""
    parts = []
    for part in error.errors():
        if part["type"] == "json_invalid":
            parts.append(f"body: is no JSON ({part['ctx']['error']})")
        else:
            parts.append(f"{'.'.join(map(str, part['loc']))}: {part['msg']}")
    if not request.headers.get("content-type", "application/json").startswith("application/json"):
        parts.append("send it with the header content-type: application/json")
    return JSONResponse({"detail": "; ".join(parts)}, 422)


def main() -> None:
    """Start the service, and end with a message if it cannot be started so."""
    parser = argparse.ArgumentParser(
        prog="python -m sessiondex.example",
        description="Serve conversations over HTTP, kept in sessiondex.",
        epilog="The variable SESSIONS is the URL of the store: memory://, sqlite:///sessions.db or redis://localhost.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="the port to listen at (default: %(default)s)")
    options = parser.parse_args()
    try:
        open_store(STORE)
    except (ImportError, InvalidArgumentError, NotImplementedError) as error:
        parser.error(f"SESSIONS: {error}")
    uvicorn.run("sessiondex.example:app", host=options.host, port=options.port)


if __name__ == "__main__":
    main()
