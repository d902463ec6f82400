"""Sessions, clocks and names for the tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sessiondex import Channel, Session, StepVisit

TENANT, OTHER_TENANT = UUID(int=1), UUID(int=2)
AGENT, OTHER_AGENT = UUID(int=11), UUID(int=12)
CUSTOMER, OTHER_CUSTOMER = UUID(int=21), UUID(int=22)
SCENARIO, OTHER_SCENARIO = UUID(int=31), UUID(int=32)
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Clock:
    """A clock that stands still until it is told to move, forward or back."""

    def __init__(self, now: datetime = START) -> None:
        self.time = now

    def __call__(self) -> datetime:
        return self.time

    def move(self, **by: float) -> None:
        self.time += timedelta(**by)


class NotedSession(Session):
    """What a user might make of it: plain fields, so saving goes the short way."""

    note: str = ""
    scores: list[float] = []


class TaggedSession(Session):
    """What a user might make of it: a field of a type that JSON does not have, so saving goes the long way."""

    tags: set[str] = set()


def make_session(cls: type[Session] = Session, **fields: Any) -> Any:
    """Return a session with every field set that the test does not care about."""
    return cls(
        **{
            "tenant_id": TENANT,
            "agent_id": AGENT,
            "channel": Channel.WEBCHAT,
            "user_channel_id": "user-1",
            "created_at": START,
            **fields,
        }
    )


def visit(content_hash: str | None = "hash-1", name: str | None = "pay", **fields: Any) -> StepVisit:
    return StepVisit(
        **{
            "step_id": uuid4(),
            "step_name": name,
            "turn_number": 1,
            "entered_at": START,
            "step_content_hash": content_hash,
            **fields,
        }
    )


def at_step(content_hash: str | None = "hash-1", name: str | None = "pay", **fields: Any) -> Any:
    """Return a session that stands at that step of version 1 of `SCENARIO`."""
    return make_session(
        **{
            "active_scenario_id": SCENARIO,
            "active_scenario_version": 1,
            "step_history": [visit("earlier", "greet"), visit(content_hash, name)],
            **fields,
        }
    )
