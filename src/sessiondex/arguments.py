"""Check the arguments of the public methods.

Each check names the argument and says what to do. Ids and texts of subclasses are converted to plain ones: database
drivers return such.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar
from urllib.parse import parse_qsl
from uuid import UUID

from pydantic import BaseModel, ValidationError

from sessiondex import models
from sessiondex.clock import to_datetime, to_microseconds
from sessiondex.errors import InvalidArgumentError, InvalidSessionError, add_position_note
from sessiondex.models import Channel, ScopeFilter, Session, SessionStatus

T = TypeVar("T")

MAX_RESTORED_STAMP = 2**53 - 1
"""In microseconds, and as many revisions: a server counts them exactly up to here, in the year 2255."""
_MAX_SECONDS = 100 * 366 * 86_400.0


def check_batch_size(name: str, value: int) -> int:
    return check_min(name, value, 1, "some hundred is a good size")


def check_optional_sequence(since: int | None) -> int | None:
    return None if since is None else check_min("since", since, 0, "0 follows from the first change on")


def check_uuid(name: str, value: object) -> UUID:
    if type(value) is UUID:
        return value
    if isinstance(value, UUID):
        return UUID(bytes=value.bytes)
    raise InvalidArgumentError(name, f"must be a uuid.UUID, not {type(value).__name__}{_uuid_advice(name, value)}")


def _uuid_advice(name: str, value: object) -> str:
    field = name.removesuffix("s")  # of `session_ids`, one
    if isinstance(value, Session) and field in Session.model_fields:
        return f"; give its {field}"
    if isinstance(value, Awaitable):
        return "; await it"
    return "; convert it with UUID(...), or map any text with uuid5()" if isinstance(value, str) else ""


def check_optional_uuid(name: str, value: UUID | None) -> UUID | None:
    return None if value is None else check_uuid(name, value)


def check_int(name: str, value: object) -> int:
    if type(value) is int:
        return value
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidArgumentError(name, f"must be an int, not {type(value).__name__}")
    return int(value)


def check_min(name: str, value: int, minimum: int, hint: str) -> int:
    value = check_int(name, value)
    if value < minimum:
        bound = f"must be at least {minimum}" if minimum else "must not be negative"
        raise InvalidArgumentError(name, f"{bound}; {hint}")
    return value


def check_bool(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise InvalidArgumentError(name, f"must be True or False, not {type(value).__name__}")


def check_text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidArgumentError(name, f"must be a str, not {type(value).__name__}")
    text = str.__str__(value)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidArgumentError(name, "has a lone surrogate; decode it with errors='replace'") from None
    return text


def check_parameters(url: str, known: Sequence[str]) -> None:
    """Check that the URL has no other parameters than these."""
    # By hand: where `urlunsplit` has lost a slash of an absolute path, `urlsplit` may refuse what is left.
    rest = url.partition("?")[2]
    for name, _ in parse_qsl(rest.partition("#")[0], keep_blank_values=True):
        if name not in known:
            # Behind a "?" that is not percent-encoded, the name may be a part of the password.
            fault = "an unknown parameter; percent-encode the password" if "@" in rest else f"no parameter {name!r}"
            raise InvalidArgumentError("url", f"has {fault}; there are {', '.join(known)}")


def check_iterable(name: str, value: Iterable[T], singular: str) -> Iterable[T]:
    given: object = value
    if isinstance(given, AsyncIterable):
        instead = "load() takes one" if singular == "save" else "collect the ids in a list first"
        raise InvalidArgumentError(name, f"must not be an asynchronous iterable; {instead}")
    # A session and a text can be iterated over, but never on purpose.
    if not isinstance(given, Iterable) or isinstance(given, BaseModel | str | bytes):
        raise InvalidArgumentError(
            name, f"must be an iterable, not {type(value).__name__}; for a single one, {singular}()"
        )
    return value


def check_ids(session_ids: Iterable[UUID], singular: str) -> list[UUID]:
    return [check_uuid("session_ids", one) for one in check_iterable("session_ids", session_ids, singular)]


def check_any_iterable(name: str, value: Iterable[T] | AsyncIterable[T]) -> Iterable[T] | AsyncIterable[T]:
    return value if isinstance(value, AsyncIterable) else check_iterable(name, value, "save")


def check_callable(name: str, value: object) -> None:
    if not callable(value):
        raise InvalidArgumentError(name, f"must be callable, not {type(value).__name__}")


def check_seconds(name: str, value: float | None) -> None:
    given: object = value
    if value is None:
        return
    if not isinstance(given, int | float) or isinstance(given, bool):
        raise InvalidArgumentError(name, f"must be None or a number of seconds, not {type(value).__name__}")
    if not value >= 0:  # nan included
        raise InvalidArgumentError(name, "must not be negative; None waits without a limit")
    if value > _MAX_SECONDS:
        raise InvalidArgumentError(name, "is longer than a century; None waits without a limit")


def check_idle_ttl(value: timedelta | None) -> None:
    if value is None:
        return
    if not isinstance(value, timedelta):
        raise InvalidArgumentError("idle_ttl", f"must be None or a timedelta, not {type(value).__name__}")
    if value <= timedelta(0):
        raise InvalidArgumentError("idle_ttl", "must be longer than nothing; None keeps idle sessions for ever")


def check_duration(name: str, value: object, minimum: timedelta) -> None:
    if not isinstance(value, timedelta) or value < minimum:
        raise InvalidArgumentError(name, f"must be a timedelta of at least {minimum.total_seconds()} s")


def check_channel(value: object) -> Channel | str:
    text = check_text("channel", value)
    try:
        return models.check_channel(text)
    except ValueError as error:
        raise InvalidArgumentError("channel", str(error)) from None


def check_optional_status(value: str | None) -> SessionStatus | None:
    try:
        return None if value is None else SessionStatus(value)
    except (ValueError, RecursionError):  # the enum's own error prints the value, which may be a very deep list
        raise InvalidArgumentError("status", f"must be None or one of {', '.join(SessionStatus)}") from None


def check_optional_scope_filter(value: object) -> ScopeFilter | None:
    if value is None:
        return None
    if not isinstance(value, ScopeFilter):
        raise InvalidArgumentError("scope_filter", f"must be None or a ScopeFilter, not {type(value).__name__}")
    try:  # `model_copy(update=...)` and `model_construct` validate nothing
        return ScopeFilter.model_validate(vars(value))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise InvalidArgumentError("scope_filter", f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def parse_id_cursor(value: str) -> UUID:
    """Return the id that a cursor of `export` holds."""
    try:
        return UUID(hex=check_text("cursor", value))
    except ValueError:
        raise InvalidArgumentError("cursor", "must be one that export() of this store returned") from None


def check_cursor(name: str, value: object) -> int | None:
    """Return the cursor in microseconds."""
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise InvalidArgumentError(name, f"must be None or a datetime, not {type(value).__name__}")
    if value.utcoffset() is None:
        raise InvalidArgumentError(name, "must be an aware datetime, such as the last_activity_at of a session")
    try:
        return to_microseconds(models.in_utc(value))
    except ValueError as error:
        raise InvalidArgumentError(name, str(error)) from None


def check_user_channel_id(value: object) -> str:
    if isinstance(value, Channel):  # a text too, so type checkers take exchanged arguments
        raise InvalidArgumentError("user_channel_id", "must be an id, not a Channel; the channel comes before it")
    text = check_text("user_channel_id", value)
    try:
        return models.check_user_channel_id(text)
    except ValueError as error:
        raise InvalidArgumentError("user_channel_id", str(error)) from None


def check_same_session(callback: str, session: object, session_id: UUID, tenant_id: UUID | None) -> None:
    """Check what `change` or `create` returned; `tenant_id` may be any if it is `None`."""
    if not isinstance(session, Session):
        none_or = "None or " if callback == "change" else ""
        raise InvalidArgumentError(callback, f"must return {none_or}a session, not {type(session).__name__}")
    owner = getattr(session, "tenant_id", None)
    if getattr(session, "session_id", None) != session_id or tenant_id not in (None, owner):
        advice = "must not change session_id or tenant_id; save another session instead"
        if callback == "create":
            advice = "must return a session of the session_id and tenant_id that update() was called for"
        raise InvalidArgumentError(callback, advice)


def check_versions(sessions: Iterable[T]) -> list[tuple[T, int, int]]:
    """Return each session with its stamp and revision.

    Raises:
        InvalidSessionError: a session was never saved; a note has its position.
    """
    versions = []
    for position, session in enumerate(check_iterable("sessions", sessions, "save")):
        try:
            versions.append((session, *_saved_version(session)))
        except InvalidSessionError as error:
            add_position_note(error, position)
            raise
    return versions


def _saved_version(session: object) -> tuple[int, int]:
    last, revision = getattr(session, "last_activity_at", None), getattr(session, "revision", None)
    stamp = to_microseconds(models.in_utc(last)) if isinstance(last, datetime) and last.utcoffset() is not None else -1
    if not 0 <= stamp <= MAX_RESTORED_STAMP:
        year = to_datetime(MAX_RESTORED_STAMP).year
        reason = f"must be an aware datetime, of the last save, until the year {year}; save() sets it"
        raise InvalidSessionError("last_activity_at", reason)
    if type(revision) is not int or not 1 <= revision <= MAX_RESTORED_STAMP:
        raise InvalidSessionError(
            "revision", f"must be from 1 to {MAX_RESTORED_STAMP}, of the last save; save() sets it"
        )
    return stamp, revision
