"""Checks of the arguments that every store takes. Each names the argument and says what to do.

Ids, texts and numbers are read once, and given back as what they are exactly: of a class of its own, a value may say
another thing each time that it is asked.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel, ValidationError

from sessiondex.errors import InvalidArgumentError
from sessiondex.models import Channel, ScopeFilter, SessionStatus, check_user_channel_id, in_utc

T = TypeVar("T")

_LONGEST = 100 * 366 * 86_400.0


def exact_id(name: str, value: object) -> UUID:
    if type(value) is UUID:
        return value
    try:
        exact = as_exact_id(value)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is the value's own
        raise InvalidArgumentError(name, f"reading it raises {type(error).__name__}") from None
    if exact is None:  # an id of another type would find nothing, without a word
        raise InvalidArgumentError(name, f"must be a uuid.UUID, not {type(value).__name__}; convert it with UUID(...)")
    return exact


def as_exact_id(value: object) -> UUID | None:
    """Return the id as a plain UUID, read once, whatever subclass it is of; `None` if it is none."""
    given: Any = value
    if type(given) is UUID:
        return given
    # isinstance would believe what an object says of its class.
    return UUID(bytes=given.bytes) if issubclass(type(given), UUID) else None


def exact_int(name: str, value: int) -> int:
    if type(value) is int:
        return value
    if not issubclass(type(value), int) or type(value) is bool:
        raise InvalidArgumentError(name, f"must be an int, not {type(value).__name__}")
    return int.__int__(value)


def is_bool(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise InvalidArgumentError(name, f"must be True or False, not {type(value).__name__}")


def exact_text(name: str, value: str) -> str:
    if not issubclass(type(value), str):
        raise InvalidArgumentError(name, f"must be a str, not {type(value).__name__}")
    exact = str.__str__(value)
    if not exact.isascii():
        try:
            exact.encode()
        except UnicodeEncodeError:
            raise InvalidArgumentError(name, "has a lone surrogate; decode it with errors='replace'") from None
    return exact


def many(name: str, value: Iterable[T], singular: str) -> Iterable[T]:
    given: object = value
    if isinstance(given, AsyncIterable):
        instead = "load() takes one" if singular == "save" else "collect the ids in a list first"
        raise InvalidArgumentError(name, f"must not be an asynchronous iterable; {instead}")
    # A session and a text are iterable, but not what is meant.
    if not isinstance(given, Iterable) or isinstance(given, BaseModel | str | bytes):
        raise InvalidArgumentError(
            name, f"must be an iterable, not {type(value).__name__}; for a single one, {singular}()"
        )
    return value


def many_or_async(name: str, value: Iterable[T] | AsyncIterable[T]) -> Iterable[T] | AsyncIterable[T]:
    return value if isinstance(value, AsyncIterable) else many(name, value, "save")


def at_least(name: str, value: int, least: int, hint: str) -> int:
    exact = exact_int(name, value)
    if exact < least:
        bound = f"must be at least {least}" if least else "must not be negative"
        raise InvalidArgumentError(name, f"{bound}; {hint}")
    return exact


def cursor(value: datetime | None) -> datetime | None:
    if value is None:
        return None
    if not issubclass(type(value), datetime):
        raise InvalidArgumentError("before", f"must be None or a datetime, not {type(value).__name__}")
    try:
        is_aware = value.utcoffset() is not None
        exact = in_utc(value) if is_aware else value
    except ValueError as error:
        raise InvalidArgumentError("before", str(error)) from None
    except Exception as error:  # noqa: BLE001  # of a class, or in a zone, of its own
        raise InvalidArgumentError("before", f"reading it raises {type(error).__name__}") from None
    if not is_aware:
        raise InvalidArgumentError("before", "must be an aware datetime, such as the last_activity_at of a session")
    return exact


def id_in_cursor(value: str) -> UUID:
    try:
        return UUID(hex=exact_text("cursor", value))
    except ValueError:
        raise InvalidArgumentError("cursor", "must be one that export() of this store gave") from None


def place_in_cursor(value: str | None) -> tuple[str, str]:
    """Return the tenant and the stamp, as text, where a cursor of a store on a server goes on; of none, nothing."""
    if value is None:
        return "", ""
    tenant, _, stamp = exact_text("cursor", value).partition(":")
    if not (stamp.isascii() and (stamp.isdecimal() or not stamp)):
        raise InvalidArgumentError("cursor", "must be one that export() of this store gave")
    return id_in_cursor(tenant).hex, stamp


def callback(name: str, value: object) -> None:
    if not callable(value):
        raise InvalidArgumentError(name, f"must be callable, not {type(value).__name__}")


def seconds(name: str, value: float | None) -> None:
    given: object = value
    if value is None:
        return
    if not isinstance(given, int | float) or isinstance(given, bool):
        raise InvalidArgumentError(name, f"must be None or a number of seconds, not {type(value).__name__}")
    if not value >= 0:
        raise InvalidArgumentError(name, "must not be negative; None waits for as long as it takes")
    if value > _LONGEST:
        raise InvalidArgumentError(name, "is longer than a century; None waits for as long as it takes")


def idle_ttl(value: timedelta | None) -> None:
    if value is None:
        return
    if not isinstance(value, timedelta):
        raise InvalidArgumentError("idle_ttl", f"must be None or a timedelta, not {type(value).__name__}")
    if value <= timedelta(0):
        raise InvalidArgumentError("idle_ttl", "must be longer than nothing; None keeps idle sessions for ever")


def is_duration(name: str, value: timedelta, least: timedelta) -> None:
    given: object = value
    if not isinstance(given, timedelta) or given < least:
        raise InvalidArgumentError(name, f"must be a timedelta of at least {least.total_seconds()} s")


def channel(value: Channel) -> Channel:
    try:
        return Channel(value)
    except Exception:  # noqa: BLE001  # whatever it raises when it is compared or printed
        raise InvalidArgumentError("channel", f"must be one of {', '.join(Channel)}") from None


def user_channel_id(value: str) -> str:
    if type(value) is str and value.isascii() and value and "\0" not in value:  # as most are, told without a call
        return value
    try:
        return check_user_channel_id(exact_text("user_channel_id", value))
    except InvalidArgumentError:
        raise
    except ValueError as error:
        raise InvalidArgumentError("user_channel_id", str(error)) from None


def identity(tenant_id: UUID, channel_: Channel, user: str) -> tuple[UUID, Channel, str]:
    return exact_id("tenant_id", tenant_id), channel(channel_), user_channel_id(user)


def optional_status(value: SessionStatus | None) -> SessionStatus | None:
    try:
        return None if value is None else SessionStatus(value)
    except Exception:  # noqa: BLE001  # as above
        raise InvalidArgumentError("status", f"must be None or one of {', '.join(SessionStatus)}") from None


def optional_scope_filter(value: ScopeFilter | None) -> ScopeFilter | None:
    if value is None:
        return None
    if not isinstance(value, ScopeFilter):
        raise InvalidArgumentError("scope_filter", f"must be None or a ScopeFilter, not {type(value).__name__}")
    try:  # `model_copy(update=...)` and `model_construct` check nothing
        return ScopeFilter.model_validate(vars(value))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise InvalidArgumentError("scope_filter", f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
