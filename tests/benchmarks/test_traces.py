"""Traces: read, or refused with the reason and the line; or generated."""

import gzip
from functools import partial
from pathlib import Path

import pytest

from benchmarks.scenarios.traces import Conversation, TraceError, Turn, generate, read_trace

LINE = '{"id": "a", "turns": [["Trains", "FindTrain", {"day": "Monday"}], ["Trains", "NONE", {}]]}'


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace.jsonl.gz"


def test_two_turns(trace: Path) -> None:
    """A line becomes a conversation with its turns in order."""
    trace.write_bytes(gzip.compress(LINE.encode()))
    turns = (Turn("Trains", "FindTrain", {"day": "Monday"}), Turn("Trains", "NONE", {}))

    assert [Conversation("a", turns)] == read_trace(trace)


zipped = partial(gzip.compress, mtime=0)  # the same bytes each time: they are in the tests' names


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "there is no such file"),
        (b"", "not a complete gzip file|holds no conversation"),
        (LINE.encode(), "not a complete gzip file"),
        (zipped(LINE.encode())[:-9], "not a complete gzip file"),
        (zipped(b""), "holds no conversation"),
        (zipped(b"\xff\xfe"), "not UTF-8"),
        (zipped(b"hello"), "line 1: not a line of JSON"),
        (zipped(f"{LINE}\n{{".encode()), "line 2: not a line of JSON"),
        (zipped(b"[1, 2]"), "line 1: not of the form"),
        (zipped(b'{"id": "a"}'), "line 1: not of the form"),
        (zipped(b'{"id": 5, "turns": [["s", "i", {}]]}'), "line 1: not of the form"),
        (zipped(b'{"id": "a", "turns": []}'), "line 1: not of the form"),
        (zipped(b'{"id": "a", "turns": [["s", "i"]]}'), "line 1: a turn is not of the form"),
        (zipped(b'{"id": "a", "turns": [["s", "i", {"slot": 5}]]}'), "line 1: a turn is not of the form"),
        (zipped(f"{LINE}\n{LINE}".encode()), "two conversations have the same id"),
    ],
)
def test_not_a_trace(trace: Path, content: bytes | None, reason: str) -> None:
    """Other files are refused; the message names the file and the reason."""
    if content is not None:
        trace.write_bytes(content)

    with pytest.raises(TraceError, match=reason) as caught:
        read_trace(trace)
    assert str(caught.value).startswith(str(trace))


def test_generated_conversations() -> None:
    """They are the same for the same seed, and as long as real ones."""
    conversations = generate(500, seed=3)
    turns = [turn for conversation in conversations for turn in conversation.turns]

    assert conversations == generate(500, seed=3)
    assert conversations != generate(500, seed=4)
    assert 8 < len(turns) / len(conversations) < 11
    assert 0.3 < sum(not turn.slots for turn in turns) / len(turns) < 0.5
