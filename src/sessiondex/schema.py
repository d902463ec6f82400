"""The session store's indexes, declared in one table.

An entry is bytes where one value will do: compact, invisible to the garbage collector, and with a salted hash, so that
nobody can choose ids that collide. Ids have 16 bytes each, so entries that begin with ids are unambiguous without
separators.

To add an index: its declaration here, and a method in the contract and in the stores that asks it. The table, its check
and the tests' teardown follow the declaration.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any
from uuid import UUID

from sessiondex.clock import MICROSECOND, microseconds
from sessiondex.engine.facets import Choice, FacetedEntry, FacetedPostings
from sessiondex.engine.index import Index
from sessiondex.engine.postings import Postings
from sessiondex.engine.table import Entries, Record
from sessiondex.models import Channel, ScopeFilter, Session, SessionStatus

_CHANNEL_CODES = {channel: channel.value.encode() + b"\0" for channel in Channel}
_STATUS_CODES = {status: status.value.encode() for status in SessionStatus}
_DAY = timedelta(days=1) // MICROSECOND


def channel_entry(tenant_id: UUID, channel: Channel, user_channel_id: str) -> bytes:
    return tenant_id.bytes + _CHANNEL_CODES[channel] + user_channel_id.encode()


def agent_entry(tenant_id: UUID, agent_id: UUID) -> bytes:
    return tenant_id.bytes + agent_id.bytes


def agent_status_entry(tenant_id: UUID, agent_id: UUID, status: SessionStatus) -> bytes:
    return tenant_id.bytes + agent_id.bytes + _STATUS_CODES[status]


def customer_entry(tenant_id: UUID, customer_profile_id: UUID) -> bytes:
    return tenant_id.bytes + customer_profile_id.bytes


def customer_entry_if_known(tenant_id: UUID, customer_profile_id: UUID | None) -> bytes | None:
    return None if customer_profile_id is None else customer_entry(tenant_id, customer_profile_id)


def step_key(tenant_id: UUID, scenario_id: UUID, scenario_version: int, step_content_hash: str) -> bytes:
    # In hexadecimal, which has no limit of digits.
    return b"%b%b%x:%b" % (tenant_id.bytes, scenario_id.bytes, scenario_version, step_content_hash.encode())


def step_entry(  # noqa: PLR0917  # an argument for each value that it looks at, in their order
    tenant_id: UUID,
    scenario_id: UUID | None,
    scenario_version: int | None,
    step_content_hash: str | None,
    step_name: str | None,
    status: SessionStatus,
    channel: Channel,
    created_at: datetime,
) -> FacetedEntry | None:
    """The step where a session stands, split by channel and node and ordered by age: what `ScopeFilter` asks about."""
    if status != SessionStatus.ACTIVE or scenario_id is None or scenario_version is None or step_content_hash is None:
        return None
    key = step_key(tenant_id, scenario_id, scenario_version, step_content_hash)
    return key, str(channel), step_name, microseconds(created_at)


FIELDS = (
    "tenant_id",
    "agent_id",
    "channel",
    "user_channel_id",
    "customer_profile_id",
    "status",
    "active_scenario_id",
    "active_scenario_version",
    "created_at",
    "step_content_hash",
    "step_name",
)
"""What indexes look at: nine fields of the session and two of its last visit."""

_fields_of_session = attrgetter(*FIELDS[:9])


def record_of(session: Session) -> Record:
    """Return the values of `FIELDS`: plain ones, whose equality can be trusted, whatever users make of visits."""
    history = session.step_history
    if not history:
        return (*_fields_of_session(session), None, None)
    last = history[-1]
    return (*_fields_of_session(session), last.step_content_hash, last.step_name)


CHANNEL: Index[Postings[bytes]] = Index(
    "channel identity", ("tenant_id", "channel", "user_channel_id"), channel_entry, Postings
)
AGENT: Index[Postings[bytes]] = Index("agent", ("tenant_id", "agent_id"), agent_entry, Postings)
AGENT_STATUS: Index[Postings[bytes]] = Index(
    "agent and status", ("tenant_id", "agent_id", "status"), agent_status_entry, Postings
)
CUSTOMER: Index[Postings[bytes]] = Index(
    "customer", ("tenant_id", "customer_profile_id"), customer_entry_if_known, Postings
)
STEP: Index[FacetedPostings] = Index(
    "step",
    (
        "tenant_id",
        "active_scenario_id",
        "active_scenario_version",
        "step_content_hash",
        "step_name",
        "status",
        "channel",
        "created_at",
    ),
    step_entry,
    FacetedPostings,
)

INDEXES = (CHANNEL, AGENT, AGENT_STATUS, CUSTOMER, STEP)
"""All of them, in the order of a row's entries."""

_AGENT_POSITION = INDEXES.index(AGENT)


def belongs_to(entries: Entries, tenant_id: UUID) -> bool:
    """Whether a row with these entries is the tenant's: told by its agent entry, without a look at the session."""
    of_agent: Any = entries[_AGENT_POSITION]
    return bool(of_agent.startswith(tenant_id.bytes))


def select_step(postings: FacetedPostings, step: bytes, scope_filter: ScopeFilter | None, now: datetime) -> list[int]:
    """Return the stamps of the sessions at the step that pass the filter, newest first."""
    if scope_filter is None:
        return postings.select(step)
    oldest, youngest = scope_filter.max_session_age_days, scope_filter.min_session_age_days
    instant = microseconds(now)
    return postings.select(
        step,
        outer=Choice(scope_filter.include_channels, scope_filter.exclude_channels or ()),
        inner=Choice(scope_filter.include_current_nodes, scope_filter.exclude_current_nodes or ()),
        # An age of `oldest` days, rounded down, lasts until just before it is a day more.
        low=None if oldest is None else instant - (oldest + 1) * _DAY + 1,
        high=None if youngest is None else instant - youngest * _DAY,
    )
