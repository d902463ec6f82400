"""Law 6, of the fields that subclasses add: kept as they are, refused by name, and readable or named later on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, ConfigDict

from sessiondex.errors import InvalidSessionError, UnreadableSessionError
from sessiondex.models import Channel, Session, SessionStatus
from sessiondex.testing.case import case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.cases.all_queries import LISTS
from sessiondex.testing.expectations import expect, expect_error

_refused_words: set[str] = set()


def _check_word(value: str) -> str:
    if value in _refused_words:
        raise ValueError("is refused now")
    return value


@contextmanager
def _refused(word: str) -> Iterator[None]:
    _refused_words.add(word)
    try:
        yield
    finally:
        _refused_words.discard(word)


class _Colour(StrEnum):
    RED = "red"


class _Fickle(Session):
    """Its validator may refuse later what it accepted at the save."""

    word: Annotated[str, AfterValidator(_check_word)] = ""


class _Mixed(Session):
    at: datetime | None = None
    text: datetime | str = ""
    number: Decimal | str = ""
    id_or_name: UUID | str = ""
    anything: Any = None


class _EnumValues(Session):
    model_config = ConfigDict(use_enum_values=True)

    channel: str


def _times() -> list[datetime]:
    zones = (UTC, timezone(timedelta(hours=5, minutes=45)), ZoneInfo("Europe/Lisbon"))
    # Also in the hour that the end of summer time repeats.
    hours = [(hour, fold) for hour in (1, 12) for fold in (0, 1)]
    return [datetime(2026, 10, 25, hour, 30, tzinfo=zone, fold=fold) for zone in zones for hour, fold in hours]


def _instant_and_offset(at: datetime) -> tuple[datetime, timedelta | None]:
    return at.astimezone(UTC), at.utcoffset()


@case(6)
async def instants_keep_their_offset(context: CaseContext) -> None:
    """A datetime of an own field comes back as the same instant, with the same UTC offset."""
    store = await context.store()
    for at in _times():
        session = context.session(_Mixed, at=at)
        await store.save(session)
        found: Any = await context.get_stored(store, session.session_id)
        expect(_instant_and_offset(found.at), _instant_and_offset(at), f"{at}, fold {at.fold}")


@case(6)
async def texts_in_unions_are_kept(context: CaseContext) -> None:
    """A text comes back as a text, though it looks like another member of the union."""
    store = await context.store()
    for text in ("2026-01-01T00:00:00", "1.50", "00000000-0000-0000-0000-000000000007", "x"):
        session = context.session(_Mixed, text=text, number=text, id_or_name=text)
        await store.save(session)
        found: Any = await context.get_stored(store, session.session_id)
        values = [found.text, found.number, found.id_or_name]
        expect([(type(value), value) for value in values], [(str, text)] * 3, f"what {text!r} came back as")


@case(6)
async def what_an_any_field_would_change_is_refused(context: CaseContext) -> None:
    """The error names the path."""
    store = await context.store()
    for value, path in (((1, 2), "anything"), ([Decimal(1)], "anything.0"), ({"a": [_Colour.RED]}, "anything.a.0")):
        session = context.session(_Mixed, anything=value)
        with expect_error(InvalidSessionError, f"save with {value!r}") as expected:
            await store.save(session)
        expect(expected.error.field, path, f"field of the error for {value!r}")


@case(6)
async def values_of_enums_are_kept_as_texts(context: CaseContext) -> None:
    """A class with `use_enum_values` and a channel of type `str` is stored, found and comes back as it is."""
    store = await context.store()
    for channel in (Channel.SMS.value, "telegram"):
        session: Any = context.session(_EnumValues, channel=channel, status=SessionStatus.IDLE, user_channel_id=channel)
        await store.save(session)
        found: Any = await store.get_by_channel(context.tenant_id, channel, channel)
        expect(found, session, f"get_by_channel of {channel!r}")
        expect([type(found.channel), type(found.status)], [str, str], "types of channel and status")
        listed = await store.list_by_agent(context.tenant_id, context.agent_id, status=SessionStatus.IDLE, limit=1)
        expect(listed, [session], "list_by_agent of the status")


async def _read(read: Callable[[], Awaitable[Any]], sessions: list[Session], expected: Any, what: str) -> None:
    """Expect the answer of a store that keeps live copies, or an error that names one of the sessions."""
    try:
        found = await read()
    except UnreadableSessionError as error:
        ids = [session.session_id for session in sessions]
        expect(error.session_id in ids, True, f"whether the error of {what} has the id of a session")
    else:
        expect(found, expected, what)


@case(6)
async def a_session_that_its_class_refuses_is_named(context: CaseContext) -> None:
    """It can be counted, replaced and deleted all the same."""
    store, word = await context.store(), str(context.tenant_id)
    first, second = (context.at_step(cls=_Fickle, word=word) for _ in range(2))
    await store.save(second)
    await store.save(first)
    with _refused(word):
        await _read(lambda: store.get(first.session_id), [first], first, "get")
        identity = context.tenant_id, Channel.WEBCHAT, first.user_channel_id
        await _read(lambda: store.get_by_channel(*identity), [first], first, "get_by_channel")
        for name, query in LISTS.items():
            await _read(partial(query, store, first), [first, second], [first, second], name)
        ids = [second.session_id, first.session_id]
        await _read(lambda: store.get_many(ids), [first, second], [second, first], "get_many")
        expect(await store.count_by_agent(context.tenant_id, context.agent_id), 2, "count_by_agent")
        expect(await store.delete(second.session_id), True, "delete")
        replaced = first.model_copy(update={"word": ""})
        await store.save(replaced)
        expect(await store.get(first.session_id), replaced, "get of what was saved anew")


@case(6, "on_unreadable")
async def lists_go_on_without_what_cannot_be_read(context: CaseContext) -> None:
    """With `on_unreadable="skip"`: nothing that comes after it is lost, on any page."""
    store, word = await context.store(on_unreadable="skip"), str(context.tenant_id)
    sessions: list[Any] = [
        context.at_step(cls=_Fickle, word=word if number in {2, 3, 7} else "", user_channel_id=f"user-{number}")
        for number in range(9)
    ]
    for session in sessions:
        await store.save(session)
    readable = [session for session in reversed(sessions) if not session.word]
    with _refused(word):
        for limit in (1, 2, 3, 20):
            listed: list[Any] = await store.list_by_agent(context.tenant_id, context.agent_id, limit=limit)
            others = len([session for session in listed if session.word])  # a store may keep live copies
            expected = readable[: limit - others]
            expect([session for session in listed if not session.word], expected, f"list_by_agent, limit {limit}")
            pages: AsyncIterator[Any] = store.iter_by_agent(context.tenant_id, context.agent_id, page_size=limit)
            found = [session async for session in pages if not session.word]
            expect(found, readable, f"iter_by_agent, page_size {limit}")


@case(6, "on_unreadable")
async def get_many_gives_none_for_what_cannot_be_read(context: CaseContext) -> None:
    """With `on_unreadable="skip"`: the others keep their places."""
    store, word = await context.store(on_unreadable="skip"), str(context.tenant_id)
    sessions: list[Any] = [context.session(_Fickle, word=word if number in {1, 4} else "") for number in range(6)]
    await store.save_many(sessions)
    with _refused(word):
        found = await store.get_many([session.session_id for session in sessions])
        expect(len(found), len(sessions), "how many results get_many has")
        for session, one in zip(sessions, found, strict=True):
            if not session.word or one is not None:  # a store may keep live copies
                expect(one, session, "a result of get_many, of a session that can be read")
