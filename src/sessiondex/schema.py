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

from sessiondex.clock import MICROSECOND, microseconds
from sessiondex.engine.facets import Choice, FacetedEntry, FacetedPostings
from sessiondex.engine.index import Index
from sessiondex.engine.postings import KEY_SIZE, Postings
from sessiondex.engine.table import Entries, Record
from sessiondex.models import Channel, ScopeFilter, Session, SessionStatus

_CHANNEL_CODES = {channel: channel.value.encode() + b"\0" for channel in Channel}
_STATUS_CODES = {status: status.value.encode() for status in SessionStatus}
_CLOSED_CODE = b"closed "
_DAY = timedelta(days=1) // MICROSECOND


# Ids come as bytes: several entries begin with the tenant's, and to make bytes of a UUID takes longer than the rest.
def channel_entry(tenant: bytes, channel: Channel, user_channel_id: str, *, is_open: bool) -> bytes:
    # Open and closed apart, or else the open one would have to be looked for among all those that are closed.
    user = _CHANNEL_CODES[channel] + user_channel_id.encode()
    return tenant + user if is_open else tenant + _CLOSED_CODE + user


def channel_entry_by_status(tenant: bytes, channel: Channel, user_channel_id: str, status: SessionStatus) -> bytes:
    return channel_entry(tenant, channel, user_channel_id, is_open=status != SessionStatus.CLOSED)


def agent_entry(tenant: bytes, agent: bytes, status: SessionStatus | None = None) -> bytes:
    """Where the agent's sessions are filed: all of them, or in another index, those of one status."""
    return tenant + agent if status is None else tenant + agent + _STATUS_CODES[status]


def customer_entry(tenant: bytes, customer: bytes) -> bytes:
    return tenant + customer


def customer_entry_if_known(tenant: bytes, customer: bytes | None) -> bytes | None:
    return None if customer is None else customer_entry(tenant, customer)


def scenario_key(tenant: bytes, scenario: bytes, scenario_version: int) -> bytes:
    """What the keys of all steps of that version begin with: `_SCENARIO_SIZE` bytes, for versions that there can be."""
    # In hexadecimal, which has no limit of digits: what is asked for need not exist.
    return b"%b%b%016x:" % (tenant, scenario, scenario_version)


def step_key(tenant: bytes, scenario: bytes, scenario_version: int, step_content_hash: str) -> bytes:
    return scenario_key(tenant, scenario, scenario_version) + step_content_hash.encode()


def step_entry(  # noqa: PLR0917  # an argument for each value that it looks at, in their order
    tenant: bytes,
    scenario: bytes | None,
    scenario_version: int | None,
    step_content_hash: str | None,
    step_name: str | None,
    status: SessionStatus,
    channel: Channel,
    created_at: datetime,
) -> FacetedEntry | None:
    """The step where a session stands, split by channel and node and ordered by age: what `ScopeFilter` asks about."""
    if status != SessionStatus.ACTIVE or scenario is None or scenario_version is None or step_content_hash is None:
        return None
    key = step_key(tenant, scenario, scenario_version, step_content_hash)
    # Exact strings, whatever a subclass of Session has narrowed these to.
    node = None if step_name is None else str.__str__(step_name)
    return key, str.__str__(channel), node, microseconds(created_at)


FIELDS = (
    "tenant",
    "agent",
    "channel",
    "user_channel_id",
    "customer",
    "status",
    "scenario",
    "scenario_version",
    "created_at",
    "step_content_hash",
    "step_name",
)
"""What indexes look at: nine fields of the session, ids as their bytes, and two of its last visit."""

_looked_at = attrgetter(
    "tenant_id",
    "agent_id",
    "channel",
    "user_channel_id",
    "customer_profile_id",
    "status",
    "active_scenario_id",
    "active_scenario_version",
    "created_at",
)


def record_of(session: Session) -> Record:
    """Return the values of `FIELDS`: plain ones, whose equality can be trusted, whatever users make of visits."""
    tenant_id, agent_id, channel, user_channel_id, customer_id, status, scenario_id, version, created = _looked_at(
        session
    )
    return (
        tenant_id.bytes,
        agent_id.bytes,
        channel,
        user_channel_id,
        None if customer_id is None else customer_id.bytes,
        status,
        None if scenario_id is None else scenario_id.bytes,
        version,
        created,
        *_last_step(session),
    )


def _last_step(session: Session) -> tuple[str | None, str | None]:
    history = session.step_history
    if not history:
        return None, None
    last = history[-1]
    return last.step_content_hash, last.step_name


def has_same_record(session: Session, other: Session) -> bool:
    """Whether the two have the same record, told at half the cost of making one."""
    return _looked_at(session) == _looked_at(other) and _last_step(session) == _last_step(other)


_SCENARIO_SIZE = len(scenario_key(b"\0" * KEY_SIZE, b"\0" * KEY_SIZE, 0))

CHANNEL: Index[Postings] = Index(
    "channel identity", ("tenant", "channel", "user_channel_id", "status"), channel_entry_by_status, Postings
)
AGENT: Index[Postings] = Index("agent", ("tenant", "agent"), agent_entry, Postings)
AGENT_STATUS: Index[Postings] = Index("agent and status", ("tenant", "agent", "status"), agent_entry, Postings)
CUSTOMER: Index[Postings] = Index("customer", ("tenant", "customer"), customer_entry_if_known, Postings)
STEP: Index[FacetedPostings] = Index(
    "step",
    (
        "tenant",
        "scenario",
        "scenario_version",
        "step_content_hash",
        "step_name",
        "status",
        "channel",
        "created_at",
    ),
    step_entry,
    lambda: FacetedPostings(group_size=_SCENARIO_SIZE),
)
EVERYTHING = b"all"
ACTIVITY: Index[Postings] = Index("activity", ("tenant", "agent"), lambda _tenant, _agent: EVERYTHING, Postings)
"""All sessions under one key. Tells which was idle longest, so only stores that let go of idle ones have it."""

INDEXES = (CHANNEL, AGENT, AGENT_STATUS, CUSTOMER, STEP)
"""Those that every store has, in the order of a row's entries."""

_AGENT_POSITION = INDEXES.index(AGENT)


def belongs_to(entries: Entries, tenant: bytes) -> bool:
    """Whether a row with these entries is the tenant's: told by its agent entry, without a look at the session."""
    of_agent: bytes = entries[_AGENT_POSITION]
    return of_agent.startswith(tenant)


def tenant_of(entries: Entries) -> bytes:
    """Return the 16 bytes of the tenant that a row with these entries belongs to."""
    of_agent: bytes = entries[_AGENT_POSITION]
    return of_agent[:KEY_SIZE]


def latest_by_channel(
    postings: Postings, tenant: bytes, channel: Channel, user_channel_id: str, *, is_open: bool
) -> bytes | None:
    """Return the newest item of that identity: of those that are not closed if `is_open`, else of all."""
    user = _CHANNEL_CODES[channel] + user_channel_id.encode()  # once for both: this is a good part of a read
    latest = postings.latest(tenant + user)
    if is_open:
        return latest
    closed = postings.latest(tenant + _CLOSED_CODE + user)
    return closed if latest is None or (closed is not None and closed > latest) else latest


def select_step(postings: FacetedPostings, step: bytes, scope_filter: ScopeFilter | None, now: datetime) -> list[bytes]:
    """Return the keys of the sessions at the step that pass the filter, in no order."""
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
