"""Recompute all index keys on the servers from the rows, and compare.

It follows the docstring of `sessiondex/stores/redis/keys.py`, and shares no code with the store.
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

_HEAD = Struct(">QQQII")
_INDEXES = ("c:", "a:", "u:", "w:", "x:", "v:", "f:", "t:")
_INDEXED = {
    "sessiondex.testing.strategies:NotedSession": ("email", "order_ids", "priority"),
    "sessiondex.testing.strategies:TaggedSession": ("tags", "order_ids"),
}
"""The indexed fields of the classes of the state machine."""
_BYTES = "latin-1"  # names contain ids as bytes; as text they can be compared and shown
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)

Contents = dict[str, Any]
"""The values of keys, as Python objects."""


class Row(NamedTuple):
    """The parts of a row."""

    tenant: str
    id: str
    stamp: int
    revision: int
    token: int
    lists: list[str]
    step: list[str]
    type: str
    session: dict[str, Any]


# -- reading --


def contents(servers: Servers) -> Contents:
    """Return all keys of the primaries."""
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
    return {key.decode(_BYTES): _readable(kind, answer) for key, kind, answer in made}


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
        return {member.decode(_BYTES) for member in answer}
    if kind == "zset":
        return {member.decode(_BYTES): int(score) for member, score in answer}
    if kind == "hash":
        return {name.decode(): value.decode() for name, value in answer.items()}
    return answer


def row_of(tenant: str, session_id: str, raw: bytes) -> Row:
    """Parse a row."""
    stamp, revision, token, size, _ = _HEAD.unpack_from(raw)
    end = _HEAD.size + size
    names = list(_names_in(raw[_HEAD.size + 1 : end]))
    step_size = raw[_HEAD.size]
    lists, step = names[step_size:], names[:step_size]
    session_type, _, data = raw[end:].partition(b"\0")
    return Row(tenant, session_id, stamp, revision, token, lists, step, session_type.decode(), json.loads(data))


def _names_in(packed: bytes) -> Iterator[str]:
    while packed:
        size = int.from_bytes(packed[:4])
        yield packed[4 : 4 + size].decode(_BYTES)
        packed = packed[4 + size :]


# -- expected --


def index_keys_of(row: Row) -> tuple[list[str], list[str]]:
    """Return the lists that should contain the session, and the parts of its step."""
    session = row.session
    status = session["status"]
    closed = "\xff" if status == "closed" else ""
    channel = session["channel"]
    identity = _as_bytes(channel + session["user_channel_id"])
    lists = [
        f"c:{closed}{chr(len(channel))}{identity}",
        f"a:{_id(session['agent_id'])}{status}",
        f"w:{status}",
        *own_lists_of(row),
    ]
    if session["customer_profile_id"] is not None:
        lists.append(f"u:{_id(session['customer_profile_id'])}")
    last = session["step_history"][-1] if session["step_history"] else {}
    scenario, version = session["active_scenario_id"], session["active_scenario_version"]
    content_hash = last.get("step_content_hash")
    if status != "active" or scenario is None or version is None or content_hash is None:
        return lists, []
    age = (datetime.fromisoformat(session["created_at"]) - _EPOCH) // _MICROSECOND + 2**56
    node = "-" if last["step_name"] is None else f"+{last['step_name']}"
    facet = _as_bytes(f"{len(channel.encode())}:{channel}:{node}")
    return lists, [f"{_id(scenario)}{version:016x}:", _as_bytes(content_hash), facet, f"{age:016x}"]


def own_lists_of(row: Row) -> list[str]:
    """Return the lists of the indexed fields: those that the row names, if the class is none of the state machine."""
    if row.type not in _INDEXED:
        return [name for name in row.lists if name.startswith("x:")]
    items = [(name, item) for name in _INDEXED[row.type] for item in _items(row.session.get(name))]
    return sorted({f"x:\0{chr(len(name))}{name}{_as_bytes(_typed(name, item))}" for name, item in items})


def _items(value: Any) -> list[Any]:
    return [item for item in (value if isinstance(value, list) else [value]) if item is not None]


def _typed(name: str, item: Any) -> str:
    if isinstance(item, bool):
        return f"b{item:d}"
    if isinstance(item, int):
        return f"i{item:x}"
    return f"s{item.casefold() if name == 'email' else item}"


def _id(text: str) -> str:
    return UUID(text).bytes.decode(_BYTES)


def _as_bytes(text: str) -> str:
    """Return the text as its bytes are shown."""
    return text.encode().decode(_BYTES)


def indexes_of(prefix: str, rows: list[Row]) -> Contents:
    """Return all index keys that should exist, with their values."""
    sorted_sets: dict[str, dict[str, int]] = defaultdict(dict)
    sets: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        base = f"{prefix}:{{{row.tenant}}}:"
        lists, step = index_keys_of(row)
        for name in [*lists, "all"]:
            sorted_sets[base + name][row.id] = row.stamp
        if step:
            version, content_hash, facet, age = step
            sets[f"{base}v:{version}"].add(content_hash)
            sets[f"{base}f:{version}:{content_hash}"].add(facet)
            size = len(content_hash)
            sorted_sets[f"{base}t:{version}:{size}:{content_hash}:{facet}"][age + row.id] = 0
    return {**sorted_sets, **sets}


# -- comparing --


def differences(
    servers: Servers, prefix: str, may_leave: frozenset[str] = frozenset(), held: Contents | None = None
) -> dict[str, Any]:
    """Return the wrong keys of the prefix, each with its found and its expected value.

    `may_leave` can contain `locators` (of sessions that do not exist: a stopped client leaves them), `lost locators`
    (sessions may lack theirs), and `locks`.
    """
    held = contents(servers) if held is None else held
    mine = {key[len(prefix) + 1 :]: value for key, value in held.items() if key.startswith(f"{prefix}:")}
    keys_by_tenant: dict[str, Contents] = defaultdict(dict)
    for key, value in mine.items():
        if key.startswith("{"):
            keys_by_tenant[key[1:33]][key[35:]] = value
    rows = [
        row_of(tenant, key[2:], value)
        for tenant, held in keys_by_tenant.items()
        for key, value in held.items()
        if key.startswith("s:")
    ]
    found = {
        f"{prefix}:{{{tenant}}}:{key}": value
        for tenant, held in keys_by_tenant.items()
        for key, value in held.items()
        if key.startswith(_INDEXES) or key == "all"
    }
    compared = [
        *_compared(found, indexes_of(prefix, rows)),
        *_rows_differences(rows),
        *_tenant_differences(keys_by_tenant, mine.get("tenants", set()), rows),
        *_locator_differences(mine, rows, may_leave),
        *(_feed_differences(mine) if "feed" in mine else ()),
    ]
    return dict(compared)


def check_indexes(
    servers: Servers, prefix: str, may_leave: frozenset[str] = frozenset(), held: Contents | None = None
) -> None:
    """Raise `AssertionError` unless all indexes agree with the rows. The error shows both sides of each difference.

    `held` is a result of `contents`: pass it to check many prefixes without reading the servers again.
    """
    wrong = differences(servers, prefix, may_leave, held)
    text = "\n".join(
        f"{key!r}:\n  found    {found!r}\n  expected {expected!r}" for key, (found, expected) in wrong.items()
    )
    assert not wrong, f"of the keys of {prefix}:\n{text}"


Difference = Iterator[tuple[str, tuple[Any, Any]]]


def _compared(found: Contents, expected: Contents) -> Difference:
    for key in sorted(found.keys() | expected.keys()):
        if found.get(key) != expected.get(key):
            yield key, (found.get(key), expected.get(key))


def _rows_differences(rows: list[Row]) -> Difference:
    owners: dict[str, str] = {}
    for row in rows:
        name = f"row {row.id} of {row.tenant}"
        lists, step = index_keys_of(row)
        found, expected = (sorted(row.lists), row.step), (sorted(lists), step)
        if found != expected:
            yield f"{name}: its index keys", (found, expected)
        ids = UUID(row.session["tenant_id"]).hex, UUID(row.session["session_id"]).hex
        if ids != (row.tenant, row.id):
            yield f"{name}: its ids", (ids, (row.tenant, row.id))
        if owners.setdefault(row.id, row.tenant) != row.tenant:
            yield f"{name}: its only tenant", (row.tenant, owners[row.id])


def _tenant_differences(keys_by_tenant: dict[str, Contents], known: set[str], rows: list[Row]) -> Difference:
    for tenant, held in keys_by_tenant.items():
        stamps = sorted(row.stamp for row in rows if row.tenant == tenant)
        if stamps and tenant not in known:
            yield f"registered tenants, with {tenant}", (known, {tenant, *known})
        if len(set(stamps)) < len(stamps):
            yield f"stamps of {tenant}", (stamps, "each once")
        last = int(held.get("meta", {}).get("stamp", 0))
        if stamps and last < stamps[-1]:
            yield f"the last stamp of {tenant}", (last, stamps[-1])
        if "feed" in held:
            yield from _feed_differences(held)


def _feed_differences(held: Contents) -> Difference:
    numbers = [int(number.partition(b"-")[0]) for number, _ in held.get("changes", [])]
    last = int(held["feed"].get("sequence", 0))
    if numbers and numbers != list(range(last + 1 - len(numbers), last + 1)):
        yield "numbers of the changes", (numbers, f"no gap before {last}")
    if len(numbers) > int(held["feed"].get("kept", 0)):
        yield "number of kept changes", (len(numbers), held["feed"].get("kept"))


def _locator_differences(mine: Contents, rows: list[Row], may_leave: frozenset[str]) -> Difference:
    locators = {key[3:35]: value.decode() for key, value in mine.items() if key.startswith("l:")}
    for row in rows:
        owner, _, token = locators.pop(row.id, "").partition(":")
        if owner == "" and "lost locators" in may_leave:
            continue
        if owner != row.tenant or int(token or 0) < row.token:
            yield f"locator of {row.id}", (f"{owner}:{token}", f"{row.tenant}:{row.token}, or a higher token")
    if locators and "locators" not in may_leave:
        yield "locators without a session", (locators, {})
    locks = {key for key in mine if key.startswith("lock:")}
    if locks and "locks" not in may_leave:
        yield "locks that are owned", (locks, set())
