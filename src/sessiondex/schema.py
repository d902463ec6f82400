"""The indexes of the session store.

Each index files a session under one key. The keys of a session are computed in one place, `index_keys`, in the order
of `INDEXES`. A key is bytes: compact, invisible to the garbage collector, and with a salted hash, so that nobody can
choose ids that collide. Every key but that of `ACTIVITY` begins with the id of the tenant. Ids have 16 bytes each, and
a text that is not the last part has its length in front, so no two sets of parts make the same key.

To add an index: declare it here, add it to `INDEXES`, and return its key from `index_keys`. Table, checks and
statistics follow. `docs/how-it-works.md` lists the steps that add a query.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sessiondex.clock import MICROSECOND, to_microseconds
from sessiondex.engine.faceted import FacetedPostings, FacetFilter
from sessiondex.engine.index import Index
from sessiondex.engine.postings import Postings
from sessiondex.engine.table import IndexKeys
from sessiondex.models import Channel, SessionStatus
from sessiondex.queries import AgentQuery, ChannelQuery, ListQuery, ScenarioQuery, StepQuery

_STATUS_CODES = {status: status.value.encode() for status in SessionStatus}
_CLOSED_CODE = b"\xff"  # no length of a channel
_VERSION_SIZE = 16 + 16 + 17  # tenant, scenario, version in hexadecimal and a colon
_DAY = timedelta(days=1) // MICROSECOND

CHANNEL: Index[Postings] = Index("channel identity", ("tenant_id", "channel", "user_channel_id", "status"), Postings)
"""Open and closed sessions apart: an open one is found without a look at any number of closed ones."""
AGENT: Index[Postings] = Index("agent and status", ("tenant_id", "agent_id", "status"), Postings)
CUSTOMER: Index[Postings] = Index("customer", ("tenant_id", "customer_profile_id"), Postings)
TENANT: Index[Postings] = Index("tenant and status", ("tenant_id", "status"), Postings)
"""Shows whether a session of the tenant has a stamp."""
STEP: Index[FacetedPostings] = Index(
    "step",
    (
        "tenant_id",
        "active_scenario_id",
        "active_scenario_version",
        "step_history",
        "status",
        "channel",
        "created_at",
    ),
    lambda: FacetedPostings(group_size=_VERSION_SIZE),
)
"""Where a session stands, split by channel and node and ordered by age, as `ScopeFilter` asks."""
ACTIVITY: Index[Postings] = Index("activity", (), Postings)
"""All sessions under one key: the oldest was idle longest. Only stores that evict have it."""


class _ChannelCodes(dict[str, bytes]):
    """Maps a channel to itself with its length in front: a user's text follows, and may contain anything."""

    def __missing__(self, channel: str) -> bytes:
        return len(channel).to_bytes() + channel.encode()  # in characters, so that a byte suffices


_CHANNEL_CODES = _ChannelCodes({channel: _ChannelCodes()[channel] for channel in Channel})
INDEXES: tuple[Index[Any], ...] = (CHANNEL, AGENT, CUSTOMER, TENANT, STEP)
EVICTION_INDEXES: tuple[Index[Any], ...] = (*INDEXES, ACTIVITY)
ALL_SESSIONS = b"all"


def index_keys(values: Mapping[str, Any]) -> IndexKeys:
    """Return the key under which each index of `INDEXES` files a session with these field values, or `None`."""
    # In one function: calling one for each index takes twice as long.
    tenant = values["tenant_id"].int.to_bytes(16, "big")
    status = values["status"]
    status_code = _STATUS_CODES[status]
    user = _CHANNEL_CODES[values["channel"]] + values["user_channel_id"].encode()
    customer_id = values["customer_profile_id"]
    return (
        tenant + _CLOSED_CODE + user if status is SessionStatus.CLOSED else tenant + user,
        tenant + values["agent_id"].int.to_bytes(16, "big") + status_code,
        None if customer_id is None else tenant + customer_id.int.to_bytes(16, "big"),
        tenant + status_code,
        _step_index_key(tenant, values) if status is SessionStatus.ACTIVE and values["step_history"] else None,
    )


def eviction_index_keys(values: Mapping[str, Any]) -> IndexKeys:
    """Return the keys of `EVICTION_INDEXES`."""
    return (*index_keys(values), ALL_SESSIONS)


def _step_index_key(tenant: bytes, values: Mapping[str, Any]) -> Any:
    scenario_id, version = values["active_scenario_id"], values["active_scenario_version"]
    last = values["step_history"][-1]
    content_hash, node = last.step_content_hash, last.step_name
    if scenario_id is None or version is None or content_hash is None:
        return None
    key = _version_key(tenant, scenario_id.int.to_bytes(16, "big"), version) + content_hash.encode()
    # Plain strings: a subclass of Session may have narrowed these to a class of its own.
    node = None if node is None else str.__str__(node)
    return key, str.__str__(values["channel"]), node, to_microseconds(values["created_at"])


def _version_key(tenant: bytes, scenario: bytes, version: int) -> bytes:
    # Hexadecimal has no limit of digits: a query may ask for any integer.
    return b"%b%b%016x:" % (tenant, scenario, version)


def query_keys(query: ListQuery) -> tuple[Index[Postings], Sequence[bytes]]:
    """Return the index that answers the query, and the keys whose posting lists together are the answer."""
    tenant = query.tenant_id.bytes
    if isinstance(query, AgentQuery):
        prefix = tenant + query.agent_id.bytes
        codes = _STATUS_CODES.values() if query.status is None else (_STATUS_CODES[query.status],)
        return AGENT, [prefix + code for code in codes]
    return CUSTOMER, (tenant + query.customer_profile_id.bytes,)


def tenant_keys(tenant: bytes) -> Sequence[bytes]:
    """Return the keys of all sessions of the tenant in the index `TENANT`."""
    return [tenant + code for code in _STATUS_CODES.values()]


def step_key(query: StepQuery) -> bytes:
    """Return the key of the step in the index `STEP`."""
    key = _version_key(query.tenant_id.bytes, query.scenario_id.bytes, query.scenario_version)
    return key + query.step_content_hash.encode()


def version_key(query: ScenarioQuery) -> bytes:
    """Return what the keys of all steps of the version begin with."""
    return _version_key(query.tenant_id.bytes, query.scenario_id.bytes, query.scenario_version)


def latest_posting(postings: Postings, query: ChannelQuery) -> bytes | None:
    """Return the newest posting of the channel identity, or `None`."""
    tenant = query.tenant_id.int.to_bytes(16, "big")
    user = _CHANNEL_CODES[query.channel] + query.user_channel_id.encode()
    latest = postings.latest(tenant + user)
    if query.is_open:
        return latest
    closed = postings.latest(tenant + _CLOSED_CODE + user)
    return closed if latest is None or (closed is not None and closed > latest) else latest


def select_step(postings: FacetedPostings, query: StepQuery, now: int) -> list[bytes]:
    """Return the keys of the sessions at the step that pass the filter, unordered. `now` is in microseconds."""
    scope = query.scope_filter
    if scope is None:
        return postings.select(step_key(query))
    oldest, youngest = scope.max_session_age_days, scope.min_session_age_days
    return postings.select(
        step_key(query),
        outer=FacetFilter(scope.include_channels, scope.exclude_channels or ()),
        inner=FacetFilter(scope.include_current_nodes, scope.exclude_current_nodes or ()),
        # An age of n days, rounded down, lasts until just before n + 1 days.
        low=None if oldest is None else now - (oldest + 1) * _DAY + 1,
        high=None if youngest is None else now - youngest * _DAY,
    )
