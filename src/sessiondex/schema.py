"""The session store's indexes, declared in one table.

An entry is bytes where one value will do: compact, invisible to the garbage collector, and with a salted hash, so that
nobody can choose ids that collide. Ids have 16 bytes each, so entries that begin with ids are unambiguous without
separators.

To add an index: a line in `INDEXES` here, and a method in the contract that asks it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from sessiondex.clock import MICROSECOND, microseconds
from sessiondex.engine.facets import Choice, FacetedEntry, FacetedPostings
from sessiondex.engine.index import Index
from sessiondex.engine.postings import Postings
from sessiondex.engine.table import Entries
from sessiondex.models import Channel, ScopeFilter, Session, SessionStatus

_CHANNEL_CODES = {channel: channel.value.encode() + b"\0" for channel in Channel}
_STATUS_CODES = {status: status.value.encode() for status in SessionStatus}
_DAY = timedelta(days=1) // MICROSECOND


# -- the entries that queries name --


def channel_entry(tenant_id: UUID, channel: Channel, user_channel_id: str) -> bytes:
    return tenant_id.bytes + _CHANNEL_CODES[channel] + user_channel_id.encode()


def agent_entry(tenant_id: UUID, agent_id: UUID) -> bytes:
    return tenant_id.bytes + agent_id.bytes


def agent_status_entry(tenant_id: UUID, agent_id: UUID, status: SessionStatus) -> bytes:
    return tenant_id.bytes + agent_id.bytes + _STATUS_CODES[status]


def customer_entry(tenant_id: UUID, customer_profile_id: UUID) -> bytes:
    return tenant_id.bytes + customer_profile_id.bytes


def step_entry(tenant_id: UUID, scenario_id: UUID, scenario_version: int, step_content_hash: str) -> bytes:
    return b"%b%b%d:%b" % (tenant_id.bytes, scenario_id.bytes, scenario_version, step_content_hash.encode())


# -- the entries of a session --


def _of_customer(session: Session) -> bytes | None:
    if session.customer_profile_id is None:
        return None
    return customer_entry(session.tenant_id, session.customer_profile_id)


def _of_step(session: Session) -> FacetedEntry | None:
    """The step, split by channel and node, by age: what `ScopeFilter` asks about."""
    scenario_id, version = session.active_scenario_id, session.active_scenario_version
    if session.status is not SessionStatus.ACTIVE or scenario_id is None or version is None:
        return None
    last = session.step_history[-1] if session.step_history else None
    if last is None or last.step_content_hash is None:
        return None
    step = step_entry(session.tenant_id, scenario_id, version, last.step_content_hash)
    return step, session.channel.value, last.step_name, microseconds(session.created_at)


CHANNEL: Index[Session, Postings[bytes]] = Index(
    "channel identity",
    lambda session: channel_entry(session.tenant_id, session.channel, session.user_channel_id),
    Postings,
)
AGENT: Index[Session, Postings[bytes]] = Index(
    "agent", lambda session: agent_entry(session.tenant_id, session.agent_id), Postings
)
AGENT_STATUS: Index[Session, Postings[bytes]] = Index(
    "agent and status",
    lambda session: agent_status_entry(session.tenant_id, session.agent_id, session.status),
    Postings,
)
CUSTOMER: Index[Session, Postings[bytes]] = Index("customer", _of_customer, Postings)
STEP: Index[Session, FacetedPostings] = Index("step", _of_step, FacetedPostings)

INDEXES = (CHANNEL, AGENT, AGENT_STATUS, CUSTOMER, STEP)
"""All of them, in the order of a row's entries."""

_AGENT_POSITION = INDEXES.index(AGENT)


def belongs_to(entries: Entries, tenant_id: UUID) -> bool:
    """Whether a row with these entries is the tenant's: told by its agent entry, without a look at the session."""
    return cast("bytes", entries[_AGENT_POSITION]).startswith(tenant_id.bytes)


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
