"""Conversations over HTTP, kept in sessiondex. The README beside this file says how to start it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from sessiondex import (
    Channel,
    InvalidArgumentError,
    Session,
    SessionNotFoundError,
    SessionStatus,
    SessionStore,
    StoreUnavailableError,
    TurnTimeoutError,
    open_store,
)

AGENT = UUID(int=1)  # the one agent of this service
TURN_TIMEOUT = 30  # seconds
STORE = os.environ.get("SESSIONS", "memory://")  # or redis://localhost:6379, which any number of workers share


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep the store open for as long as the service runs."""
    async with open_store(STORE, idle_ttl=timedelta(hours=24), max_sessions=100_000) as store:
        app.state.store = store
        yield


app = FastAPI(title="Conversations", lifespan=lifespan)


def store_of(request: Request) -> SessionStore:
    """Return the store that all requests share."""
    store: SessionStore = request.app.state.store
    return store


Store = Annotated[SessionStore, Depends(store_of)]


class Message(BaseModel):
    """What a user says."""

    model_config = ConfigDict(extra="forbid")

    channel: Channel
    user: str
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
    return f"{text.upper()}, said you in turn {session.turn_count}"


@app.post("/tenants/{tenant_id}/messages")
async def message(tenant_id: UUID, said: Message, store: Store) -> Answer:
    """Answer in the user's conversation, which begins if there is none."""

    def begin() -> Session:
        return Session(tenant_id=tenant_id, agent_id=AGENT, channel=said.channel, user_channel_id=said.user)

    found, _ = await store.get_or_create(tenant_id, said.channel, said.user, begin)
    async with store.exclusive(found.session_id, timeout=TURN_TIMEOUT):
        session = await store.get(found.session_id, tenant_id=tenant_id)
        if session is None:  # it was deleted while we waited
            raise SessionNotFoundError(found.session_id)
        session.turn_count += 1
        answer = await think(session, said.text)
        session.variables["last answer"] = answer
        await store.save(session, expected_revision=session.revision)
        return Answer(session_id=session.session_id, turn=session.turn_count, text=answer)


@app.get("/tenants/{tenant_id}/sessions")
async def sessions(
    tenant_id: UUID,
    store: Store,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    status: SessionStatus | None = None,
    before: datetime | None = None,
) -> Page:
    """Return a page of the agent's sessions."""
    page = await store.list_by_agent(tenant_id, AGENT, status=status, limit=limit, before=before)
    total = await store.count_by_agent(tenant_id, AGENT, status=status)
    return Page(sessions=page, total=total, before=page[-1].last_activity_at if len(page) == limit else None)


@app.get("/tenants/{tenant_id}/sessions/{session_id}")
async def session(tenant_id: UUID, session_id: UUID, store: Store) -> Session:
    """Return one session."""
    found = await store.get(session_id, tenant_id=tenant_id)  # the tenant's, or none
    if found is None:
        raise SessionNotFoundError(session_id)
    return found


@app.post("/tenants/{tenant_id}/sessions/{session_id}/close")
async def close(tenant_id: UUID, session_id: UUID, store: Store) -> Session:
    """Close a conversation, whatever else is being saved of it: the next message begins another."""

    def closed(current: Session) -> None:
        current.status = SessionStatus.CLOSED

    return await store.update(session_id, closed, tenant_id=tenant_id)


@app.get("/health")
async def health(store: Store) -> dict[str, bool]:
    """Return whether the service can serve."""
    return {"healthy": await store.health_check()}


@app.exception_handler(SessionNotFoundError)
@app.exception_handler(TurnTimeoutError)
@app.exception_handler(InvalidArgumentError)
@app.exception_handler(StoreUnavailableError)
async def refused(_: Request, error: Exception) -> JSONResponse:
    """Say what was wrong. The messages name arguments and ids, and no contents."""
    codes = {SessionNotFoundError: 404, TurnTimeoutError: 503, StoreUnavailableError: 503}
    return JSONResponse({"detail": str(error)}, status_code=codes.get(type(error), 422))
