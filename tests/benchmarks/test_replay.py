"""Replays: the same conversations give the same answers in every store, and that is checked."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from benchmarks.measure.clock import START
from benchmarks.measure.progress import Progress
from benchmarks.scenarios import replay
from benchmarks.scenarios.conversations import Owner, assign_owners, interleave_visits, new_session, take_turn, visits
from benchmarks.scenarios.replay import COMPARED, ReplaysDifferError
from benchmarks.scenarios.traces import Conversation, Turn, generate, read_trace
from benchmarks.stores.reference import ReferenceScan
from benchmarks.stores.subjects import INDEXED, KINDS, REFERENCE
from sessiondex import Channel, Session

SHARED = Path(__file__).parents[3] / "shared" / "data" / "sgd_train_states.jsonl.gz"
TRACE = Path(os.environ.get("SESSIONDEX_TRACE", SHARED))
OWNER = Owner(UUID(int=1), UUID(int=2), Channel.SMS, "user-1", UUID(int=3))


async def test_generated_conversations() -> None:
    """All stores replay the first conversations with the same answers; the indexed store then replays all."""
    conversations = generate(60, seed=1)
    *compared, whole = await replay.run(conversations, 40, 1, Progress())

    assert [each.subject for each in compared] == list(COMPARED)
    assert len({(each.answers, each.turns, each.steps) for each in compared}) == 1
    assert (whole.subject, whole.conversations, whole.answers) == (INDEXED, 60, None)
    assert sum(len(conversation.turns) for conversation in conversations) == whole.turns
    assert sum(whole.operations[name].calls for name in ("save, new", "save, again")) == whole.turns


@pytest.mark.skipif(not TRACE.is_file(), reason="there is no trace; set SESSIONDEX_TRACE to the path of one")
async def test_real_conversations() -> None:
    """The sessions of a real trace end at as many steps as its conversations do."""
    conversations = read_trace(TRACE)[:200]
    ends = {
        (turns[-1].service, turns[-1].intent, frozenset(slot for turn in turns for slot in turn.slots))
        for turns in (conversation.turns for conversation in conversations)
    }
    replays = await replay.run(conversations, 200, 1, Progress())

    assert [each.subject for each in replays] == list(COMPARED)
    assert {len(ends)} == {each.steps for each in replays}


class Forgetful(ReferenceScan):
    """Loses a session now and then: it says that it is saved."""

    saves = 0

    async def save(self, session: Session) -> UUID:
        self.saves += 1
        return session.session_id if self.saves % 50 == 0 else await super().save(session)


class Reversed(ReferenceScan):
    """Lists the oldest sessions first."""

    async def list_by_agent(self, *args: Any, **more: Any) -> list[Session]:
        return (await super().list_by_agent(*args, **more))[::-1]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Forgetful, "reference scan finds .* are not at the step where their conversation ended|answer the same"),
        (Reversed, "indexed and reference scan answer the same turns differently"),
    ],
)
async def test_wrong_store(wrong: type[ReferenceScan], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that loses or reorders sessions stops the run."""
    monkeypatch.setitem(KINDS, REFERENCE, replace(KINDS[REFERENCE], make=wrong))

    with pytest.raises(ReplaysDifferError, match=message):
        await replay.run(generate(60, seed=1), 60, 1, Progress())


def test_steps() -> None:
    """A step's hash depends on its service, its intent and the slots filled so far, and on nothing else."""
    turns = (
        Turn("Trains", "FindTrain", {"day": "Monday"}),
        Turn("Trains", "FindTrain", {"day": "Tuesday"}),  # the same slot
        Turn("Trains", "FindTrain", {"seats": "2"}),
        Turn("Trains", "BookTrain", {}),
        Turn("Tables", "BookTrain", {}),
    )
    first, same, *others = [visit.step for visit in visits(Conversation("a", turns), OWNER)]

    assert first == same
    assert len({first.content_hash, *[step.content_hash for step in others]}) == 4
    assert first.scenario_id == others[0].scenario_id != others[-1].scenario_id


def test_turns_change_the_session() -> None:
    """Slots become variables, and each turn is a visit to its step."""
    turns = (Turn("Trains", "FindTrain", {"day": "Monday"}), Turn("Trains", "BookTrain", {"seats": "2"}))
    first, second = visits(Conversation("a", turns), OWNER)
    session = new_session(first, START)
    take_turn(session, first, START)
    take_turn(session, second, START)

    assert session.variables == {"day": "Monday", "seats": "2"}
    assert [first.step.content_hash, second.step.content_hash] == [
        visit.step_content_hash for visit in session.step_history
    ]
    assert (session.active_scenario_id, session.turn_count) == (second.step.scenario_id, 2)


def test_turns_are_mixed() -> None:
    """All turns come, each conversation's in order, with no more than seven conversations open at a time."""
    assigned = assign_owners(generate(50, seed=1), seed=1)
    left = {visits[0].conversation: list(visits) for visits in assigned}
    begun: dict[str, int] = {}
    for visit in interleave_visits(assigned, 7, seed=1):
        assert left[visit.conversation].pop(0) == visit
        begun[visit.conversation] = len(left[visit.conversation])
        assert sum(turns > 0 for turns in begun.values()) <= 7

    assert not any(left.values())
