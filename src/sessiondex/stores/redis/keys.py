"""Name the keys on the server, and pack the index keys of a session.

All keys of a tenant begin with its *base*. The base contains the tenant's id in braces, so a cluster keeps these keys
on one node. A fixed kind follows, and free text comes last. So no two names are equal, and no text can leave its base.
The lists are the indexes of `schema.py`: their names have its keys, without the tenant. `lua/` builds the same names
from the base:

    base s: session                              string      the row of the session
    base c: identity, a: agent and status        by stamp    sessions under a key of the index, see `schema.Declaration`
    base u: customer, w: status, x: own field
    base all                                     by stamp    sessions of the tenant
    base v: version                              set         hashes of the steps that have active sessions
    base f: version : hash                       set         facets of the step: length : channel : node
    base t: version : length of hash : hash : facet  by text  age and id of the sessions at the step
    base meta                                    hash        last stamp and marks, see `stamps.lua`; whether erased
    base fence: session                          string      the highest fencing token to refuse, for an hour
    base feed, changes                           hash, stream  the sequence of the last change, and the last changes

Some keys belong to no tenant. `feed` and `changes` after the prefix are the feed of a single server, for all tenants.
`l:` is the locator of a session, see `locators`, and `lock:` its lock. `tenants` is the set of all tenants.
"""

from __future__ import annotations

from typing import NamedTuple, cast
from uuid import UUID

from sessiondex import schema
from sessiondex.models import ScopeFilter
from sessiondex.queries import ListQuery, ScenarioQuery, StepQuery
from sessiondex.schema import ID_SIZE, VERSION_SIZE, Declaration, SessionKeys, StepKey

ALL = b"all"
"""The list of all sessions of a tenant."""

_AGE_OFFSET_MICROSECONDS = 2**56  # more than from the year 1 to 1970, so that no encoded instant is negative
_DAY_MICROSECONDS = 86_400_000_000
_NO_SET = -1
_STEP_PARTS = 4


class Lists(NamedTuple):
    """The lists that together answer a query; `also` is a list that must contain the sessions as well, or empty."""

    names: list[bytes]
    also: bytes


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


def lists_of(query: ListQuery) -> Lists:
    """Return the lists that answer the query."""
    declaration, index_keys, also = schema.lookup(query)
    names = [_list(declaration, key) for key in index_keys]
    return Lists(names, b"" if also is None else _list(schema.TENANT, also))


def version_of(query: ScenarioQuery | StepQuery) -> bytes:
    """Return the name of a scenario's version."""
    return schema.version_key(query)[ID_SIZE:]


def step_of(query: StepQuery) -> tuple[bytes, bytes]:
    """Return the name of a scenario's version, and the hash of the step."""
    return version_of(query), query.step_content_hash.encode()


def pack_names(index_keys: SessionKeys) -> bytes:
    """Return the index keys of a session as its row has them, see `lua/rows.lua`.

    First the number of the parts of its step, 4 or 0; then these parts and the names of its lists, each with its length
    in four bytes in front.
    """
    names: list[bytes] = []
    step: tuple[bytes, ...] = ()
    for declaration, key in zip(schema.INDEXES, index_keys, strict=True):
        if key is None:
            continue
        if declaration is schema.STEP:
            step = _step(cast("StepKey", key))
        elif isinstance(key, bytes):
            names.append(_list(declaration, key))
        else:
            names += [_list(declaration, one) for one in cast("tuple[bytes, ...]", key)]
    parts = [len(part).to_bytes(4) + part for part in (*step, *names)]
    return bytes([_STEP_PARTS if step else 0]) + b"".join(parts)


def unpack_lists(packed: bytes) -> set[bytes]:
    """Return the names of the lists in packed index keys."""
    parts, place = [], 1
    while place < len(packed):
        end = place + 4 + int.from_bytes(packed[place : place + 4])
        parts.append(packed[place + 4 : end])
        place = end
    return set(parts[packed[0] :])


def scope(given: ScopeFilter | None) -> tuple[list[str], list[bytes | int]]:
    """Return the arguments of the function `step`: lowest and highest age in microseconds, and four sets."""
    if given is None:
        return ["", ""], [_NO_SET] * 4
    # Ages in days are rounded down: a session has `max` days until one microsecond before the next day.
    lowest, highest = given.min_session_age_days, given.max_session_age_days
    ages = [
        "" if lowest is None else str(lowest * _DAY_MICROSECONDS),
        "" if highest is None else str((highest + 1) * _DAY_MICROSECONDS - 1),
    ]
    sets: list[bytes | int] = []
    for channels in (given.include_channels, given.exclude_channels):
        sets += [_NO_SET] if channels is None else [len(channels), *(str.__str__(one).encode() for one in channels)]
    for nodes in (given.include_current_nodes, given.exclude_current_nodes):
        sets += [_NO_SET] if nodes is None else [len(nodes), *map(_node, nodes)]
    return ages, sets


def _list(declaration: Declaration, key: bytes) -> bytes:
    return declaration.code + b":" + key[ID_SIZE:]


def _step(step_key: StepKey) -> tuple[bytes, ...]:
    """Return version, hash, facet and age."""
    key, channel, node, created_at = step_key
    encoded = channel.encode()
    facet = b"%d:%b:%b" % (len(encoded), encoded, _node(node))  # with a length: another text follows
    return key[ID_SIZE:VERSION_SIZE], key[VERSION_SIZE:], facet, b"%016x" % (created_at + _AGE_OFFSET_MICROSECONDS)


def _node(name: str | None) -> bytes:
    return b"-" if name is None else b"+" + name.encode()
