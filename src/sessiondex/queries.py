"""Queries: one value for each kind of query, and the checks of all arguments.

Each check names the argument and says what to do. Ids and texts of subclasses are converted to plain ones: database
drivers return such.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple, TypeAlias, TypeVar
from uuid import UUID

from pydantic import BaseModel, ValidationError

from sessiondex.clock import to_datetime, to_microseconds
from sessiondex.errors import InvalidArgumentError, InvalidSessionError, add_position_note
from sessiondex.models import Channel, ScopeFilter, Session, SessionStatus, check_user_channel_id, in_utc
from sessiondex.models import check_channel as check_channel_name

T = TypeVar("T")

MAX_RESTORED_STAMP = 2**53 - 1
"""In microseconds, and as many revisions: a server counts them exactly up to here, in the year 2255."""
_MAX_SECONDS = 100 * 366 * 86_400.0


class AgentQuery(NamedTuple):
    """The sessions of an agent, of one status or of any."""

    tenant_id: UUID
    agent_id: UUID
    status: SessionStatus | None


class CustomerQuery(NamedTuple):
    """The sessions of a customer."""

    tenant_id: UUID
    customer_profile_id: UUID


class ChannelQuery(NamedTuple):
    """The latest session of a channel identity: of all, or of those that are not closed."""

    tenant_id: UUID
    channel: Channel | str
    user_channel_id: str
    is_open: bool


class StepQuery(NamedTuple):
    """The active sessions at a step that pass a filter."""

    tenant_id: UUID
    scenario_id: UUID
    scenario_version: int
    step_content_hash: str
    scope_filter: ScopeFilter | None


class ScenarioQuery(NamedTuple):
    """The active sessions in a version of a scenario."""

    tenant_id: UUID
    scenario_id: UUID
    scenario_version: int


class Page(NamedTuple):
    """Up to `limit` sessions with stamps before `before`, in microseconds."""

    limit: int
    before: int | None


class Expected(NamedTuple):
    """The version that a save replaces. A revision alone does not identify one that was deleted and saved anew."""

    revision: int
    stamp: int | None = None


ListQuery: TypeAlias = AgentQuery | CustomerQuery
CountQuery: TypeAlias = AgentQuery | CustomerQuery | StepQuery


def agent_query(tenant_id: UUID, agent_id: UUID, status: SessionStatus | None) -> AgentQuery:
    """Check the arguments of a query by agent."""
    return AgentQuery(
        check_uuid("tenant_id", tenant_id), check_uuid("agent_id", agent_id), check_optional_status(status)
    )


def customer_query(tenant_id: UUID, customer_profile_id: UUID) -> CustomerQuery:
    """Check the arguments of a query by customer."""
    return CustomerQuery(check_uuid("tenant_id", tenant_id), check_uuid("customer_profile_id", customer_profile_id))


def channel_query(tenant_id: UUID, channel: Channel | str, user_channel_id: str, *, is_open: bool) -> ChannelQuery:
    """Check the arguments of a query by channel identity."""
    # Common types are recognised here, without a call for each: this is a third of the cost of a lookup.
    if type(tenant_id) is not UUID:
        tenant_id = check_uuid("tenant_id", tenant_id)
    if type(channel) is not Channel:
        channel = _check_channel(channel)
    if not (
        type(user_channel_id) is str and user_channel_id.isascii() and user_channel_id and "\0" not in user_channel_id
    ):
        user_channel_id = _check_user_channel_id(user_channel_id)
    return ChannelQuery(tenant_id, channel, user_channel_id, is_open)


def scenario_query(tenant_id: UUID, scenario_id: UUID, scenario_version: int) -> ScenarioQuery:
    """Check the arguments of a query by scenario."""
    return ScenarioQuery(
        check_uuid("tenant_id", tenant_id),
        check_uuid("scenario_id", scenario_id),
        check_int("scenario_version", scenario_version),
    )


def step_query(
    tenant_id: UUID, scenario_id: UUID, scenario_version: int, content_hash: str, scope_filter: ScopeFilter | None
) -> StepQuery:
    """Check the arguments of a query by step."""
    scenario = scenario_query(tenant_id, scenario_id, scenario_version)
    content_hash = check_text("step_content_hash", content_hash)
    return StepQuery(*scenario, content_hash, check_optional_scope_filter(scope_filter))


def check_page(limit: int, before: datetime | None) -> Page:
    """Return the page, its cursor in microseconds."""
    limit = check_min("limit", limit, 0, "0 gives an empty list")
    return Page(limit, None if before is None else _check_cursor(before))


def check_batch_size(name: str, value: int) -> int:
    return check_min(name, value, 1, "some hundred is a good size")


def check_expected(revision: int) -> Expected:
    return Expected(check_min("expected_revision", revision, 0, "0 expects that there is no session yet"))


def check_optional_sequence(since: int | None) -> int | None:
    return None if since is None else check_min("since", since, 0, "0 follows from the first change on")


def check_uuid(name: str, value: object) -> UUID:
    if type(value) is UUID:
        return value
    if isinstance(value, UUID):
        return UUID(bytes=value.bytes)
    raise InvalidArgumentError(name, f"must be a uuid.UUID, not {type(value).__name__}; convert it with UUID(...)")


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


def _check_channel(value: object) -> Channel | str:
    text = check_text("channel", value)
    try:
        return check_channel_name(text)
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


def _check_cursor(value: object) -> int:
    if not isinstance(value, datetime):
        raise InvalidArgumentError("before", f"must be None or a datetime, not {type(value).__name__}")
    if value.utcoffset() is None:
        raise InvalidArgumentError("before", "must be an aware datetime, such as the last_activity_at of a session")
    try:
        return to_microseconds(in_utc(value))
    except ValueError as error:
        raise InvalidArgumentError("before", str(error)) from None


def _check_user_channel_id(value: object) -> str:
    text = check_text("user_channel_id", value)
    try:
        return check_user_channel_id(text)
    except ValueError as error:
        raise InvalidArgumentError("user_channel_id", str(error)) from None


def check_same_session(session: object, session_id: UUID, tenant_id: UUID) -> None:
    if not isinstance(session, Session):
        raise InvalidArgumentError("change", f"must return None or a session, not {type(session).__name__}")
    if (getattr(session, "session_id", None), getattr(session, "tenant_id", None)) != (session_id, tenant_id):
        raise InvalidArgumentError("change", "must not change session_id or tenant_id; save another session instead")


def check_identity(session: object, identity: ChannelQuery) -> None:
    if not isinstance(session, Session):
        raise InvalidArgumentError("create", f"must return a session, not {type(session).__name__}")
    names = ("tenant_id", "channel", "user_channel_id")
    if any(getattr(session, name, None) != getattr(identity, name) for name in names):
        raise InvalidArgumentError(
            "create", "must return a session of the tenant, channel and user that it was called for"
        )
    if getattr(session, "status", None) == SessionStatus.CLOSED:
        raise InvalidArgumentError("create", "must not return a closed session; no query would find it open")


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
    stamp = to_microseconds(in_utc(last)) if isinstance(last, datetime) and last.utcoffset() is not None else -1
    if not 0 <= stamp <= MAX_RESTORED_STAMP:
        year = to_datetime(MAX_RESTORED_STAMP).year
        reason = f"must be an aware datetime, of the last save, until the year {year}; save() sets it"
        raise InvalidSessionError("last_activity_at", reason)
    if type(revision) is not int or not 1 <= revision <= MAX_RESTORED_STAMP:
        raise InvalidSessionError(
            "revision", f"must be from 1 to {MAX_RESTORED_STAMP}, of the last save; save() sets it"
        )
    return stamp, revision
