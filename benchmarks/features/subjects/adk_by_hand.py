"""What a service that uses ADK writes by hand; the matrix counts the lines."""

import copy
from collections.abc import Callable
from typing import Any

from google.adk.events import Event
from google.adk.sessions import InMemorySessionService, Session

APP = "app"


class TellingService(InMemorySessionService):
    """Writes down each change."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[tuple[str, str]] = []

    async def create_session(self, **arguments: Any) -> Session:
        session = await super().create_session(**arguments)
        self.changes.append(("saved", session.id))
        return session

    async def append_event(self, session: Session, event: Event) -> Event:
        event = await super().append_event(session, event)
        self.changes.append(("saved", session.id))
        return event

    async def delete_session(self, **arguments: Any) -> None:
        await super().delete_session(**arguments)
        self.changes.append(("deleted", arguments["session_id"]))


async def append_copy(service: InMemorySessionService, session: Session, event: Event) -> None:
    """Append without sharing anything."""
    await service.append_event(copy.deepcopy(session), copy.deepcopy(event))


async def page(service: InMemorySessionService, user: str, before: float | None, limit: int) -> list[Session]:
    """Return a page of the newest sessions."""
    found = (await service.list_sessions(app_name=APP, user_id=user)).sessions
    return [each for each in reversed(found) if before is None or each.last_update_time < before][:limit]


async def append_if_newest(service: InMemorySessionService, session: Session, event: Event) -> bool:
    """Append, unless the session has changed."""
    stored = await service.get_session(app_name=session.app_name, user_id=session.user_id, session_id=session.id)
    if stored.last_update_time != session.last_update_time:
        return False
    await service.append_event(session, event)
    return True


async def forget(service: InMemorySessionService, user: str, idle_before: float) -> None:
    """Delete the idle sessions of a user."""
    for session in (await service.list_sessions(app_name=APP, user_id=user)).sessions:
        if session.last_update_time < idle_before:
            await service.delete_session(app_name=APP, user_id=user, session_id=session.id)


async def scan(service: InMemorySessionService, matches: Callable[[dict[str, Any]], bool]) -> list[Session]:
    """Return the sessions whose state matches."""
    return [each for each in (await service.list_sessions(app_name=APP)).sessions if matches(each.state)]
