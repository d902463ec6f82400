"""Name the keys on the server, and the index keys of a session.

All keys of a tenant begin with its *base*. The base contains the tenant's id in braces, so a cluster keeps these keys
on one node. A fixed kind follows, and free text comes last. So no two names are equal, and no text can leave its base.
`lua/` builds the same names from the base:

    base s: session                              string      the row of the session
    base o: or c: length : channel : user        by stamp    sessions of a channel identity: open, closed
    base a: agent, b: agent : status             by stamp    sessions of an agent
    base u: customer                             by stamp    sessions of a customer
    base all                                     by stamp    sessions of the tenant
    base v: scenario : version                   set         hashes of the steps that have active sessions
    base f: scenario : version : hash            set         facets of the step: length : channel : node
    base t: ... : length of hash : hash : facet  by text     age and id of the sessions at the step
    base meta                                    hash        the last stamp
    base fence: session                          string      the highest fencing token to refuse, for an hour
    base feed, changes                           hash, stream  the sequence of the last change, and the last changes

Some keys belong to no tenant. `feed` and `changes` after the prefix are the feed of a single server, for all tenants.
`l:` is the locator of a session, see `locators`, and `lock:` its lock. `tenants` is the set of all tenants.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from sessiondex.clock import to_microseconds
from sessiondex.models import ScopeFilter, SessionStatus
from sessiondex.queries import AgentQuery, ChannelQuery, ListQuery

_AGE_OFFSET_MICROSECONDS = 2**56  # more than from the year 1 to 1970, so that no encoded instant is negative
_DAY_MICROSECONDS = 86_400_000_000
_NO_SET = -1


class IndexKeys(NamedTuple):
    """The names of the lists that contain a session, and the four parts of its step, or none."""

    lists: tuple[str, ...]
    step: tuple[str, ...]


def base(prefix: str, tenant_id: UUID) -> bytes:
    """Return the common beginning of a tenant's keys."""
    return f"{prefix}:{{{tenant_id.hex}}}:".encode()


def row(prefix: str, tenant_id: UUID, session_id: UUID) -> bytes:
    """Return the key of a session's row."""
    return base(prefix, tenant_id) + f"s:{session_id.hex}".encode()


def locator(prefix: str, session_id: UUID) -> bytes:
    """Return the key of a session's locator."""
    return f"{prefix}:l:{{{session_id.hex}}}".encode()


def lock(prefix: str, session_id: UUID) -> bytes:
    """Return the key of a session's lock."""
    return f"{prefix}:lock:{{{session_id.hex}}}".encode()


def identity(query: ChannelQuery, *, is_open: bool) -> str:
    """Return the list of a channel identity: its open sessions, or its closed ones."""
    return _identity(_plain(query.channel), query.user_channel_id, is_open=is_open)


def _identity(channel: str, user_channel_id: str, *, is_open: bool) -> str:
    return f"{'o' if is_open else 'c'}:{_with_length(channel)}:{user_channel_id}"


def agent(agent_id: UUID, status: SessionStatus | None = None) -> str:
    """Return the list of an agent: all of its sessions, or those of a status."""
    return f"a:{agent_id.hex}" if status is None else f"b:{agent_id.hex}:{status.value}"


def customer(customer_profile_id: UUID) -> str:
    """Return the list of a customer."""
    return f"u:{customer_profile_id.hex}"


def list_of(query: ListQuery) -> str:
    """Return the list that answers the query."""
    if isinstance(query, AgentQuery):
        return agent(query.agent_id, query.status)
    return customer(query.customer_profile_id)


def version(scenario_id: UUID, scenario_version: int) -> str:
    """Return the name of a scenario's version. The number is hexadecimal: Python limits decimal conversions."""
    return f"{scenario_id.hex}:{scenario_version:x}"


def index_keys(values: Mapping[str, Any]) -> IndexKeys:
    """Return the index keys of a session with these field values."""
    channel, status, customer_id = _plain(values["channel"]), _plain(values["status"]), values["customer_profile_id"]
    agent_id = values["agent_id"]
    lists = [
        _identity(channel, values["user_channel_id"], is_open=status != SessionStatus.CLOSED),
        agent(agent_id),
        f"b:{agent_id.hex}:{status}",
    ]
    if customer_id is not None:
        lists.append(customer(customer_id))
    return IndexKeys(tuple(lists), _step(values, channel) if status == SessionStatus.ACTIVE else ())


def _step(values: Mapping[str, Any], channel: str) -> tuple[str, ...]:
    scenario_id, number, history = (
        values[name] for name in ("active_scenario_id", "active_scenario_version", "step_history")
    )
    if scenario_id is None or number is None or not history or history[-1].step_content_hash is None:
        return ()
    age = f"{to_microseconds(values['created_at']) + _AGE_OFFSET_MICROSECONDS:016x}"
    last = history[-1]
    return version(scenario_id, number), last.step_content_hash, f"{_with_length(channel)}:{_node(last.step_name)}", age


def _plain(text: str) -> str:
    """Return the text alone: a subclass of `Session` may have narrowed a field to an enum of its own."""
    return str.__str__(text)


def _with_length(channel: str) -> str:
    """Return the channel with its size in bytes in front: another text follows, and may contain anything."""
    return f"{len(channel.encode())}:{channel}"


def _node(name: str | None) -> str:
    return "-" if name is None else f"+{_plain(name)}"


def scope(given: ScopeFilter | None) -> tuple[list[str], list[str | int]]:
    """Return the arguments of the function `step`: lowest and highest age in microseconds, and four sets."""
    if given is None:
        return ["", ""], [_NO_SET] * 4
    # Ages in days are rounded down: a session has `max` days until one microsecond before the next day.
    lowest, highest = given.min_session_age_days, given.max_session_age_days
    ages = [
        "" if lowest is None else str(lowest * _DAY_MICROSECONDS),
        "" if highest is None else str((highest + 1) * _DAY_MICROSECONDS - 1),
    ]
    channels = [given.include_channels, given.exclude_channels]
    nodes = [given.include_current_nodes, given.exclude_current_nodes]
    sets: list[str | int] = []
    for members in channels:
        sets += [_NO_SET] if members is None else [len(members), *map(_plain, members)]
    for names in nodes:
        sets += [_NO_SET] if names is None else [len(names), *map(_node, names)]
    return ages, sets
