"""Queries: one value for each kind of query, made of checked arguments."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from sessiondex.arguments import (
    check_channel,
    check_cursor,
    check_int,
    check_min,
    check_optional_scope_filter,
    check_optional_status,
    check_text,
    check_user_channel_id,
    check_uuid,
)
from sessiondex.errors import InvalidArgumentError
from sessiondex.indexed import IndexedField
from sessiondex.models import Channel, ScopeFilter, Session, SessionStatus


class TenantQuery(NamedTuple):
    """The sessions of a tenant, of one status or of any."""

    tenant_id: UUID
    status: SessionStatus | None = None


class AgentQuery(NamedTuple):
    """The sessions of an agent, of one status or of any."""

    tenant_id: UUID
    agent_id: UUID
    status: SessionStatus | None = None


class CustomerQuery(NamedTuple):
    """The sessions of a customer, of one status or of any."""

    tenant_id: UUID
    customer_profile_id: UUID
    status: SessionStatus | None = None


class ChannelQuery(NamedTuple):
    """The sessions of a channel identity: all, or those that are not closed."""

    tenant_id: UUID
    channel: Channel | str
    user_channel_id: str
    is_open: bool = False


class FieldQuery(NamedTuple):
    """The sessions that have the value in an indexed field."""

    tenant_id: UUID
    field: IndexedField
    value: Any
    """An item of the field, as it is compared."""
    key: bytes
    """The key of the item."""


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
    """Up to `limit` sessions with stamps before `before` and after `after`, in microseconds."""

    limit: int
    before: int | None = None
    after: int | None = None


class Expected(NamedTuple):
    """The version that a save replaces. A revision alone does not identify one that was deleted and saved again."""

    revision: int
    generation: Hashable = None
    """The generation of the version that was read. A session that is deleted and saved again gets another one."""


# Makes the same tuple as the class itself does, without a call of Python, in 60 % of the time.
_new_tuple = tuple.__new__

ListQuery: TypeAlias = TenantQuery | AgentQuery | CustomerQuery | ChannelQuery | FieldQuery
LatestQuery: TypeAlias = ChannelQuery | FieldQuery
CountQuery: TypeAlias = ListQuery | StepQuery


def tenant_query(tenant_id: UUID, status: SessionStatus | None = None) -> TenantQuery:
    """Check the arguments of a query by tenant."""
    return TenantQuery(check_uuid("tenant_id", tenant_id), check_optional_status(status))


def agent_query(tenant_id: UUID, agent_id: UUID, status: SessionStatus | None) -> AgentQuery:
    """Check the arguments of a query by agent."""
    return AgentQuery(
        check_uuid("tenant_id", tenant_id), check_uuid("agent_id", agent_id), check_optional_status(status)
    )


def customer_query(tenant_id: UUID, customer_profile_id: UUID, status: SessionStatus | None = None) -> CustomerQuery:
    """Check the arguments of a query by customer."""
    status = None if status is None else check_optional_status(status)
    ids = check_uuid("tenant_id", tenant_id), check_uuid("customer_profile_id", customer_profile_id)
    return _new_tuple(CustomerQuery, (*ids, status))


def channel_query(
    tenant_id: UUID, channel: Channel | str, user_channel_id: str, *, is_open: bool = False
) -> ChannelQuery:
    """Check the arguments of a query by channel identity."""
    # Common types are recognised here, without a call for each: this is a third of the cost of a lookup.
    if type(tenant_id) is not UUID:
        tenant_id = check_uuid("tenant_id", tenant_id)
    if type(channel) is not Channel:
        channel = check_channel(channel)
    if not (
        type(user_channel_id) is str and user_channel_id.isascii() and user_channel_id and "\0" not in user_channel_id
    ):
        user_channel_id = check_user_channel_id(user_channel_id)
    return _new_tuple(ChannelQuery, (tenant_id, channel, user_channel_id, is_open))


def field_query(tenant_id: UUID, field: IndexedField, value: object) -> FieldQuery:
    """Check the arguments of a query by an indexed field."""
    item = field.check_item(value)
    return FieldQuery(check_uuid("tenant_id", tenant_id), field, item, field.key_of(item))


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


def check_page(limit: int, before: datetime | None, after: datetime | None) -> Page:
    """Return the page, its cursors in microseconds."""
    limit = check_min("limit", limit, 0, "0 gives an empty list")
    if before is None and after is None:
        return _new_tuple(Page, (limit, None, None))
    return Page(limit, check_cursor("before", before), check_cursor("after", after))


def check_expected(revision: int, name: str = "expected_revision") -> Expected:
    """Return what a save expects."""
    return Expected(check_min(name, revision, 0, "0 expects that there is no session yet"))


def check_all_expected(revisions: Sequence[int | None] | None, count: int) -> list[Expected | None] | None:
    """Return what a save of `count` sessions expects of each."""
    if revisions is None:
        return None
    given: object = revisions
    if not isinstance(given, Sequence) or isinstance(given, str | bytes) or len(given) != count:
        raise InvalidArgumentError("expected_revisions", f"must be a list of {count}, one for each of the sessions")
    return [None if one is None else check_expected(one, "expected_revisions") for one in revisions]


def check_identity(session: object, identity: ChannelQuery) -> None:
    """Check that `create` returned an open session of the channel identity."""
    if not isinstance(session, Session):
        raise InvalidArgumentError("create", f"must return a session, not {type(session).__name__}")
    names = ("tenant_id", "channel", "user_channel_id")
    if any(getattr(session, name, None) != getattr(identity, name) for name in names):
        raise InvalidArgumentError(
            "create", "must return a session of the tenant, channel and user that it was called for"
        )
    if getattr(session, "status", None) == SessionStatus.CLOSED:
        raise InvalidArgumentError("create", "must not return a closed session; no query would find it open")
