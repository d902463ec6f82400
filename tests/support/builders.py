"""Build sessions, step visits and ids for tests."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from sessiondex import Indexed, Session, testing
from sessiondex.testing import START
from sessiondex.testing import ManualClock as Clock
from sessiondex.testing import make_visit as visit

__all__ = [
    "AGENT",
    "CUSTOMER",
    "OTHER_AGENT",
    "OTHER_CUSTOMER",
    "OTHER_SCENARIO",
    "OTHER_TENANT",
    "SCENARIO",
    "START",
    "TENANT",
    "Clock",
    "IndexedSession",
    "NotedSession",
    "TaggedSession",
    "at_step",
    "make_session",
    "visit",
]

TENANT, OTHER_TENANT = UUID(int=1), UUID(int=2)
AGENT, OTHER_AGENT = UUID(int=11), UUID(int=12)
CUSTOMER, OTHER_CUSTOMER = UUID(int=21), UUID(int=22)
SCENARIO, OTHER_SCENARIO = UUID(int=31), UUID(int=32)


class NotedSession(Session):
    """A subclass with fields of plain types, one of them indexed: its sessions are checked by the fast path."""

    note: Annotated[str, Indexed()] = ""
    scores: list[float] = []


class TaggedSession(Session):
    """A subclass with a field whose type JSON does not have: its sessions are checked by a round trip."""

    tags: set[str] = set()


class IndexedSession(Session):
    """A subclass with fields by which its sessions are found."""

    email: Annotated[str | None, Indexed(normalize=str.casefold)] = None
    order_ids: Annotated[list[str], Indexed()] = []


def make_session(cls: type[Session] = Session, **fields: Any) -> Any:
    """Return a session of `TENANT` and `AGENT`; it has a value for every field that the test does not set."""
    return testing.make_session(cls, **{"tenant_id": TENANT, "agent_id": AGENT, **fields})


def at_step(content_hash: str | None = "hash-1", name: str | None = "pay", **fields: Any) -> Any:
    """Return a session at that step of version 1 of `SCENARIO`."""
    return make_session(**testing.at_step(content_hash, name, **{"active_scenario_id": SCENARIO, **fields}))
