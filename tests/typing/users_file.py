"""A user's file, checked by `mypy --strict` against the installed package: never imported by a test."""

import asyncio
from uuid import UUID, uuid4

from sessiondex import (
    Channel,
    InMemorySessionStore,
    InvalidSessionError,
    ScanSessionStore,
    ScopeFilter,
    Session,
    SessionStatus,
    SessionStore,
    StepVisit,
)


class Ticket(Session):
    priority: int = 0


async def default() -> list[Session]:
    store = InMemorySessionStore()
    session = Session(tenant_id=uuid4(), agent_id=uuid4(), channel=Channel.SMS, user_channel_id="u")
    session.variables["city"] = "Lisbon"
    session.step_history.append(StepVisit(step_id=uuid4(), turn_number=1))
    session_id: UUID = await store.save(session)
    found: Session | None = await store.get(session_id, tenant_id=session.tenant_id)
    assert found is not None
    scope = ScopeFilter(include_channels=[Channel.SMS], exclude_current_nodes={"pay"}, max_session_age_days=3)
    await store.find_sessions_by_step_hash(found.tenant_id, uuid4(), 1, "hash", scope)
    return await store.list_by_agent(found.tenant_id, found.agent_id, status=SessionStatus.ACTIVE, limit=5)


async def subclass(store: SessionStore[Ticket]) -> int:
    ticket = await store.get_by_channel(uuid4(), Channel.EMAIL, "u")
    tickets: list[Ticket] = await store.list_by_customer(uuid4(), uuid4())
    try:
        return ticket.priority if ticket else sum(other.priority for other in tickets)
    except InvalidSessionError as error:
        return len(error.field or error.reason)


asyncio.run(default())
asyncio.run(subclass(InMemorySessionStore[Ticket]()))
asyncio.run(subclass(ScanSessionStore()))
