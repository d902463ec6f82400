"""Recompute from the rows the value of every index key on the servers, and compare.

It follows the format that `sessiondex/stores/redis/keys.py` documents, and shares no code with the store.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Any, NamedTuple
from uuid import UUID

from tests.support.redis.servers import OneServer, Servers

_HEAD = Struct(">QQQI")
_INDEXES = ("o:", "c:", "a:", "b:", "u:", "v:", "f:", "t:")
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)

Contents = dict[str, Any]
"""Of each key what it holds, in the terms of Python."""


class Row(NamedTuple):
    """A parsed row."""

    tenant: str
    id: str
    stamp: int
    revision: int
    claim: int
    entries: list[str]
    step: list[str]
    session: dict[str, Any]


# -- reading --


def contents(servers: Servers) -> Contents:
    """Return all keys and values of the primaries."""
    found: Contents = {}
    for node in servers.nodes:
        if node.is_primary():
            found |= _contents_of(node)
    return found


def _contents_of(node: OneServer) -> Contents:
    client = node.client()
    keys = list(client.scan_iter(count=1_000))
    with client.pipeline(transaction=False) as asking:
        for key in keys:
            asking.type(key)
        kinds = [kind.decode() for kind in asking.execute()]
        for key, kind in zip(keys, kinds, strict=True):
            _READ[kind](asking, key)
        answers = asking.execute()
    made = zip(keys, kinds, answers, strict=True)
    return {key.decode(): _readable(kind, answer) for key, kind, answer in made}


_READ: dict[str, Any] = {
    "string": lambda asking, key: asking.get(key),
    "set": lambda asking, key: asking.smembers(key),
    "zset": lambda asking, key: asking.zrange(key, 0, -1, withscores=True),
    "hash": lambda asking, key: asking.hgetall(key),
    "stream": lambda asking, key: asking.xrange(key),
    "list": lambda asking, key: asking.lrange(key, 0, -1),
}


def _readable(kind: str, answer: Any) -> Any:
    if kind == "set":
        return {member.decode() for member in answer}
    if kind == "zset":
        return {member.decode(): int(score) for member, score in answer}
    if kind == "hash":
        return {name.decode(): value.decode() for name, value in answer.items()}
    return answer


def row_of(tenant: str, session_id: str, raw: bytes) -> Row:
    """Parse a row."""
    stamp, revision, claim, size = _HEAD.unpack_from(raw)
    end = _HEAD.size + size
    entries, step = json.loads(raw[_HEAD.size : end])
    session = json.loads(raw[end:].partition(b"\0")[2])
    return Row(tenant, session_id, stamp, revision, claim, entries, step, session)


# -- expected values --


def entries_of(row: Row) -> tuple[list[str], list[str]]:
    """Return the index entries of the session, and the parts of its step."""
    session = row.session
    agent, status = UUID(session["agent_id"]).hex, session["status"]
    state = "c" if status == "closed" else "o"
    entries = [f"{state}:{session['channel']}:{session['user_channel_id']}", f"a:{agent}", f"b:{agent}:{status}"]
    if session["customer_profile_id"] is not None:
        entries.append(f"u:{UUID(session['customer_profile_id']).hex}")
    last = session["step_history"][-1] if session["step_history"] else {}
    scenario, version = session["active_scenario_id"], session["active_scenario_version"]
    content_hash = last.get("step_content_hash")
    if status != "active" or scenario is None or version is None or content_hash is None:
        return entries, []
    age = (datetime.fromisoformat(session["created_at"]) - _EPOCH) // _MICROSECOND + 2**56
    node = "-" if last["step_name"] is None else f"+{last['step_name']}"
    facet = f"{session['channel']}:{node}"
    return entries, [f"{UUID(scenario).hex}:{version:x}", content_hash, facet, f"{age:016x}"]


def indexes_of(prefix: str, rows: list[Row]) -> Contents:
    """Return all index keys that must exist, with their values."""
    lists: dict[str, dict[str, int]] = defaultdict(dict)
    sets: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        base = f"{prefix}:{{{row.tenant}}}:"
        entries, step = entries_of(row)
        for entry in [*entries, "all"]:
            lists[base + entry][row.id] = row.stamp
        if step:
            version, content_hash, facet, age = step
            sets[f"{base}v:{version}"].add(content_hash)
            sets[f"{base}f:{version}:{content_hash}"].add(facet)
            size = len(content_hash.encode())
            lists[f"{base}t:{version}:{size}:{content_hash}:{facet}"][age + row.id] = 0
    return {**lists, **sets}


# -- comparing --


def differences(
    servers: Servers, prefix: str, may_leave: frozenset[str] = frozenset(), held: Contents | None = None
) -> dict[str, Any]:
    """Return each key of the prefix with a wrong value, with the actual and the expected value.

    `may_leave` lists leftovers to ignore, which a client leaves that stops between two steps: `locators` of missing
    sessions, `lost locators` of stored sessions without one, and `turns`.
    """
    held = contents(servers) if held is None else held
    mine = {key[len(prefix) + 1 :]: value for key, value in held.items() if key.startswith(f"{prefix}:")}
    of_tenants: dict[str, Contents] = defaultdict(dict)
    for key, value in mine.items():
        if key.startswith("{"):
            of_tenants[key[1:33]][key[35:]] = value
    rows = [
        row_of(tenant, key[2:], value)
        for tenant, held in of_tenants.items()
        for key, value in held.items()
        if key.startswith("s:")
    ]
    found = {
        f"{prefix}:{{{tenant}}}:{key}": value
        for tenant, held in of_tenants.items()
        for key, value in held.items()
        if key.startswith(_INDEXES) or key == "all"
    }
    compared = [
        *_compared(found, indexes_of(prefix, rows)),
        *_of_rows(rows),
        *_of_tenants(of_tenants, mine.get("tenants", set()), rows),
        *_of_locators(mine, rows, may_leave),
        *(_of_feed(mine) if "feed" in mine else ()),
    ]
    return dict(compared)


def check_indexes(
    servers: Servers, prefix: str, may_leave: frozenset[str] = frozenset(), held: Contents | None = None
) -> None:
    """Raise `AssertionError` with all differences unless every index agrees with the rows.

    `held` is a result of `contents`, for tests that check many prefixes.
    """
    wrong = differences(servers, prefix, may_leave, held)
    report = "\n".join(f"{key!r}:\n  found    {found!r}\n  expected {due!r}" for key, (found, due) in wrong.items())
    assert not wrong, f"of the keys of {prefix}:\n{report}"


Difference = Iterator[tuple[str, tuple[Any, Any]]]


def _compared(found: Contents, due: Contents) -> Difference:
    for key in sorted(found.keys() | due.keys()):
        if found.get(key) != due.get(key):
            yield key, (found.get(key), due.get(key))


def _of_rows(rows: list[Row]) -> Difference:
    owners: dict[str, str] = {}
    for row in rows:
        name = f"row {row.id} of {row.tenant}"
        found, due = (sorted(row.entries), row.step), (sorted(entries_of(row)[0]), entries_of(row)[1])
        if found != due:
            yield f"{name}: what it says of its entries", (found, due)
        whose = UUID(row.session["tenant_id"]).hex, UUID(row.session["session_id"]).hex
        if whose != (row.tenant, row.id):
            yield f"{name}: whose it is", (whose, (row.tenant, row.id))
        if owners.setdefault(row.id, row.tenant) != row.tenant:
            yield f"{name}: the only tenant that has it", (row.tenant, owners[row.id])


def _of_tenants(of_tenants: dict[str, Contents], known: set[str], rows: list[Row]) -> Difference:
    for tenant, held in of_tenants.items():
        stamps = sorted(row.stamp for row in rows if row.tenant == tenant)
        if stamps and tenant not in known:
            yield f"tenants, of which one is {tenant}", (known, {tenant, *known})
        if len(set(stamps)) < len(stamps):
            yield f"stamps of {tenant}", (stamps, "each once")
        last = int(held.get("meta", {}).get("stamp", 0))
        if stamps and last < stamps[-1]:
            yield f"the last stamp of {tenant}", (last, stamps[-1])
        if "feed" in held:
            yield from _of_feed(held)


def _of_feed(held: Contents) -> Difference:
    numbers = [int(number.partition(b"-")[0]) for number, _ in held.get("changes", [])]
    last = int(held["feed"].get("sequence", 0))
    if numbers and numbers != list(range(last + 1 - len(numbers), last + 1)):
        yield "numbers of the changes", (numbers, f"no gap before {last}")
    if len(numbers) > int(held["feed"].get("kept", 0)):
        yield "how many changes are kept", (len(numbers), held["feed"].get("kept"))


def _of_locators(mine: Contents, rows: list[Row], may_leave: frozenset[str]) -> Difference:
    locators = {key[3:35]: value.decode() for key, value in mine.items() if key.startswith("l:")}
    for row in rows:
        owner, _, claim = locators.pop(row.id, "").partition(":")
        if owner == "" and "lost locators" in may_leave:
            continue
        if owner != row.tenant or int(claim or 0) < row.claim:
            yield f"locator of {row.id}", (f"{owner}:{claim}", f"{row.tenant}:{row.claim}, or a later claim")
    if locators and "locators" not in may_leave:
        yield "locators of sessions that are not there", (locators, {})
    turns = {key for key in mine if key.startswith("turn:")}
    if turns and "turns" not in may_leave:
        yield "turns that somebody has", (turns, set())
