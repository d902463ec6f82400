"""Conversations to replay: read from a trace, or made up in the same shape."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

NO_INTENT = "NONE"


class Turn(NamedTuple):
    """What the user was doing after a turn, and the slot values that it added or changed."""

    service: str
    intent: str
    slots: dict[str, str]


@dataclass(frozen=True)
class Conversation:
    """One user's turns, at least one, in order."""

    id: str
    turns: tuple[Turn, ...]


class TraceError(ValueError):
    """The file is not a trace; the message says where and why."""


def read_trace(path: Path) -> list[Conversation]:
    """Return the conversations of a gzipped file of JSON lines, one conversation a line.

    A line is `{"id": ..., "turns": [[service, intent, {slot: value, ...}], ...]}`.

    Raises:
        TraceError: there is no such file, or it holds something else.
    """
    if not path.is_file():
        raise TraceError(f"{path}: there is no such file")
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            conversations = [_conversation(line, f"{path}, line {number}") for number, line in enumerate(lines, 1)]
    except (OSError, EOFError, zlib.error) as error:
        raise TraceError(f"{path}: not a complete gzip file ({error})") from None
    except UnicodeDecodeError:
        raise TraceError(f"{path}: not UTF-8 text") from None
    if not conversations:
        raise TraceError(f"{path}: holds no conversation")
    if len({conversation.id for conversation in conversations}) < len(conversations):
        raise TraceError(f"{path}: two conversations have the same id")
    return conversations


def _conversation(line: str, where: str) -> Conversation:
    try:
        parsed = json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        raise TraceError(f"{where}: not a line of JSON") from None
    match parsed:
        case {"id": str(name), "turns": [_, *_] as turns}:
            return Conversation(name, tuple(_turn(turn, where) for turn in turns))
    raise TraceError(f'{where}: not of the form {{"id": "...", "turns": [[service, intent, slots], ...]}}')


def _turn(parsed: Any, where: str) -> Turn:
    match parsed:
        case [str(service), str(intent), dict(slots)] if all(isinstance(value, str) for value in slots.values()):
            return Turn(service, intent, slots)
    raise TraceError(f"{where}: a turn is not of the form [service, intent, {{slot: text, ...}}]")


# -- made up --


class _Service(NamedTuple):
    name: str
    intents: tuple[str, str]
    slots: tuple[str, ...]


_SERVICES = (
    _Service("Trains", ("FindTrain", "BookTrain"), ("origin", "destination", "day", "seats", "class", "meal")),
    _Service("Tables", ("FindTable", "BookTable"), ("town", "kitchen", "day", "hour", "guests", "garden")),
    _Service("Rooms", ("FindRoom", "BookRoom"), ("town", "arrival", "nights", "guests", "stars", "breakfast")),
    _Service("Doctors", ("FindDoctor", "BookVisit"), ("town", "field", "day", "hour", "insurance")),
    _Service("Films", ("FindFilm", "BuyTickets"), ("town", "genre", "film", "day", "hour", "seats")),
    _Service("Parcels", ("FindParcel", "MoveDelivery"), ("parcel", "day", "window", "neighbour")),
    _Service("Banking", ("ShowBalance", "SendMoney"), ("account", "amount", "receiver", "reference", "day")),
    _Service("Music", ("FindSong", "PlaySong"), ("artist", "song", "album", "room", "volume")),
)
_SERVICES_IN_A_CONVERSATION = (1, 1, 1, 1, 2, 2, 2, 2, 2, 3)
_SLOTS_IN_A_TURN = (0, 0, 0, 1, 1, 1, 1, 1, 2, 2)
_TURNS_WITH_A_SERVICE = (3, 4, 4, 5, 5, 5, 6, 6, 7, 9)
_IN_ORDER = 0.95
_VALUES = 40


def generate(count: int, seed: int) -> list[Conversation]:
    """Return made-up conversations: of one to three services, around nine turns, two in five of which fill no slot.

    >>> generate(3, seed=1) == generate(3, seed=1)
    True
    """
    rng = random.Random(f"conversations {seed}")
    return [Conversation(f"made-up-{number}", tuple(_turns(rng))) for number in range(count)]


def _turns(rng: random.Random) -> list[Turn]:
    turns: list[Turn] = []
    for service in rng.sample(_SERVICES, rng.choice(_SERVICES_IN_A_CONVERSATION)):
        length = rng.choice(_TURNS_WITH_A_SERVICE)
        books_from = rng.randrange(1, length + 1)
        to_fill = list(service.slots)
        for number in range(length):
            slots = _slots(rng, service, to_fill)
            intent = service.intents[number >= books_from]
            turns.append(Turn(service.name, intent, {slot: f"{slot} {rng.randrange(_VALUES)}" for slot in slots}))
    if rng.random() < 0.5:
        turns.append(Turn(turns[-1].service, NO_INTENT, {}))
    return turns


def _slots(rng: random.Random, service: _Service, to_fill: list[str]) -> list[str]:
    """Return the slots of one turn: mostly the next in order, as users answer what they are asked."""
    count = rng.choice(_SLOTS_IN_A_TURN)
    if rng.random() > _IN_ORDER:
        return rng.sample(service.slots, count)
    slots, to_fill[:count] = to_fill[:count], []
    return slots
