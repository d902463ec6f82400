"""Stores with a fault in what they keep of fields that subclasses add."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from sessiondex import InvalidSessionError, SessionStatus
from sessiondex.queries import LatestQuery, ListQuery, Page
from tests.support.broken_stores.fault import found_by
from tests.support.broken_stores.parts import OpenBackend, PartsStore


class _TellsTimeInUTC(OpenBackend):
    def to_session(self, stored: Any) -> Any:
        session = super().to_session(stored)
        if getattr(session, "at", None):
            vars(session)["at"] = session.at.astimezone(UTC)
        return session

    def get(self, session_id: UUID, tenant_id: UUID | None, cutoff: int | None) -> Any:
        found = super().get(session_id, tenant_id, cutoff)
        return found and self.to_session(found)


@found_by("instants-keep-their-offset")
class TellsTimeInUTC(PartsStore):
    backend_class = _TellsTimeInUTC


class _ParsesTexts(_TellsTimeInUTC):
    def to_session(self, stored: Any) -> Any:
        session = OpenBackend.to_session(self, stored)
        with suppress(AttributeError, TypeError, ValueError):
            vars(session)["text"] = datetime.fromisoformat(session.text)
        return session


@found_by("texts-in-unions-are-kept")
class ParsesTexts(PartsStore):
    backend_class = _ParsesTexts


class _MakesEnums(_TellsTimeInUTC):
    def to_session(self, stored: Any) -> Any:
        session = OpenBackend.to_session(self, stored)
        vars(session)["status"] = SessionStatus(session.status)
        return session

    def latest(self, query: LatestQuery, cutoff: int | None) -> Any:
        found = super().latest(query, cutoff)
        return found and self.to_session(found)


@found_by("values-of-enums-are-kept-as-texts")
class MakesEnums(PartsStore):
    backend_class = _MakesEnums


@found_by("what-an-any-field-would-change-is-refused")
class AcceptsAnything(PartsStore):
    async def save(self, session: Any, **options: Any) -> UUID:
        if getattr(session, "anything", None) is not None:
            session = session.model_copy(update={"anything": None})
        return await super().save(session, **options)


class _HidesWhatItCannotRead(_TellsTimeInUTC):
    def to_session(self, stored: Any) -> Any:
        session = super().to_session(stored)
        try:
            return type(session).model_validate(session.model_dump())
        except ValidationError:
            raise InvalidSessionError("word", "is refused") from None


@found_by("a-session-that-its-class-refuses-is-named", by=InvalidSessionError)
class HidesWhatItCannotRead(PartsStore):
    backend_class = _HidesWhatItCannotRead


class _StopsAtTheUnreadable(OpenBackend):
    def newest(self, query: ListQuery, page: Page, cutoff: int | None) -> Sequence[Any]:
        found = super().newest(query, page, cutoff)
        return [*takewhile(lambda session: not getattr(session, "word", ""), found)]


@found_by("lists-go-on-without-what-cannot-be-read")
class StopsAtTheUnreadable(PartsStore):
    backend_class = _StopsAtTheUnreadable
