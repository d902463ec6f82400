"""Law 3: isolation. Law 4: keys are remembered."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from sessiondex.models import Channel, Session, SessionStatus
from sessiondex.testing.builders import every_field, make_visit
from sessiondex.testing.case import Case, case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.cases.everywhere import LISTS, SINGLE, Query, expect_everywhere, found_everywhere
from sessiondex.testing.expectations import expect


class _Address(BaseModel):
    lines: list[str] = []


class _Nested(Session):
    address: _Address = _Address()
    addresses: list[_Address] = Field(default_factory=list)
    by_name: dict[str, list[int]] = Field(default_factory=dict)
    tags: set[str] = Field(default_factory=set)


def _full(context: CaseContext, cls: type[Session] = Session) -> Session:
    """Return a session with something in every container that it can have."""
    return cls(
        **{
            **dict(context.session(**every_field(status=SessionStatus.ACTIVE))),
            **({"address": {"lines": ["1"]}, "addresses": [{"lines": ["2"]}]} if cls is _Nested else {}),
            **({"by_name": {"a": [1]}, "tags": {"a"}} if cls is _Nested else {}),
        }
    )


def _spoil(value: Any) -> None:
    """Empty every container that can be reached, the innermost first."""
    if isinstance(value, BaseModel) and not value.model_config.get("frozen"):
        for part in vars(value).values():
            _spoil(part)
    elif isinstance(value, dict | list | set):
        for part in list(value.values()) if isinstance(value, dict) else list(value):
            _spoil(part)
        value.clear()


@case(3)
async def changing_a_saved_object_changes_nothing_stored(context: CaseContext) -> None:
    """Nothing that can be reached from a session that was saved is shared with the store, however deeply nested."""
    store = await context.store()
    for cls in (Session, _Nested):
        session = _full(context, cls)
        for _ in range(3):  # a store may keep what is used often in another way
            await store.save(session)
        expected = session.model_copy(deep=True)
        _spoil(session)
        expect(
            await store.get(expected.session_id), expected, f"get of a {cls.__name__}, after the given one was spoilt"
        )


def _handed_out(name: str, query: Query) -> Case:
    async def run(context: CaseContext) -> None:
        store = await context.store()
        for cls in (Session, _Nested):
            session = _full(context, cls)
            await store.save(session)
            expected = session.model_copy(deep=True)
            for number in range(4):
                answer = await query(store, expected)
                found = next(iter(answer), None) if isinstance(answer, list) else answer
                expect(found, expected, f"{name}, of a {cls.__name__}, after {number} answers were spoilt")
                _spoil(found)
            expect(await store.get(expected.session_id), expected, f"get, after answers of {name} were spoilt")
            await store.delete(expected.session_id)

    called = f"changing-a-result-of-{name.replace(' ', '-').replace('_', '-')}-changes-nothing-stored"
    promise = "Nothing that can be reached from an answer is shared with the store, nor with another answer."
    return case(3, name=called, promise=promise)(run)


async def _created(store: Any, like: Session) -> Any:
    identity = like.tenant_id, like.channel, like.user_channel_id
    return (await store.get_or_create(*identity, lambda: like))[0]


_FOUND: dict[str, Query] = {
    **SINGLE,
    **LISTS,
    "get_or_create": _created,
    "iter_by_agent": lambda store, like: anext(store.iter_by_agent(like.tenant_id, like.agent_id)),
    "iter_by_customer": lambda store, like: anext(
        store.iter_by_customer(like.tenant_id, like.customer_profile_id or like.session_id)
    ),
}

HANDED_OUT = tuple(_handed_out(name, query) for name, query in _FOUND.items())


@case(3)
async def changing_a_result_of_update_changes_nothing_stored(context: CaseContext) -> None:
    """What it gives to the change, and what it answers with, are the caller's own."""
    store, given = await context.store(), list[Session]()
    for cls in (Session, _Nested):
        session = _full(context, cls)
        await store.save(session)
        for _ in range(3):
            given[:] = []
            answer = await store.update(session.session_id, given.append)
            expected = answer.model_copy(deep=True)
            _spoil(given[0])
            _spoil(answer)
            expect(await store.get(session.session_id), expected, f"get of a {cls.__name__}, after update was spoilt")


@case(3)
async def a_change_is_seen_after_save_and_not_before(context: CaseContext) -> None:
    """In place or by assignment: the store has what was saved."""
    store, session = await context.store(), context.session()
    await store.save(session)
    session.variables["city"] = "Lisbon"
    session.turn_count = 1
    found = await context.get_stored(store, session.session_id)
    expect((found.variables, found.turn_count), ({}, 0), "what is stored before the change is saved")
    await store.save(session)
    found = await context.get_stored(store, session.session_id)
    expect((found.variables, found.turn_count), ({"city": "Lisbon"}, 1), "what is stored after it was saved")


@case(3)
async def changing_objects_saved_in_bulk_changes_nothing_stored(context: CaseContext) -> None:
    """`save_many` and `load` share nothing either."""
    store = await context.store()
    for save_all in (store.save_many, store.load):
        sessions = [_full(context), _full(context, _Nested)]
        await save_all(sessions)
        expected = [session.model_copy(deep=True) for session in sessions]
        for session in sessions:
            _spoil(session)
        for session in expected:
            expect(await store.get(session.session_id), session, "get, after what was given in bulk was spoilt")


def _move_everywhere(session: Session, context: CaseContext) -> None:
    """Change every field that a query looks at, in place."""
    session.agent_id = context.other_agent_id
    session.channel = Channel.SMS
    session.user_channel_id = "someone else"
    session.customer_profile_id = context.other_customer_id
    session.step_history.append(make_visit("hash-2"))


async def _found_under_what_it_was(context: CaseContext, *, handed_out: bool) -> None:
    store, session = await context.store(), _full(context)
    await store.save(session)
    saved = session.model_copy(deep=True)
    moved = await context.get_stored(store, saved.session_id) if handed_out else session
    _move_everywhere(moved, context)
    await expect_everywhere(store, saved, [saved], "by what it was when saved")
    for name, found in (await found_everywhere(store, moved)).items():
        if not name.startswith("get") or name == "get_by_channel":
            expect(found, [], f"{name}, by what the object is now, unsaved")
    await store.delete(saved.session_id)
    await expect_everywhere(store, saved, [], "by what it was when saved, after delete")


@case(4)
async def a_session_is_found_under_its_saved_keys(context: CaseContext) -> None:
    """Whatever becomes of the given object, the session is found, and deleted, under what it was."""
    await _found_under_what_it_was(context, handed_out=False)


@case(4)
async def changing_a_result_moves_no_session(context: CaseContext) -> None:
    """Whatever becomes of a session that was handed out, the stored one is found, and deleted, under what it was."""
    await _found_under_what_it_was(context, handed_out=True)


@case(4)
async def saving_a_changed_session_moves_it_in_every_index(context: CaseContext) -> None:
    """It is found under what it is now, and leaves no ghost under what it was."""
    store, session = await context.store(), _full(context)
    await store.save(session)
    before = session.model_copy(deep=True)
    _move_everywhere(session, context)
    await store.save(session)
    await expect_everywhere(store, session, [session], "by what it is now")
    for name, found in (await found_everywhere(store, before)).items():
        if not name.startswith("get") or name == "get_by_channel":
            expect(found, [], f"{name}, by what it was before it moved")
    session.status = SessionStatus.CLOSED
    await store.save(session)
    still = await store.list_by_agent(context.tenant_id, context.other_agent_id, status=SessionStatus.ACTIVE)
    expect(still, [], "list_by_agent of the status that it had")


@case(4)
async def a_deleted_session_leaves_every_index(context: CaseContext) -> None:
    """No query and no count finds it any more, also if it was changed and saved before."""
    store, session, other = await context.store(), _full(context), context.at_step(user_channel_id="other")
    for _ in range(2):
        await store.save(session)
    await store.save(other)
    await store.delete(session.session_id)
    after = await found_everywhere(store, session)
    for name in ("get", "get_by_channel"):
        expect(after.get(name, []), [], f"{name}, after delete")
    await expect_everywhere(store, other, [other], "the one that was not deleted")
