"""The check before the race: contestants that answer differently are not compared."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from functools import partial
from typing import TypeAlias
from uuid import UUID

from benchmarks.contestants import Contestant
from benchmarks.measure import listen
from benchmarks.operations import READS, Answer, sessions_in
from benchmarks.sessions import SessionKeys
from sessiondex import Channel, Session, SessionStatus

Answers: TypeAlias = dict[str, list[list[str]]]
"""For each query, for each key asked for: the sessions of the answer in order, each as id and hash of its content.

What is counted stands in their place, with its number.
"""

_WALKED = 500_000
_LEAST, _MOST = 3, 25
_NOBODY = SessionKeys(
    session_id=UUID(int=1),
    tenant_id=UUID(int=2),
    channel=Channel.VOICE,
    user_channel_id="nobody",
    agent_id=UUID(int=3),
    customer_profile_id=UUID(int=4),
    status=SessionStatus.ACTIVE,
    scenario_id=UUID(int=5),
    step_content_hash="nowhere",
)


class AnswersDifferError(Exception):
    """Two contestants answer the same question differently, so their times mean nothing."""


def digest(session: Session) -> str:
    """Return the id and a hash of the content."""
    # Without the revision: the stores of the library count saves, the scan of live objects and the peers do not.
    content = session.model_dump_json(exclude={"revision"})
    return f"{session.session_id}:{hashlib.blake2b(content.encode(), digest_size=16).hexdigest()}"


def sample(pool: Sequence[SessionKeys], size: int) -> Sequence[SessionKeys]:
    """Return the keys to ask for, the last of them nobody's: fewer in large populations, where each costs a walk."""
    return [*pool[: min(_MOST, max(_LEAST, _WALKED // size))], _NOBODY]


async def collect(contestant: Contestant, keys: Sequence[SessionKeys], cannot: Container[str] = frozenset()) -> Answers:
    """Return the contestant's answers to every query, except those that it cannot answer."""
    able = {query: partial(bind, contestant.store) for query, bind in READS.items() if query not in cannot}
    return await collect_from(able, keys)


async def collect_from(
    queries: Mapping[str, Callable[[SessionKeys], Callable[[], Awaitable[Answer | int | dict[str, int]]]]],
    keys: Sequence[SessionKeys],
) -> Answers:
    """Return the answers to these queries, each bound to its store."""
    answers: Answers = {}
    for query, bind in queries.items():
        answers[query] = []
        for wanted in keys:
            answers[query].append(_entries(await bind(wanted)()))
            await listen()
    return answers


def _entries(answer: Answer | int | dict[str, int]) -> list[str]:
    if isinstance(answer, int):
        return [f"count:{answer}"]
    if isinstance(answer, dict):
        return [f"{counted}:{number}" for counted, number in sorted(answer.items())]
    return [digest(session) for session in sessions_in(answer)]


def compare(answers: Mapping[str, Answers], size: int) -> None:
    """Raise `AnswersDifferError` unless all contestants answered alike; `answers` are theirs by name.

    The first is to have answered every query, the others what they can.
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


def _difference(ours: list[str], theirs: list[str]) -> str:
    for place, (our, their) in enumerate(zip(ours, theirs, strict=False)):
        if our.partition(":")[0] != their.partition(":")[0]:
            return f"other ids from place {place} on"
        if our != their:
            return f"the same id with other content at place {place}, {our} and {their}"
    return "one of them cut short"
