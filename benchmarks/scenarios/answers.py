"""Compare the answers of the stores before anything is timed: times of wrong answers mean nothing."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TypeAlias
from uuid import UUID

from benchmarks.measure.timing import yield_to_loop
from benchmarks.scenarios.operations import Answer, Bind, sessions_in
from benchmarks.scenarios.sessions import SessionKeys
from benchmarks.stores.subjects import Subject
from sessiondex import Channel, Session, SessionStatus

Answers: TypeAlias = dict[str, list[list[str]]]
"""For each query, for each key: the sessions of the answer in order, as id and hash of the content; or the counts."""

_MAX_VISITED = 500_000
_MIN_KEYS, _MAX_KEYS = 3, 25
_ID, _NAME = UUID(int=1), "unknown"
_UNKNOWN = SessionKeys(_ID, _ID, Channel.VOICE, _NAME, _ID, _ID, SessionStatus.ACTIVE, _ID, _NAME, scenario_version=1)


class AnswersDifferError(Exception):
    """Two stores answer the same query differently, so their times cannot be compared."""


def digest(session: Session) -> str:
    """Return the id and a hash of the content."""
    # Without the revision: the library's stores count saves, the other subjects do not.
    content = session.model_dump_json(exclude={"revision"})
    return f"{session.session_id}:{hashlib.blake2b(content.encode(), digest_size=16).hexdigest()}"


def sample(pool: Sequence[SessionKeys], size: int) -> Sequence[SessionKeys]:
    """Return the keys to ask for, fewer in large populations where each costs a scan, and one key that is unknown."""
    return [*pool[: min(_MAX_KEYS, max(_MIN_KEYS, _MAX_VISITED // size))], _UNKNOWN]


async def collect(subject: Subject, keys: Sequence[SessionKeys], queries: Mapping[str, Bind]) -> Answers:
    """Return the subject's answers to the queries for all these keys."""
    answers: Answers = {}
    for query, bind in queries.items():
        answers[query] = []
        for wanted in keys:
            answers[query].append(_entries(await bind(subject, wanted)()))
            await yield_to_loop()
    return answers


def compare(answers: Mapping[str, Answers], size: int) -> None:
    """Compare the answers of all subjects, by name, with those of the first one.

    Raises:
        AnswersDifferError: two subjects answer a query differently.
    """
    (first, expected), *others = answers.items()
    for name, actual in others:
        for query in actual:
            for ours, theirs in zip(expected[query], actual[query], strict=True):
                if ours != theirs:
                    raise AnswersDifferError(
                        f"{query}: at {size:,} sessions, {first} and {name} answer differently: "
                        f"{len(ours)} and {len(theirs)} entries, {_difference(ours, theirs)}"
                    )


def _entries(answer: Answer) -> list[str]:
    if isinstance(answer, int):
        return [f"count:{answer}"]
    if isinstance(answer, dict):
        return [f"{key}:{count}" for key, count in sorted(answer.items())]
    return [digest(session) for session in sessions_in(answer)]


def _difference(ours: list[str], theirs: list[str]) -> str:
    for place, (our, their) in enumerate(zip(ours, theirs, strict=False)):
        if our != their:
            return f"other entries from place {place} on, {our} and {their}"
    return "one of them is cut short"
