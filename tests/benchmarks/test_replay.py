"""Replays: the same conversations end the same way in every store, and that is checked, not assumed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from benchmarks import replay
from benchmarks.clock import START
from benchmarks.contestants import INDEXED, SCAN_STORE
from benchmarks.conversations import Owner, Visit, assign, interleave, new_session, standing, take_turn, visits
from benchmarks.progress import QuietProgress
from benchmarks.replay import ReplaysDifferError
from benchmarks.results import Replayed
from benchmarks.traces import Conversation, Turn, generate, read_trace
from sessiondex import Channel

TRACE = Path(
    os.environ.get("SESSIONDEX_TRACE", Path(__file__).parents[3] / "shared" / "data" / "sgd_train_states.jsonl.gz")
)
OWNER = Owner(UUID(int=1), UUID(int=2), Channel.SMS, "user-1", UUID(int=3))


async def test_made_up_conversations() -> None:
    """Both stores count the same sessions at the same steps, and one more replay of more of them in the index too."""
    conversations = generate(100, seed=1)
    indexed, scan_store, whole = await replay.run(conversations, 60, 1, QuietProgress())

    assert indexed.sessions_by_step == scan_store.sessions_by_step
    assert indexed.answers == scan_store.answers
    assert (indexed.conversations, scan_store.conversations, whole.conversations) == (60, 60, 100)
    assert sum(whole.sessions_by_step.values()) == 100
    assert sum(len(conversation.turns) for conversation in conversations) == whole.turns
    assert set(replay.OPERATIONS) == set(indexed.operations)


@pytest.mark.skipif(not TRACE.is_file(), reason="there is no trace; set SESSIONDEX_TRACE to the path of one")
async def test_real_conversations() -> None:
    """Both stores count the same sessions at the same steps, which are those that the trace ends at."""
    conversations = read_trace(TRACE)[:500]
    ends = Counter(
        (turns[-1].service, turns[-1].intent, frozenset(slot for turn in turns for slot in turn.slots))
        for turns in (conversation.turns for conversation in conversations)
    )
    indexed, scan_store = await replay.run(conversations, 500, 1, QuietProgress())

    assert indexed.sessions_by_step == scan_store.sessions_by_step
    assert indexed.answers == scan_store.answers
    assert sorted(ends.values()) == sorted(indexed.sessions_by_step.values())


def test_step_follows_service_intent_and_slots() -> None:
    """A step's hash changes with its service, its intent and the slots filled so far, and with nothing else."""
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
    assert (second.step.scenario_id, 1) == (session.active_scenario_id, session.active_scenario_version)
    assert session.turn_count == 2


def test_owners() -> None:
    """Customers have one to three conversations, each on a channel of its own; a few tenants have most of them."""
    assigned = assign(generate(3000, seed=1), seed=1)
    owners = [visits[0].owner for visits in assigned]
    customers = Counter(owner.customer_profile_id for owner in owners)
    tenants = Counter(owner.tenant_id for owner in owners)

    assert {1, 2, 3} == set(customers.values())
    assert len(owners) == len({owner[:4] for owner in owners})
    assert tenants.most_common(1)[0][1] > 3 * min(tenants.values())


def test_turns_are_mixed() -> None:
    """All turns come, each conversation's in order, with no more than so many conversations open at once."""
    assigned = assign(generate(50, seed=1), seed=1)
    left = {visits[0].conversation: list(visits) for visits in assigned}
    begun: dict[str, int] = {}
    for visit in interleave(assigned, 7, seed=1):
        assert left[visit.conversation].pop(0) == visit
        begun[visit.conversation] = len(left[visit.conversation])
        assert sum(turns > 0 for turns in begun.values()) <= 7

    assert not any(left.values())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda counts: {**counts, next(iter(counts)): 0}, "not at the step"),
        (lambda _: {}, "finds 0 sessions"),
    ],
)
def test_wrong_counts(spoil: Callable[[dict[str, int]], dict[str, int]], message: str) -> None:
    """A store that loses sessions is found out."""
    assigned, right = _replayed()
    wrong = replace(right, contestant=SCAN_STORE, sessions_by_step=spoil(right.sessions_by_step))
    replay.check([right], assigned)

    with pytest.raises(ReplaysDifferError, match=message):
        replay.check([right, wrong], assigned)


def test_wrong_answers() -> None:
    """A store that ends alike but answered differently on the way is found out."""
    assigned, right = _replayed()

    with pytest.raises(ReplaysDifferError, match="indexed and scan store answered"):
        replay.check([right, replace(right, contestant=SCAN_STORE, answers="other")], assigned)


def _replayed() -> tuple[list[list[Visit]], Replayed]:
    assigned = assign(generate(5, seed=1), seed=1)
    turns = sum(map(len, assigned))
    return assigned, Replayed(INDEXED, 5, turns, 1.0, {}, dict(standing(assigned)), "same")
