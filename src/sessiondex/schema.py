"""The indexes of sessions: under which keys each files a session, and under which keys a query finds its answer.

An index files a session under zero or more keys. A query names keys of one index, and the union of what is filed there
is its answer. Both are declared here, once: stores in memory file under these keys, and servers name sorted sets by
them. A key is bytes (of a step, with its facets; of own fields, one for each item): compact, invisible to the garbage
collector, and with a salted hash, so that nobody can choose ids that collide. Every key but that of `ACTIVITY` begins
with the id of the tenant. Ids have 16 bytes each, and a text that is not the last part has its length in front, so no
two sets of parts make the same key.

To add an index: declare it here, add it to `INDEXES`, return its key from `index_keys`, and its lookup from
`lookup`. Table, server, checks and statistics follow. `docs/how-it-works.md` lists the steps that add a query.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from sessiondex.clock import to_microseconds
from sessiondex.indexed import IndexedField, own_keys
from sessiondex.models import Channel, SessionStatus
from sessiondex.queries import AgentQuery, ChannelQuery, CustomerQuery, FieldQuery, ListQuery, ScenarioQuery, StepQuery

ID_SIZE = 16
VERSION_SIZE = 16 + 16 + 17
"""Bytes at the beginning of the key of a step: tenant, scenario, version in hexadecimal and a colon."""


@dataclass(frozen=True, eq=False)
class Declaration:
    """The declaration of an index. `code` begins the names of its sorted sets, `fields` is documentation."""

    name: str
    code: bytes
    fields: tuple[str, ...]


CHANNEL = Declaration("channel identity", b"c", ("tenant_id", "channel", "user_channel_id", "status"))
"""Open and closed sessions apart: an open one is found without a look at any number of closed ones."""
AGENT = Declaration("agent and status", b"a", ("tenant_id", "agent_id", "status"))
CUSTOMER = Declaration("customer", b"u", ("tenant_id", "customer_profile_id"))
TENANT = Declaration("tenant and status", b"w", ("tenant_id", "status"))
STEP = Declaration(
    "step",
    b"t",
    (
        "tenant_id",
        "active_scenario_id",
        "active_scenario_version",
        "step_history",
        "status",
        "channel",
        "created_at",
    ),
)
"""Where a session stands, split by channel and node and ordered by age, as `ScopeFilter` asks."""
FIELD = Declaration("own fields", b"x", ("tenant_id", "fields declared as Indexed"))
"""Files a session under a tuple of keys, one for each item of its indexed fields."""
ACTIVITY = Declaration("activity", b"", ())
"""All sessions under one key: the oldest was idle longest. Only stores in memory that evict have it."""

INDEXES = (CHANNEL, AGENT, CUSTOMER, TENANT, STEP, FIELD)
EVICTION_INDEXES = (*INDEXES, ACTIVITY)
ALL_SESSIONS = b"all"

StepKey: TypeAlias = tuple[bytes, str, str | None, int]
"""The step with its version, then channel, node and `created_at` in microseconds."""

SessionKeys: TypeAlias = tuple[bytes | tuple[bytes, ...] | StepKey | None, ...]
"""For each index of `INDEXES` the key of a session; `None`: it is not in that index."""


class Lookup(NamedTuple):
    """Where the sessions of a query are filed: under any of `keys`, and, if given, under `also` in `TENANT` as well."""

    declaration: Declaration
    keys: Sequence[bytes]
    also: bytes | None = None


class _ChannelCodes(dict[str, bytes]):
    """Maps a channel to itself with its length in front: a user's text follows, and may contain anything."""

    def __missing__(self, channel: str) -> bytes:
        return len(channel).to_bytes() + channel.encode()  # in characters, so that a byte suffices


_CHANNEL_CODES = _ChannelCodes({channel: _ChannelCodes()[channel] for channel in Channel})
_STATUS_CODES = {status: status.value.encode() for status in SessionStatus}
_CLOSED_CODE = b"\xff"  # no length of a channel
_new_tuple = tuple.__new__  # as in `queries.py`


def index_keys(values: Mapping[str, Any], indexed: Sequence[IndexedField]) -> SessionKeys:
    """Return the keys of a session with these field values. `indexed` are the indexed fields of its class."""
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
        (tuple([tenant + key for key in own_keys(values, indexed)]) or None) if indexed else None,
    )


def eviction_index_keys(values: Mapping[str, Any], indexed: Sequence[IndexedField]) -> SessionKeys:
    """Return the keys of `EVICTION_INDEXES`."""
    return (*index_keys(values, indexed), ALL_SESSIONS)


def _step_index_key(tenant: bytes, values: Mapping[str, Any]) -> StepKey | None:
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


def lookup(query: ListQuery) -> Lookup:
    """Return where the sessions of the query are filed."""
    tenant = query.tenant_id.bytes
    if isinstance(query, AgentQuery):
        prefix = tenant + query.agent_id.bytes
        codes = _STATUS_CODES.values() if query.status is None else (_STATUS_CODES[query.status],)
        return _new_tuple(Lookup, (AGENT, [prefix + code for code in codes], None))
    if isinstance(query, CustomerQuery):
        # By a filter, since a customer has few sessions, and most queries are for all of them.
        also = None if query.status is None else tenant + _STATUS_CODES[query.status]
        return _new_tuple(Lookup, (CUSTOMER, (tenant + query.customer_profile_id.bytes,), also))
    if isinstance(query, FieldQuery):
        return Lookup(FIELD, (tenant + query.key,))
    if isinstance(query, ChannelQuery):
        return Lookup(CHANNEL, channel_keys(query))
    codes = _STATUS_CODES.values() if query.status is None else (_STATUS_CODES[query.status],)
    return Lookup(TENANT, [tenant + code for code in codes])


def channel_keys(query: ChannelQuery) -> tuple[bytes, ...]:
    """Return the key of the open sessions of the identity, and that of the closed ones unless the query is open."""
    tenant = query.tenant_id.int.to_bytes(16, "big")
    user = _CHANNEL_CODES[query.channel] + query.user_channel_id.encode()
    return (tenant + user,) if query.is_open else (tenant + user, tenant + _CLOSED_CODE + user)


def step_key(query: StepQuery) -> bytes:
    """Return the key of the step in the index `STEP`."""
    key = _version_key(query.tenant_id.bytes, query.scenario_id.bytes, query.scenario_version)
    return key + query.step_content_hash.encode()


def version_key(query: ScenarioQuery | StepQuery) -> bytes:
    """Return what the keys of all steps of the version begin with."""
    return _version_key(query.tenant_id.bytes, query.scenario_id.bytes, query.scenario_version)
