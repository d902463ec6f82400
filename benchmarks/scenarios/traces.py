"""Read conversations from a trace, or generate them in the same shape."""

import gzip
import json
import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


class Turn(NamedTuple):
    """The service and intent of a user's turn, and the slot values that it added or changed."""

    service: str
    intent: str
    slots: dict[str, str]


@dataclass(frozen=True)
class Conversation:
    """The turns of one user, at least one, in order."""

    id: str
    turns: tuple[Turn, ...]


class TraceError(ValueError):
    """The file is not a trace; the message says where and why."""


def read_trace(path: Path) -> list[Conversation]:
    """Read the conversations of a gzipped file of JSON lines, one conversation per line.

    A line is `{"id": ..., "turns": [[service, intent, {slot: value, ...}], ...]}`.

    Raises:
        TraceError: there is no such file, or it holds something else.
    """
    if not path.is_file():
        raise TraceError(f"{path}: there is no such file")
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            texts = [(f"{path}, line {number}", line) for number, line in enumerate(lines, 1) if line.strip()]
            conversations = [_conversation(line, where) for where, line in texts]
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
        json.dumps(parsed, ensure_ascii=False).encode()
    except (json.JSONDecodeError, RecursionError, UnicodeEncodeError):
        raise TraceError(f"{where}: not a line of JSON, or not Unicode text in it") from None
    match parsed:
        case {"id": str(name), "turns": [_, *_] as turns}:
            return Conversation(name, tuple(_turn(turn, where) for turn in turns))
    raise TraceError(f'{where}: not of the form {{"id": "...", "turns": [[service, intent, slots], ...]}}')


def _turn(parsed: Any, where: str) -> Turn:
    match parsed:
        case [str(service), str(intent), dict(slots)] if all(isinstance(value, str) for value in slots.values()):
            return Turn(service, intent, slots)
    raise TraceError(f"{where}: a turn is not of the form [service, intent, {{slot: text, ...}}]")


# -- generated --

_SERVICES = {
    "Trains": ("FindTrain", "BookTrain", "origin destination day seats class meal"),
    "Tables": ("FindTable", "BookTable", "town kitchen day hour guests garden"),
    "Rooms": ("FindRoom", "BookRoom", "town arrival nights guests stars breakfast"),
    "Doctors": ("FindDoctor", "BookVisit", "town field day hour insurance"),
    "Films": ("FindFilm", "BuyTickets", "town genre film day hour seats"),
    "Parcels": ("FindParcel", "MoveDelivery", "parcel day window neighbour"),
    "Banking": ("ShowBalance", "SendMoney", "account amount receiver reference day"),
    "Music": ("FindSong", "PlaySong", "artist song album room volume"),
}
"""The first intent of each service, the intent of later turns, and the slots."""
_SERVICES_IN_A_CONVERSATION = (1, 1, 1, 1, 2, 2, 2, 2, 2, 3)
_SLOTS_IN_A_TURN = (0, 0, 0, 1, 1, 1, 1, 1, 2, 2)
_TURNS_WITH_A_SERVICE = (3, 4, 4, 5, 5, 5, 6, 6, 7, 9)
_VALUES = 40


def generate(count: int, seed: int) -> list[Conversation]:
    """Generate conversations of one to three services and around nine turns; two in five turns fill no slot.

    >>> generate(3, seed=1) == generate(3, seed=1)
    True
    """
    rng = random.Random(f"conversations {seed}")
    return [Conversation(f"generated-{number}", tuple(_turns(rng))) for number in range(count)]


def _turns(rng: random.Random) -> Iterator[Turn]:
    for service in rng.sample(list(_SERVICES), rng.choice(_SERVICES_IN_A_CONVERSATION)):
        first, later, names = _SERVICES[service]
        length = rng.choice(_TURNS_WITH_A_SERVICE)
        later_from = rng.randrange(1, length + 1)
        to_fill = names.split()  # in order, as users answer questions
        for number in range(length):
            filled = [to_fill.pop(0) for _ in range(min(len(to_fill), rng.choice(_SLOTS_IN_A_TURN)))]
            slots = {slot: f"{slot} {rng.randrange(_VALUES)}" for slot in filled}
            yield Turn(service, later if number >= later_from else first, slots)
