"""Law 3: isolation. Law 4: keys are remembered."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from sessiondex.models import Channel, Session, SessionStatus
from sessiondex.testing.builders import every_field, make_visit
from sessiondex.testing.case import Case, case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.cases.all_queries import (
    LISTS,
    SINGLE,
    Query,
    expect_in_all_queries,
    finds_by_content,
    run_all_queries,
)
from sessiondex.testing.expectations import expect


class _Address(BaseModel):
    lines: list[str] = []


class _Nested(Session):
    address: _Address = _Address()
    addresses: list[_Address] = Field(default_factory=list)
    by_name: dict[str, list[int]] = Field(default_factory=dict)
    tags: set[str] = Field(default_factory=set)


def _make_full(context: CaseContext, cls: type[Session] = Session) -> Session:
    """Return a session with a value in every container that it has."""
    return cls(
        **{
            **dict(context.session(**every_field(status=SessionStatus.ACTIVE))),
            **({"address": {"lines": ["1"]}, "addresses": [{"lines": ["2"]}]} if cls is _Nested else {}),
            **({"by_name": {"a": [1]}, "tags": {"a"}} if cls is _Nested else {}),
        }
    )


def _empty_all(value: Any) -> None:
    """Empty every container that the value contains, the innermost first."""
    if isinstance(value, BaseModel) and not value.model_config.get("frozen"):
        for part in vars(value).values():
            _empty_all(part)
    elif isinstance(value, dict | list | set):
        for part in list(value.values()) if isinstance(value, dict) else list(value):
            _empty_all(part)
        value.clear()


@case(3)
async def changing_a_saved_object_changes_nothing_stored(context: CaseContext) -> None:
    """The store shares no container with a session that it saved, at any depth."""
    store = await context.store()
    for cls in (Session, _Nested):
        session = _make_full(context, cls)
        for _ in range(3):  # a store may keep recently used sessions in another form
            await store.save(session)
        expected = session.model_copy(deep=True)
        _empty_all(session)
        expect(
            await store.get(expected.session_id),
            expected,
            f"get of a {cls.__name__}, after the saved object was changed",
        )


def _result_case(name: str, query: Query) -> Case:
    async def run(context: CaseContext) -> None:
        store = await context.store()
        for cls in (Session, _Nested):
            session = _make_full(context, cls)
            await store.save(session)
            expected = session.model_copy(deep=True)
            for number in range(4):
                answer = await query(store, expected)
                found = next(iter(answer), None) if isinstance(answer, list) else answer
                expect(found, expected, f"{name}, of a {cls.__name__}, after {number} results were changed")
                _empty_all(found)
            expect(await store.get(expected.session_id), expected, f"get, after results of {name} were changed")
            await store.delete(expected.session_id)

    case_name = f"changing-a-result-of-{name.replace(' ', '-').replace('_', '-')}-changes-nothing-stored"
    promise = "The store shares no container with a result, and results share none with each other, at any depth."
    return case(3, name=case_name, promise=promise)(run)


async def _get_or_create(store: Any, like: Session) -> Any:
    identity = like.tenant_id, like.channel, like.user_channel_id
    return (await store.get_or_create(*identity, lambda: like))[0]


_QUERIES: dict[str, Query] = {
    **SINGLE,
    **LISTS,
    "get_or_create": _get_or_create,
    "iter_by_agent": lambda store, like: anext(store.iter_by_agent(like.tenant_id, like.agent_id)),
    "iter_by_customer": lambda store, like: anext(
        store.iter_by_customer(like.tenant_id, like.customer_profile_id or like.session_id)
    ),
    "iter_by_channel": lambda store, like: anext(
        store.iter_by_channel(like.tenant_id, like.channel, like.user_channel_id)
    ),
    "iter_by_tenant": lambda store, like: anext(store.iter_by_tenant(like.tenant_id)),
    "get_many": lambda store, like: store.get_many([like.session_id]),
}

RESULTS = tuple(_result_case(name, query) for name, query in _QUERIES.items())


@case(3)
async def changing_a_result_of_update_changes_nothing_stored(context: CaseContext) -> None:
    """The session passed to the change and the one returned by `update` belong to the caller."""
    store, given = await context.store(), list[Session]()
    for cls in (Session, _Nested):
        session = _make_full(context, cls)
        await store.save(session)
        for _ in range(3):
            given[:] = []
            answer = await store.update(session.session_id, given.append)
            expected = answer.model_copy(deep=True)
            _empty_all(given[0])
            _empty_all(answer)
            expect(
                await store.get(session.session_id),
                expected,
                f"get of a {cls.__name__}, after the result of update was changed",
            )


@case(3)
async def a_change_is_seen_after_save_and_not_before(context: CaseContext) -> None:
    """The store has the saved state, also if the object was changed in place since."""
    store, session = await context.store(), context.session()
    await store.save(session)
    session.variables["city"] = "Lisbon"
    session.turn_count = 1
    found = await context.get_stored(store, session.session_id)
    expect((found.variables, found.turn_count), ({}, 0), "stored values before the change is saved")
    await store.save(session)
    found = await context.get_stored(store, session.session_id)
    expect((found.variables, found.turn_count), ({"city": "Lisbon"}, 1), "stored values after the change was saved")


@case(3)
async def changing_objects_saved_in_bulk_changes_nothing_stored(context: CaseContext) -> None:
    """The store shares no container with sessions saved by `save_many` or `load`."""
    store = await context.store()
    for save_all in (store.save_many, store.load):
        sessions = [_make_full(context), _make_full(context, _Nested)]
        await save_all(sessions)
        expected = [session.model_copy(deep=True) for session in sessions]
        for session in sessions:
            _empty_all(session)
        for session in expected:
            expect(await store.get(session.session_id), session, "get, after the objects saved in bulk were changed")


def _move_everywhere(session: Session, context: CaseContext) -> None:
    """Change every indexed field, in place."""
    session.agent_id = context.other_agent_id
    session.channel = Channel.SMS
    session.user_channel_id = "someone else"
    session.customer_profile_id = context.other_customer_id
    session.step_history.append(make_visit("hash-2"))


async def _expect_found_under_saved_keys(context: CaseContext, *, is_result: bool) -> None:
    store, session = await context.store(), _make_full(context)
    await store.save(session)
    saved = session.model_copy(deep=True)
    moved = await context.get_stored(store, saved.session_id) if is_result else session
    _move_everywhere(moved, context)
    await expect_in_all_queries(store, saved, [saved], "by its saved values")
    for name, found in (await run_all_queries(store, moved)).items():
        if finds_by_content(name):
            expect(found, [], f"{name}, by the unsaved values of the object")
    await store.delete(saved.session_id)
    await expect_in_all_queries(store, saved, [], "by its saved values, after delete")


@case(4)
async def a_session_is_found_under_its_saved_keys(context: CaseContext) -> None:
    """Queries and `delete` find the session by its saved values, even if the saved object was changed since."""
    await _expect_found_under_saved_keys(context, is_result=False)


@case(4)
async def changing_a_result_moves_no_session(context: CaseContext) -> None:
    """Queries and `delete` find the session by its saved values, even if a result of `get` was changed."""
    await _expect_found_under_saved_keys(context, is_result=True)


@case(4)
async def saving_a_changed_session_moves_it_in_every_index(context: CaseContext) -> None:
    """Every query finds the session by its new values, and none by the old ones."""
    store, session = await context.store(), _make_full(context)
    await store.save(session)
    before = session.model_copy(deep=True)
    _move_everywhere(session, context)
    await store.save(session)
    await expect_in_all_queries(store, session, [session], "by its new values")
    for name, found in (await run_all_queries(store, before)).items():
        if finds_by_content(name):
            expect(found, [], f"{name}, by its values before the move")
    session.status = SessionStatus.CLOSED
    await store.save(session)
    still = await store.list_by_agent(context.tenant_id, context.other_agent_id, status=SessionStatus.ACTIVE)
    expect(still, [], "list_by_agent of the status that it had")


@case(4)
async def a_deleted_session_leaves_every_index(context: CaseContext) -> None:
    """No query and no count finds a deleted session, also if it was changed and saved before."""
    store, session, other = await context.store(), _make_full(context), context.at_step(user_channel_id="other")
    for _ in range(2):
        await store.save(session)
    await store.save(other)
    await store.delete(session.session_id)
    after = await run_all_queries(store, session)
    for name in ("get", "get_by_channel"):
        expect(after.get(name, []), [], f"{name}, after delete")
    await expect_in_all_queries(store, other, [other], "the one that was not deleted")
