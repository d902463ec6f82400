"""Indexed: declares in a subclass of `Session` that stores find sessions by a field of it.

A field has zero or more *items*: its value, or the items of its collection. Each item is a text, an int, a bool or a
UUID, or an enum member, which counts as its value. Items are compared by value and type. The key of an item is bytes:
the name of the field with its length in front, one letter for the type, and the value.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cached_property
from typing import Annotated, Any, TypeAlias, Union, get_args, get_origin
from uuid import UUID
from weakref import WeakSet

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from sessiondex.errors import InvalidArgumentError, InvalidSessionError

Item: TypeAlias = str | int | bool | UUID

MAX_ITEM_SIZE = 1_024
"""In bytes. An index is no place for long texts: each of its entries has the whole value."""

_COLLECTIONS = (list, tuple, set, frozenset)
_ALLOWED = "index str, int, bool, UUID or an enum of these"
_SETTINGS = ("str_strip_whitespace", "str_to_lower", "str_to_upper", "strict")
"""Settings of a model that decide which value a query finds."""
_SET_BY_STORES = ("last_activity_at", "revision")


@dataclass(frozen=True, slots=True)
class Indexed:
    """Declare that sessions can be found by a field, in the annotation of the whole field.

    Values are str, int, bool, UUID, enums of these, and lists, tuples and sets of them, which have an entry for each
    item. `None` and empty collections have none. A text is compared byte for byte, after `normalize`, and has at most
    1,024 bytes then. `normalize` must always return the same text for the same text. A queried value is validated by
    the annotation of the field; a `field_validator` does not see it.

    >>> from sessiondex import Session
    >>> class Ticket(Session):
    ...     email: Annotated[str | None, Indexed(normalize=str.casefold)] = None
    ...     order_ids: Annotated[list[str], Indexed()] = []
    >>> [field.name for field in indexed_fields(Ticket)]
    ['email', 'order_ids']
    """

    normalize: Callable[[str], str] | None = None

    def __post_init__(self) -> None:
        """Check the argument."""
        if self.normalize is not None and not callable(self.normalize):
            raise TypeError("Indexed: normalize must be None or a function of a text, such as str.casefold")


class IndexedField:
    """A field that a class declares as `Indexed`."""

    def __init__(self, cls: type[BaseModel], name: str, field: FieldInfo, declared: Indexed) -> None:
        self.name: str = name
        self.normalize: Callable[[str], str] | None = declared.normalize
        scalars, items = _parts_of(field.annotation)
        if refused := [one for one in scalars + items if _is_refused(one)]:
            raise TypeError(f"{cls.__name__}.{name}: {refused[0].__name__} cannot be indexed; {_ALLOWED}")
        self.item_type: Any = Union[tuple(scalars + items)] if scalars + items else Any  # noqa: UP007  # made at run time
        if scalars and not items:  # constraints and validators in the annotation hold for the one item too
            for other in field.metadata:
                if not isinstance(other, Indexed):
                    self.item_type = Annotated[self.item_type, other]
        self._config = cls.model_config
        is_plain = self.item_type in {str, UUID} and not any(map(self._config.get, _SETTINGS))
        self._plain_type = self.item_type if is_plain else None  # its values need no validation
        encoded = name.encode()
        self._prefix = len(encoded).to_bytes(2) + encoded
        self._text_prefix = self._prefix + b"s"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def is_like(self, other: IndexedField) -> bool:
        """Return whether a query means the same for both."""
        return self._meaning() == other._meaning()

    def _meaning(self) -> tuple[Any, ...]:
        normalize: Any = self.normalize
        if isinstance(normalize, types.FunctionType) and not normalize.__closure__:
            normalize = normalize.__code__  # the same for each class that a function makes
        return self.name, self.item_type, normalize, *map(self._config.get, _SETTINGS)

    def items_of(self, value: Any) -> Iterator[Item]:
        """Yield the items of a value as they are compared; one may come twice. Raises `ValueError` with the reason."""
        for item in value if isinstance(value, _COLLECTIONS) else (value,):
            if item is not None:
                yield self._comparable(item)

    def keys_of(self, value: Any) -> tuple[bytes, ...]:
        """Return the keys of the items, sorted, each once. Raises `ValueError` with the reason."""
        # Texts are the common case, and take half the time here.
        if type(value) is str:
            return (self._text_key(value if self.normalize is None else self._normalized(value)),)
        if type(value) is list and self.normalize is None:
            keys = {
                self._text_key(item) if type(item) is str else self.key_of(self._comparable(item))
                for item in value
                if item is not None
            }
        else:
            keys = {self.key_of(item) for item in self.items_of(value)}
        return tuple(keys) if len(keys) < 2 else tuple(sorted(keys))

    def key_of(self, item: Item) -> bytes:
        """Return the key of an item as it is compared."""
        if type(item) is str:
            return self._text_key(item)
        if type(item) is UUID:
            return self._prefix + b"u" + item.bytes
        return self._prefix + (b"b%d" if type(item) is bool else b"i%x") % item

    def check_item(self, value: object) -> Item:
        """Return the item that a query looks for.

        Raises:
            InvalidArgumentError: the field cannot have the value.
        """
        if value is None:
            raise InvalidArgumentError("value", "must not be None: sessions without a value are not indexed")
        if type(value) is self._plain_type:
            return self._checked(value)
        try:
            validated = self._adapter.validate_python(value)
        except ValidationError as error:
            reason = error.errors(include_url=False, include_context=False, include_input=False)[0]["msg"]
            raise InvalidArgumentError("value", f"must be an item of {self.name}: {reason}") from None
        except Exception as error:  # noqa: BLE001  # a validator of the user's may raise anything
            reason = f"its validator raised {type(error).__name__}"
            raise InvalidArgumentError("value", f"must be an item of {self.name}: {reason}") from None
        return self._checked(validated)

    def _checked(self, value: Any) -> Item:
        try:
            item = self._comparable(value)
            self.key_of(item)
        except ValueError as error:
            raise InvalidArgumentError("value", str(error)) from None
        return item

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.item_type, config=self._config)

    def _comparable(self, item: Any) -> Item:
        if isinstance(item, Enum):
            item = item.value
        if isinstance(item, str):
            text = str.__str__(item)
            return text if self.normalize is None else self._normalized(text)
        if isinstance(item, bool):
            return item
        if isinstance(item, int):
            if item.bit_length() > MAX_ITEM_SIZE * 4:
                raise ValueError(f"an indexed int may have at most {MAX_ITEM_SIZE * 4:,} bits")
            return int(item)
        if isinstance(item, UUID):
            return item if type(item) is UUID else UUID(bytes=item.bytes)
        raise ValueError(f"{type(item).__name__} cannot be indexed; {_ALLOWED}")

    def _normalized(self, text: str) -> str:
        assert self.normalize is not None
        try:
            normalized: object = self.normalize(text)
        except Exception as error:  # the user's function may raise anything
            raise ValueError(f"its `normalize` raised {type(error).__name__}") from error
        if type(normalized) is str:
            return normalized
        if not isinstance(normalized, str):
            raise ValueError(f"its `normalize` must return a str, not {type(normalized).__name__}")  # noqa: TRY004  # of the value
        return str.__str__(normalized)

    def _text_key(self, text: str) -> bytes:
        try:
            encoded = text.encode()
        except UnicodeEncodeError:
            raise ValueError("an indexed text must not have a lone surrogate") from None
        if len(encoded) > MAX_ITEM_SIZE:
            raise ValueError(
                f"an indexed text may have at most {MAX_ITEM_SIZE:,} bytes, not {len(encoded):,}; index a digest of it"
            )
        return self._text_prefix + encoded


def _parts_of(annotation: Any) -> tuple[list[Any], list[Any]]:
    """Return the types of single values and of items of collections in the annotation, without `None`."""
    annotation = getattr(annotation, "__value__", annotation)  # of a `type` statement
    if get_origin(annotation) is Annotated:  # within a union
        scalars, items = _parts_of(annotation.__origin__)
        return ([annotation], []) if scalars and not items else (scalars, items)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        parts = [_parts_of(argument) for argument in arguments]
        return [one for scalars, _ in parts for one in scalars], [one for _, items in parts for one in items]
    if isinstance(origin, type) and issubclass(origin, Collection) and not issubclass(origin, Mapping):
        return [], [one for one in arguments if one is not Ellipsis]
    return ([], []) if annotation in (*_COLLECTIONS, types.NoneType, Any) else ([annotation], [])


def _is_refused(kind: Any) -> bool:
    """Return whether values of the type can surely not be indexed; the save refuses others that cannot."""
    kind = get_origin(kind) or kind
    return isinstance(kind, type) and (
        issubclass(kind, BaseModel | dict | float | bytes | date | time | timedelta | Decimal) or is_dataclass(kind)
    )


def _has_nested_declaration(annotation: Any) -> bool:
    annotation = getattr(annotation, "__value__", annotation)
    if get_origin(annotation) is Annotated and any(isinstance(one, Indexed) for one in annotation.__metadata__):
        return True
    return any(map(_has_nested_declaration, get_args(annotation)))


_CACHE = "__sessiondex_indexed_fields__"  # in the class itself: in a dict, what a field refers to could keep it alive


def indexed_fields(cls: type[BaseModel]) -> tuple[IndexedField, ...]:
    """Return the indexed fields of a model class.

    Raises:
        TypeError: a field cannot be indexed, or declares `Indexed` for a part of its type.
    """
    found: tuple[IndexedField, ...] | None = vars(cls).get(_CACHE)
    if found is not None:
        return found
    if not cls.__pydantic_complete__:
        cls.model_rebuild(raise_errors=False)  # its annotations may have been defined since
    found = tuple(
        [
            IndexedField(cls, name, field, declared)
            for name, field in cls.model_fields.items()
            if (declared := _declaration(cls, name, field)) is not None
        ]
    )
    if cls.__pydantic_complete__:
        setattr(cls, _CACHE, found)
    return found


def _declaration(cls: type[BaseModel], name: str, field: FieldInfo) -> Indexed | None:
    if _has_nested_declaration(field.annotation) or Indexed in field.metadata:
        reason = "Indexed() must be around the whole type, as in Annotated[str | None, Indexed()]"
        raise TypeError(f"{cls.__name__}.{name}: {reason}")
    declared = [one for one in field.metadata if isinstance(one, Indexed)]
    if declared and name in _SET_BY_STORES:
        raise TypeError(f"{cls.__name__}.{name}: a field that the store sets cannot be indexed")
    return declared[-1] if declared else None


def own_keys(values: Mapping[str, Any], fields: Sequence[IndexedField]) -> list[bytes]:
    """Return the keys of the items of these fields in the field values of a session.

    Raises:
        InvalidSessionError: an item cannot be indexed.
    """
    keys: list[bytes] = []
    for field in fields:
        try:
            keys += field.keys_of(values[field.name])
        except ValueError as error:
            raise InvalidSessionError(field.name, str(error)) from None
    return keys


class KnownIndexes:
    """The indexed fields of the classes that a store knows. It keeps the given classes alive, and no others.

    >>> KnownIndexes().find("email")
    Traceback (most recent call last):
        ...
    sessiondex.errors.InvalidArgumentError: field: no known class indexes 'email', nor any field; give the classes ...
    """

    def __init__(self, session_classes: Iterable[type[BaseModel]] = ()) -> None:
        """Raises `InvalidArgumentError` if two of the classes index a field in different ways."""
        self._given = [*session_classes]
        self._fields: dict[str, tuple[IndexedField, WeakSet[type[BaseModel]]]] = {}
        for cls in self._given:
            try:
                self.add(cls)
            except InvalidSessionError as error:
                raise InvalidArgumentError("session_classes", str(error)) from None

    def add(self, cls: type[BaseModel]) -> tuple[IndexedField, ...]:
        """Know the class from now on, and return its indexed fields.

        Raises:
            InvalidSessionError: another known class indexes a field of that name in another way.
        """
        try:
            fields = indexed_fields(cls)
        except TypeError as error:
            raise InvalidSessionError(None, str(error)) from None
        for field in fields:
            known, classes = self._fields.get(field.name, (field, WeakSet[type[BaseModel]]()))
            others = [other.__qualname__ for other in classes if other is not cls]
            if others and not known.is_like(field):
                reason = f"{cls.__qualname__} and {others[0]} index it with different types or `normalize`"
                raise InvalidSessionError(field.name, f"{reason}; rename one of the two fields")
        self._fields = {name: known for name, known in self._fields.items() if known[1]}  # of classes that exist
        for field in fields:
            known, classes = self._fields.get(field.name, (field, WeakSet[type[BaseModel]]()))
            classes.add(cls)
            self._fields[field.name] = (known if known.is_like(field) else field), classes
        return fields

    def find(self, name: object) -> IndexedField:
        """Return the indexed field of that name.

        Raises:
            InvalidArgumentError: no known class indexes a field of that name.
        """
        if not isinstance(name, str):
            raise InvalidArgumentError("field", f"must be the name of a field, not {type(name).__name__}")
        found = self._fields.get(name)
        if found is not None and found[1]:
            return found[0]
        known = sorted(field for field, (_, classes) in self._fields.items() if classes)
        hint = "give the classes that declare Indexed fields in session_classes"
        if known:
            reason = f"no known class indexes {name!r}; indexed are {', '.join(known)}; {hint}"
            raise InvalidArgumentError("field", reason)
        raise InvalidArgumentError("field", f"no known class indexes {name!r}, nor any field; {hint}")
