"""Map conversations to sessions: assign owners, derive steps, and change a session as a turn does.

A conversation is one session of one customer on one channel. Its services are scenarios, of version 1. A step is a
service, an intent and the set of slots filled so far; its content hash is a hash
of these. Slot values become variables.

A trace has no tenant, agent, channel or customer. They are assigned by a seeded choice: few tenants and agents are
busy, and customers have one to three conversations, each on another channel.
"""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache
from itertools import islice
from typing import NamedTuple
from uuid import UUID, uuid5

from benchmarks.measure.zipf import Zipf
from benchmarks.scenarios.traces import Conversation, Turn
from sessiondex import Channel, Session, StepVisit

SCENARIO_VERSION = 1

_NAMESPACE = UUID("6a1d6f0e-3c39-4a53-9d0c-8a4f1c7be1d2")
_TENANTS = 6
_AGENTS_PER_TENANT = 10


class Owner(NamedTuple):
    """The tenant, agent, channel identity and customer of a conversation."""

    tenant_id: UUID
    agent_id: UUID
    channel: Channel
    user_channel_id: str
    customer_profile_id: UUID


class Step(NamedTuple):
    """A step of a scenario."""

    scenario_id: UUID
    step_id: UUID
    name: str
    content_hash: str

    def __str__(self) -> str:
        return f"{self.scenario_id}/{SCENARIO_VERSION}/{self.content_hash}"


class Visit(NamedTuple):
    """A turn of a conversation with its owner, and the step that it leads to."""

    conversation: str
    owner: Owner
    turn: Turn
    step: Step


def visits(conversation: Conversation, owner: Owner) -> Iterator[Visit]:
    """Yield the turns of the conversation with the steps that they lead to."""
    filled: set[str] = set()
    for turn in conversation.turns:
        filled |= turn.slots.keys()
        yield Visit(conversation.id, owner, turn, _step(turn.service, turn.intent, tuple(sorted(filled))))


@cache
def _step(service: str, intent: str, filled: tuple[str, ...]) -> Step:
    scenario_id = uuid5(_NAMESPACE, service)
    content_hash = hashlib.sha256(json.dumps([service, intent, filled]).encode()).hexdigest()[:32]
    return Step(scenario_id, uuid5(scenario_id, content_hash), intent, content_hash)


def new_session(visit: Visit, now: datetime) -> Session:
    """Return the session of a new conversation, with an id derived from the conversation's."""
    session_id = uuid5(visit.owner.tenant_id, visit.conversation)
    return Session(session_id=session_id, created_at=now, **visit.owner._asdict())


def take_turn(session: Session, visit: Visit, now: datetime) -> None:
    """Apply the turn to the session."""
    step = visit.step
    for slot, value in visit.turn.slots.items():
        session.variables[slot] = value
        session.variable_updated_at[slot] = now
    session.turn_count += 1
    session.active_scenario_id = step.scenario_id
    session.active_scenario_version = SCENARIO_VERSION
    session.active_step_id = step.step_id
    step_visit = StepVisit(
        step_id=step.step_id,
        step_name=step.name,
        entered_at=now,
        turn_number=session.turn_count,
        step_content_hash=step.content_hash,
    )
    session.step_history.append(step_visit)


def assign_owners(conversations: Sequence[Conversation], seed: int) -> list[list[Visit]]:
    """Assign an owner to each conversation; return the visits of each."""
    rng = random.Random(f"owners {seed}")
    owners = _owners(rng)
    return [list(visits(conversation, next(owners))) for conversation in conversations]


def _owners(rng: random.Random) -> Iterator[Owner]:
    tenants, agents = Zipf(_TENANTS), Zipf(_AGENTS_PER_TENANT)
    waiting: list[Owner] = []  # owners of later conversations, so that a customer's are far apart
    number = 0
    while True:
        if len(waiting) < 1000:
            number += 1
            tenant_id = uuid5(_NAMESPACE, f"tenant {tenants.draw(rng)}")
            customer_id = uuid5(tenant_id, f"customer {number}")
            waiting += [
                Owner(tenant_id, uuid5(tenant_id, f"agent {agents.draw(rng)}"), channel, f"user-{number}", customer_id)
                for channel in rng.sample(list(Channel), rng.randint(1, 3))
            ]
        else:
            at = rng.randrange(len(waiting))
            waiting[at], waiting[-1] = waiting[-1], waiting[at]
            yield waiting.pop()


def interleave_visits(assigned: Iterable[list[Visit]], at_once: int, seed: int) -> Iterator[Visit]:
    """Yield all visits, each conversation's in order, with up to `at_once` conversations open at a time."""
    rng = random.Random(f"turns {seed}")
    coming = iter(assigned)
    open_ones = [iter(conversation) for conversation in islice(coming, at_once)]
    while open_ones:
        at = rng.randrange(len(open_ones))
        if visit := next(open_ones[at], None):
            yield visit
        elif conversation := next(coming, None):
            open_ones[at] = iter(conversation)
        else:
            open_ones.pop(at)


def count_last_steps(assigned: Iterable[list[Visit]]) -> Counter[str]:
    """Return how many conversations end at each step, computed without a store."""
    return Counter(str(conversation[-1].step) for conversation in assigned)
