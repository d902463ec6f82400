"""Where a session is kept on the server: what its keys are called.

All keys of a tenant begin with its *base*, which has the tenant in braces: a cluster keeps on one node what has the
same text in the first pair of braces. What follows is fixed in kind and ends with what is free text, so no two are
alike, and no text can leave its base. `lua/` names the rest from the base in the same way:

    base s: session                              string      its row
    base o: or c: channel : user                 by stamp    sessions of the identity: open ones, closed ones
    base a: agent, b: agent : status             by stamp    the agent's
    base u: customer                             by stamp    the customer's
    base all                                     by stamp    the tenant's
    base v: scenario : version                   set         the hashes of its steps where any stand
    base f: scenario : version : hash            set         the facets of that step: channel : node
    base t: ... : length of hash : hash : facet  by text     age and id of those who stand there
    base meta                                    hash        the last stamp
    base x: session                              string      up to which claim it is barred, for an hour
    base feed, changes                           hash, stream  the number of the last change, and the last ones

Beside these there are the feed of a single server, which is that of all its tenants (prefix `feed`, `changes`), the
locator of each session (`l:`, which tenant has it), who has its turn (`turn:`), and the set of all `tenants`.
"""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from sessiondex.clock import microseconds
from sessiondex.models import Channel, ScopeFilter, Session, SessionStatus

_CALENDAR = 2**56  # microseconds from the year 1 to 1970, and more: so that no instant is negative
_DAY = 86_400_000_000
_NO_SET = -1


class Filed(NamedTuple):
    """Under what a session is filed: entries, and the parts of its step, none or four."""

    entries: tuple[str, ...]
    step: tuple[str, ...]


def base(prefix: str, tenant_id: UUID) -> bytes:
    """Return what the keys of a tenant begin with."""
    return f"{prefix}:{{{tenant_id.hex}}}:".encode()


def locator(prefix: str, session_id: UUID) -> bytes:
    """Return the key that says which tenant has the session."""
    return f"{prefix}:l:{{{session_id.hex}}}".encode()


def turn(prefix: str, session_id: UUID) -> bytes:
    """Return the key that says who has the turn of the session."""
    return f"{prefix}:turn:{{{session_id.hex}}}".encode()


def identity(channel: Channel, user_channel_id: str, *, is_open: bool) -> str:
    """Return the entry of a channel identity."""
    return f"{'o' if is_open else 'c'}:{channel.value}:{user_channel_id}"


def agent(agent_id: UUID, status: SessionStatus | None = None) -> str:
    """Return the entry of an agent, all of its sessions or those of a status."""
    return f"a:{agent_id.hex}" if status is None else f"b:{agent_id.hex}:{status.value}"


def customer(customer_profile_id: UUID) -> str:
    """Return the entry of a customer."""
    return f"u:{customer_profile_id.hex}"


def version(scenario_id: UUID, scenario_version: int) -> str:
    """Return the name of a version of a scenario. In hexadecimal, which has no limit of digits."""
    return f"{scenario_id.hex}:{scenario_version:x}"


def filed(session: Session) -> Filed:
    """Return where the session is to be filed."""
    entries = [
        identity(session.channel, session.user_channel_id, is_open=session.status != SessionStatus.CLOSED),
        agent(session.agent_id),
        agent(session.agent_id, session.status),
    ]
    if session.customer_profile_id is not None:
        entries.append(customer(session.customer_profile_id))
    return Filed(tuple(entries), _step_of(session))


def _step_of(session: Session) -> tuple[str, ...]:
    if session.status != SessionStatus.ACTIVE or not session.step_history:
        return ()
    scenario_id, number, last = session.active_scenario_id, session.active_scenario_version, session.step_history[-1]
    if scenario_id is None or number is None or last.step_content_hash is None:
        return ()
    age = f"{microseconds(session.created_at) + _CALENDAR:016x}"
    facet = f"{session.channel.value}:{_node(last.step_name)}"
    return version(scenario_id, number), last.step_content_hash, facet, age


def _node(name: str | None) -> str:
    return "-" if name is None else f"+{name}"


def scope(given: ScopeFilter | None) -> tuple[list[str], list[str | int]]:
    """Return the filter as the function `step` takes it: least and greatest age in microseconds, and four sets."""
    if given is None:
        return ["", ""], [_NO_SET] * 4
    # A session of `max` days, rounded down, is until just before one day more.
    least, most = given.min_session_age_days, given.max_session_age_days
    ages = ["" if least is None else str(least * _DAY), "" if most is None else str((most + 1) * _DAY - 1)]
    channels = [given.include_channels, given.exclude_channels]
    nodes = [given.include_current_nodes, given.exclude_current_nodes]
    sets: list[str | int] = []
    for members in channels:
        sets += [_NO_SET] if members is None else [len(members), *(channel.value for channel in members)]
    for names in nodes:
        sets += [_NO_SET] if names is None else [len(names), *map(_node, names)]
    return ages, sets
