"""Stores with a fault in the indexes of own fields."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from typing import Any

from pydantic import BaseModel

from sessiondex import InvalidArgumentError, InvalidSessionError, ScanSessionStore
from sessiondex.indexed import IndexedField, KnownIndexes, indexed_fields
from sessiondex.queries import CountQuery, FieldQuery, ListQuery, Page
from sessiondex.stores.scan import ScanPlan
from tests.support.broken_stores.fault import found_by
from tests.support.broken_stores.parts import OpenBackend, PartsStore


def _items(session: Any, name: str) -> list[Any]:
    """Return the items of the field as they were given, or none if the class does not index it."""
    if not any(field.name == name for field in indexed_fields(type(session))):
        return []
    value = getattr(session, name)
    return [value] if not isinstance(value, list | tuple | set) else [*value]


class _FindsBy(OpenBackend):
    """Finds the sessions whose items `matches` approves."""

    def matches(self, session: Any, query: FieldQuery) -> bool:
        raise NotImplementedError

    def newest(self, query: ListQuery, page: Page, cutoff: int | None) -> Sequence[Any]:
        if not isinstance(query, FieldQuery):
            return super().newest(query, page, cutoff)
        found = [one for one in self._visible(query.tenant_id, cutoff) if self.matches(one, query)]
        return sorted(found, key=lambda one: one.last_activity_at, reverse=True)[: page.limit]

    def count(self, query: CountQuery) -> int:
        if not isinstance(query, FieldQuery):
            return super().count(query)
        return len(self.newest(query, Page(1_000), None))


def _is_normal(item: Any, query: FieldQuery) -> bool:
    item = item.value if isinstance(item, Enum) else item
    if isinstance(item, str) and query.field.normalize is not None:
        item = query.field.normalize(item)
    return (type(item), item) == (type(query.value), query.value)


def _found_where(matches: Callable[[Any, FieldQuery], bool]) -> type[OpenBackend]:
    """Return a class of backends that finds what the function approves."""
    return type("FindsBy", (_FindsBy,), {"matches": lambda _, session, query: matches(session, query)})


@found_by("values-of-each-kind-are-found")
class IndexesTextsAlone(PartsStore):
    backend_class = _found_where(
        lambda session, query: any(
            isinstance(item, str) and _is_normal(item, query) for item in _items(session, query.field.name)
        )
    )


@found_by("values-of-each-kind-are-found", "an-item-that-comes-twice-counts-once")
class IndexesFirstItemsAlone(PartsStore):
    backend_class = _found_where(
        lambda session, query: any(_is_normal(item, query) for item in _items(session, query.field.name)[:1])
    )


@found_by("items-are-compared-by-type")
class ComparesByValueAlone(PartsStore):
    backend_class = _found_where(
        lambda session, query: (
            query.value in _items(session, query.field.name)
            or any(_is_normal(item, query) for item in _items(session, query.field.name))
        )
    )


@found_by("items-are-compared-by-type")
class ComparesTexts(PartsStore):
    backend_class = _found_where(
        lambda session, query: (
            str(query.value) in map(str, _items(session, query.field.name))
            or any(_is_normal(item, query) for item in _items(session, query.field.name))
        )
    )


@found_by("names-and-values-do-not-run-into-each-other")
class FindsTheValueInAnyField(PartsStore):
    backend_class = _found_where(
        lambda session, query: any(
            _is_normal(item, query) for field in indexed_fields(type(session)) for item in _items(session, field.name)
        )
    )


@found_by("texts-are-compared-as-they-are-normalized")
class NeverNormalizes(PartsStore):
    backend_class = _found_where(lambda session, query: query.value in _items(session, query.field.name))


@found_by("texts-are-compared-as-they-are-normalized")
class NormalizesWhatItKeeps(PartsStore):
    async def save_many(self, sessions: Any, **options: Any) -> Any:
        given = list(sessions)
        for session in given:
            if getattr(session, "email", None):
                session.email = session.email.casefold()
        ids = await super().save_many([one.model_copy() for one in given], **options)
        for session in given:
            session.email = session.email.upper()
        return ids


@found_by("none-and-empty-collections-are-not-indexed")
class IndexesNothingAsEmpty(PartsStore):
    backend_class = _found_where(
        lambda session, query: any(
            (not item and not query.value) or _is_normal(item, query)
            for item in _items(session, query.field.name) or [None]
        )
    )


class _CountsEntries(OpenBackend):
    def count(self, query: CountQuery) -> int:
        if not isinstance(query, FieldQuery):
            return super().count(query)
        sessions = self._visible(query.tenant_id)
        return sum(_is_normal(item, query) for one in sessions for item in _items(one, query.field.name))


@found_by("an-item-that-comes-twice-counts-once")
class CountsEntries(PartsStore):
    backend_class = _CountsEntries


class _NeverUnfiles(_FindsBy):
    def __init__(self, codec: Any) -> None:
        super().__init__(codec)
        self.filed: dict[Any, set[Any]] = {}

    def apply(self, plan: ScanPlan[Any]) -> None:
        super().apply(plan)
        if plan.snapshot is not None:
            for field in indexed_fields(type(plan.snapshot)):
                items = {(field.name, type(item), item) for item in field.items_of(getattr(plan.snapshot, field.name))}
                self.filed.setdefault(plan.session_id, set()).update(items)

    def matches(self, session: Any, query: FieldQuery) -> bool:
        wanted = query.field.name, type(query.value), query.value
        return wanted in self.filed.get(session.session_id, ())


@found_by(
    "saves-and-deletes-change-what-a-field-finds",
    "a-session-of-another-class-leaves-the-fields-of-the-class-before",
)
class NeverUnfilesFields(PartsStore):
    backend_class = _NeverUnfiles


class _FilesTheGivenClass(_FindsBy):
    def matches(self, session: Any, query: FieldQuery) -> bool:
        declares = query.field.name in vars(type(session)).get("__annotations__", {})
        return declares and any(_is_normal(item, query) for item in _items(session, query.field.name))


@found_by("a-session-of-another-class-leaves-the-fields-of-the-class-before")
class ForgetsInheritedFields(PartsStore):
    backend_class = _FilesTheGivenClass


@found_by("an-item-has-at-most-1024-bytes")
class AcceptsLongItems(PartsStore):
    def index_keys(self, values: Mapping[str, Any], indexed: Sequence[IndexedField]) -> tuple[()]:  # noqa: ARG002  # the fault
        return ()


@found_by("an-item-has-at-most-1024-bytes")
class CountsCharacters(PartsStore):
    def index_keys(self, values: Mapping[str, Any], indexed: Sequence[IndexedField]) -> tuple[()]:
        for field in indexed:
            for item in field.items_of(values[field.name]):
                if isinstance(item, str) and len(item) > 1_024:
                    raise InvalidSessionError(field.name, "is too long")
        return ()


@found_by("a-query-by-a-field-refuses-bad-arguments")
class FindsNothingInUnknownFields(ScanSessionStore[Any]):
    async def list_by_field(self, *arguments: Any, **options: Any) -> Any:
        with suppress(InvalidArgumentError):
            return await super().list_by_field(*arguments, **options)
        return []


@found_by("a-query-by-a-field-refuses-bad-arguments")
class IteratesOverAnything(ScanSessionStore[Any]):
    async def iter_by_field(self, *arguments: Any, **options: Any) -> AsyncIterator[Any]:
        with suppress(InvalidArgumentError):
            async for session in super().iter_by_field(*arguments, **options):
                yield session
            return
        yield None


class _AnyIndexes(KnownIndexes):
    def __init__(self, session_classes: Iterable[type[BaseModel]] = ()) -> None:
        super().__init__(session_classes)

    def add(self, cls: type[BaseModel]) -> tuple[IndexedField, ...]:
        with suppress(InvalidSessionError):
            return super().add(cls)
        return indexed_fields(cls)


@found_by("classes-that-index-a-field-differently-are-refused")
class AcceptsAnyIndexes(PartsStore):
    indexes_class = _AnyIndexes
