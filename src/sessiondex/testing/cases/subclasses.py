"""Law 10: subclasses survive."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, Field

from sessiondex.models import Channel, Session
from sessiondex.testing.case import case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.cases.all_queries import expect_in_all_queries
from sessiondex.testing.expectations import expect


class _Noted(Session):
    note: str = ""
    scores: list[float] = Field(default_factory=list)


class _Order(BaseModel):
    day: date
    price: Decimal


class _Ordering(Session):
    orders: list[_Order] = Field(default_factory=list)
    tags: set[str] = Field(default_factory=set)


class _Open(Session, extra="allow"):
    pass


def _make_one_of_each_class(context: CaseContext) -> list[Session]:
    fields: list[tuple[type[Session], dict[str, Any]]] = [
        (Session, {}),
        (_Noted, {"note": "n", "scores": [1.0, 1e16]}),
        (_Ordering, {"orders": [{"day": "2026-01-01", "price": "1.10"}], "tags": {"a", "b"}}),
        (_Open, {"custom": {"a": [1]}}),
    ]
    return [cls(**{**dict(context.at_step()), **more}) for cls, more in fields]


@case(10)
async def fields_of_a_subclass_come_back(context: CaseContext) -> None:
    """Fields and class come back, for plain fields, other types, nested models and extra fields."""
    store = await context.store()
    for session in _make_one_of_each_class(context):
        for _ in range(3):
            await store.save(session)
            found = await context.get_stored(store, session.session_id)
            expect(type(found), type(session), "the class of what was saved")
            expect(found, session, f"get of a {type(session).__name__}")


@case(10)
async def sessions_of_several_classes_live_side_by_side(context: CaseContext) -> None:
    """Every query returns each session as its own class, saved alone or in bulk."""
    store, sessions = await context.store(), _make_one_of_each_class(context)
    for session in sessions:
        await store.save(session)
    found = await store.list_by_agent(context.tenant_id, context.agent_id)
    expect([type(session) for session in found], [type(session) for session in sessions[::-1]], "classes of a list")
    expect(found, sessions[::-1], "list_by_agent")
    await store.save_many(sessions)
    found = await store.list_by_agent(context.tenant_id, context.agent_id)
    expect([type(session) for session in found], [type(session) for session in sessions[::-1]], "classes of a list")


@case(10)
async def a_session_may_change_its_class(context: CaseContext) -> None:
    """The last write wins, for the class and for the fields."""
    store, session = await context.store(), context.at_step()
    await store.save(session)
    noted = _Noted(**dict(session), note="n")
    await store.save(noted)
    await expect_in_all_queries(store, noted, [noted], "after it was saved as another class")
    expect(type(await store.get(session.session_id)), _Noted, "the class of what was saved last")


@case(10)
async def update_and_get_or_create_give_the_class_back(context: CaseContext) -> None:
    """Both return the session as its class, with all fields."""
    store, session = await context.store(), context.session(_Noted, note="n")
    await store.save(session)
    changed = await store.update(session.session_id, lambda current: setattr(current, "note", "m"))
    expect((type(changed), changed.note), (_Noted, "m"), "class and note of what update returns")
    found, _ = await store.get_or_create(context.tenant_id, Channel.WEBCHAT, "user-1", context.session)
    expect(found, changed, "the session that get_or_create finds")
