"""List values that break stores: each by name, with the function that builds it.

Every text in a value contains the `CANARY` where that is possible. No error may show it.
"""

from __future__ import annotations

import random
import sys
import types
from collections import OrderedDict, UserDict, defaultdict, deque
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from sessiondex import StepVisit
from tests.support.builders import START, make_session, visit
from tests.support.hostile_classes import (
    CANARY,
    SURROGATE,
    AlwaysEqual,
    EqualTuple,
    Everything,
    Id,
    Instant,
    Level,
    Mapping,
    Model,
    NeverEqual,
    Number,
    OddZone,
    OfNamelessClass,
    OldWord,
    Pair,
    Plain,
    Point,
    Real,
    Row,
    Text,
    Word,
    claiming,
    methods_of,
    raising,
)


def nested(depth: int, innermost: Any = CANARY) -> Any:
    for _ in range(depth):
        innermost = [innermost]
    return innermost


def nested_dicts(depth: int) -> Any:
    value: Any = CANARY
    for _ in range(depth):
        value = {"a": value}
    return value


def list_in_itself() -> Any:
    value: list[Any] = [CANARY]
    value.append(value)
    return value


def dict_in_itself() -> Any:
    value: dict[str, Any] = {"a": CANARY}
    value["b"] = [value]
    return value


def dict_and_list_in_each_other() -> Any:
    value: list[Any] = [{"a": {}}]
    value[0]["a"]["b"] = value
    return value


def invalid() -> Any:
    try:
        make_session().turn_count = CANARY
    except ValidationError as error:
        return error


NUMBERS: dict[str, Callable[[], Any]] = {
    "NaN": lambda: float("nan"),
    "infinity": lambda: float("inf"),
    "minus infinity": lambda: float("-inf"),
    "minus zero": lambda: -0.0,
    "denormal": lambda: 1e-320,
    "smallest float": lambda: 5e-324,
    "largest float": lambda: sys.float_info.max,
    "1e308": lambda: 1e308,
    "float that is whole": lambda: 1.0,
    "True": lambda: True,
    "zero": lambda: 0,
    "minus one": lambda: -1,
    "2**53 + 1": lambda: 2**53 + 1,
    "2.0**53": lambda: 2.0**53,
    "2**63 - 1": lambda: 2**63 - 1,
    "2**63": lambda: 2**63,
    "-2**63 - 1": lambda: -(2**63) - 1,
    "2**64": lambda: 2**64,
    "4,300 digits": lambda: 10**4299,
    "4,301 digits": lambda: 10**4300,
    "5,001 digits": lambda: 10**5000,
    "-5,001 digits": lambda: -(10**5000),
    "integer enum": lambda: Level.LOW,
    "int subclass": lambda: Number(7),
    "float subclass": lambda: Real(0.5),
    "float subclass NaN": lambda: Real("nan"),
    "Decimal": lambda: Decimal("1.10"),
    "Decimal NaN": lambda: Decimal("NaN"),
    "Fraction": lambda: Fraction(1, 3),
    "complex": lambda: 1 + 2j,
}

TEXTS: dict[str, Callable[[], Any]] = {
    "empty text": lambda: "",
    "blank": lambda: " \t\r\n\u00a0",
    "NUL": lambda: f"{CANARY}\0",
    "BOM": lambda: f"\ufeff{CANARY}",
    "right-to-left override": lambda: f"\u202e{CANARY}",
    "zero-width joiner": lambda: f"{CANARY}\u200d",
    "U+FFFE": lambda: f"{CANARY}\ufffe",
    "U+FFFF": lambda: f"{CANARY}\uffff\U0010ffff",
    "composed": lambda: f"{CANARY} \u00e9",
    "decomposed": lambda: f"{CANARY} e\u0301",
    "family": lambda: f"{CANARY} \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "flag": lambda: "\U0001f1f5\U0001f1f9",
    "line separators": lambda: f"{CANARY}\u2028\u2029\x85\x1c",
    "control characters": lambda: "".join(map(chr, range(1, 32))) + "\x7f",
    "high surrogate": lambda: f"{CANARY}\ud800",
    "low surrogate": lambda: f"\udfff{CANARY}",
    "surrogates that make a pair": lambda: f"{CANARY}\ud83d\ude00",
    "undecodable byte": lambda: (CANARY.encode() + b"\xff").decode(errors="surrogateescape"),
    "a million bytes": lambda: CANARY * 150_000,
    "a million combining marks": lambda: "e" + "\u0301" * 10**6,
    "JSON": lambda: f'{{"{CANARY}": [1, null]}}',
    "half of JSON": lambda: f'{{"{CANARY}": "',
    "quotes and backslashes": lambda: f"{CANARY}\"'\\\\u0041\\",
    "text of a number": lambda: "1",
    "text of NaN": lambda: "NaN",
    "text of null": lambda: "null",
    "text of a date": lambda: "2026-03-01T12:00:00Z",
    "text of an id": lambda: "00000000-0000-0000-0000-000000000385",
    "text of an id in capitals": lambda: "{URN:UUID:0000000000000000000000000000ABCD}",
    "text of a channel": lambda: "SMS",
    "format specifiers": lambda: f"{CANARY} %s %(name)s {{0}} {{self.__class__}}",
    "__proto__": lambda: "__proto__",
    "str subclass": lambda: Text(CANARY),
    "StrEnum": lambda: Word.CANARY,
    "str and Enum": lambda: OldWord.CANARY,
    "text that is not equal to itself": lambda: NeverEqual(CANARY),
    "bytes": CANARY.encode,
    "bytes that are no text": lambda: b"\xff\xfe",
    "bytearray": lambda: bytearray(CANARY.encode()),
    "memoryview": lambda: memoryview(CANARY.encode()),
    "path": lambda: PurePosixPath(CANARY),
}

CONTAINERS: dict[str, Callable[[], Any]] = {
    "empty list": list,
    "empty dict": dict,
    "nested 100 deep": lambda: nested(100),
    "nested 185 deep": lambda: nested(185),
    "nested 189 deep": lambda: nested(189),
    "nested 190 deep": lambda: nested(190),
    "nested 199 deep": lambda: nested(199),
    "nested 200 deep": lambda: nested(200),
    "nested 254 deep": lambda: nested(254),
    "nested 300 deep": lambda: nested(300),
    "nested 5,000 deep": lambda: nested(5_000),
    "dicts 31 deep": lambda: nested_dicts(31),
    "dicts 32 deep": lambda: nested_dicts(32),
    "dicts 188 deep": lambda: nested_dicts(188),
    "dicts 200 deep": lambda: nested_dicts(200),
    "dicts 5,000 deep": lambda: nested_dicts(5_000),
    "list in itself": list_in_itself,
    "dict in itself": dict_in_itself,
    "dict and list in each other": dict_and_list_in_each_other,
    "10,000 keys": lambda: {f"key {number}": number for number in range(10_000)},
    "10,000 items": lambda: list(range(10_000)),
    "the same list twice": lambda: [[CANARY]] * 2,
    "list subclass": lambda: Row([CANARY]),
    "dict subclass": lambda: Mapping(a=CANARY),
    "OrderedDict": lambda: OrderedDict(a=CANARY),
    "defaultdict": lambda: defaultdict(list, a=[CANARY]),
    "UserDict": lambda: UserDict(a=CANARY),
    "mapping proxy": lambda: types.MappingProxyType({"a": CANARY}),
    "keys that collide as texts": lambda: {1: CANARY, "1": "b"},
    "boolean key": lambda: {True: CANARY, "true": 1},
    "None for a key": lambda: {None: CANARY},
    "float key": lambda: {0.5: CANARY},
    "NaN for a key": lambda: {float("nan"): CANARY},
    "bytes key": lambda: {b"a": CANARY},
    "tuple key": lambda: {(1, 2): CANARY},
    "enum key": lambda: {Word.KEY: CANARY},
    "surrogate in a key": lambda: {SURROGATE: CANARY},
    "keys composed and decomposed": lambda: {"\u00e9": CANARY, "e\u0301": 2},
    "empty key": lambda: {"": {"": CANARY}},
    "__proto__ for a key": lambda: {"__proto__": {"constructor": CANARY}, "__class__": 1},
    "$ref": lambda: {"$ref": "#/variables", "$defs": {}, "py/object": CANARY},
    "tuple": lambda: (CANARY, 1),
    "empty tuple": tuple,
    "tuple equal to everything": lambda: EqualTuple([CANARY]),
    "named tuple": lambda: Pair(CANARY, 2),
    "set": lambda: {CANARY},
    "frozenset": lambda: frozenset({CANARY}),
    "deque": lambda: deque([CANARY]),
    "range": lambda: range(3),
    "generator": lambda: (letter for letter in CANARY),
    "iterator": lambda: iter([CANARY]),
    "dict view": {"a": CANARY}.values,
}

INSTANTS: dict[str, Callable[[], Any]] = {
    "instant": lambda: START,
    "naive datetime": lambda: datetime(2026, 3, 1),
    "repeated hour": lambda: datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
    "hour that never was": lambda: datetime(2026, 3, 29, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")),
    "another zone": lambda: START.astimezone(timezone(timedelta(hours=2))),
    "zone with seconds": lambda: START.astimezone(timezone(timedelta(seconds=1172))),
    "UTC by another name": lambda: START.replace(tzinfo=ZoneInfo("UTC")),
    "fold in UTC": lambda: START.replace(fold=1),
    "zone that raises": lambda: datetime(2026, 3, 1, tzinfo=OddZone()),
    "year 1": lambda: datetime(1, 1, 1, tzinfo=UTC),
    "before year 1": lambda: datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))),
    "year 9999": lambda: datetime.max.replace(tzinfo=UTC),
    "after year 9999": lambda: datetime.max.replace(tzinfo=timezone(-timedelta(hours=5))),
    "datetime subclass": lambda: Instant(2026, 3, 1, tzinfo=UTC),
    "date": lambda: date(2026, 3, 1),
    "time": lambda: time(12, 0, tzinfo=UTC),
    "timedelta": lambda: timedelta(days=1),
}

OBJECTS: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "UUID": lambda: UUID(int=0xABCD),
    "UUID subclass": lambda: Id(int=0xABCD),
    "nil UUID": lambda: UUID(int=0),
    "plain enum": lambda: Plain.CANARY,
    "dataclass": Point,
    "model": Model,
    "session": lambda: make_session(session_id=UUID(int=5), user_channel_id=CANARY, last_activity_at=START),
    "visit": lambda: visit(CANARY, step_id=UUID(int=6)),
    "visit of nothing": StepVisit.model_construct,
    "function": lambda: nested,
    "lambda": lambda: lambda: CANARY,
    "class": lambda: Model,
    "module": lambda: sys,
    "object": object,
    "Ellipsis": lambda: ...,
    "NotImplemented": lambda: NotImplemented,
    "an error": lambda: ValueError(CANARY),
    "a validation error": invalid,
    "equal to everything": AlwaysEqual,
    "answers everything": Everything,
    "says that it is a UUID": lambda: claiming(UUID),
    "says that it is a str": lambda: claiming(str),
    "says that it is a dict": lambda: claiming(dict),
    "raises on ==": raising(object, "__eq__"),
    "raises on hash": raising(object, "__hash__"),
    "raises on repr and str": raising(object, "__repr__", "__str__"),
    "raises on its class": raising(object, "__class__"),
    "raises on its attributes": raising(object, "__getattr__", "__getattribute__"),
    "class without a name": OfNamelessClass,
    "text that raises": lambda: raising(str, *methods_of(str))(CANARY),
    "text that raises on ==": lambda: raising(str, "__eq__", "__ne__")(CANARY),
    "number that raises": lambda: raising(int, *methods_of(int))(7),
    "float that raises": lambda: raising(float, *methods_of(float))(0.5),
    "list that raises": lambda: raising(list, *methods_of(list))([CANARY]),
    "dict that raises": lambda: raising(dict, *methods_of(dict))(a=CANARY),
    "UUID that raises": lambda: raising(UUID, "__eq__", "__hash__", "__str__", "__repr__", "__int__")(int=0xABCD),
    "instant that raises": lambda: raising(datetime, "astimezone", "utcoffset", "isoformat")(2026, 3, 1, tzinfo=UTC),
}

HOSTILE: dict[str, Callable[[], Any]] = {**NUMBERS, **TEXTS, **CONTAINERS, **INSTANTS, **OBJECTS}

DECEITFUL = frozenset(
    {
        *("text that is not equal to itself", "tuple equal to everything", "class without a name"),
        *("says that it is a UUID", "says that it is a str", "says that it is a dict"),
        *("raises on its class", "raises on its attributes", "raises on hash", "raises on repr and str"),
        *("text that raises", "number that raises", "list that raises", "dict that raises", "text that raises on =="),
        *("zone that raises", "float that raises", "UUID that raises"),
    }
)
"""Values whose methods raise or lie."""

HUGE = frozenset(
    {
        *("a million bytes", "a million combining marks", "10,000 keys", "10,000 items"),
        *("nested 5,000 deep", "dicts 5,000 deep"),
    }
)
"""Take too long to be made a thousand times."""


def generated(rng: random.Random, names: list[str], depth: int = 0) -> Any:
    """Return a hostile value, a JSON value or a mixture, with these names, nested at most four deep."""
    kind = rng.randrange(12)
    if depth < 4 and kind < 3:
        return [generated(rng, names, depth + 1) for _ in range(rng.randrange(4))]
    if depth < 4 and kind < 6:
        return {_key(rng, names): generated(rng, names, depth + 1) for _ in range(rng.randrange(4))}
    if kind < 8:
        return HOSTILE[rng.choice(names)]()
    return _json_atom(rng)


def _key(rng: random.Random, names: list[str]) -> Any:
    if rng.randrange(12) == 0:
        value = HOSTILE[rng.choice(names)]()
        if isinstance(value, str):
            return value.replace(CANARY, "key")  # errors may show keys, so they need no canary
        if isinstance(value, int | float | bytes):
            return value
    return rng.choice(["", "a", "b", "\u00e9", "e\u0301", "a.b", "\0", "1", "__proto__"])


def _json_atom(rng: random.Random) -> Any:
    kind = rng.randrange(6)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind == 1:
        return rng.randrange(-(2 ** rng.randrange(1, 80)), 2 ** rng.randrange(1, 80))
    if kind == 2:
        return rng.uniform(-1, 1) * 10.0 ** rng.randrange(-300, 300)
    return "".join(chr(rng.choice([32, 65, 0xE9, 0x301, 0x2028, 0xFFFD, 0x1F600])) for _ in range(rng.randrange(6)))
