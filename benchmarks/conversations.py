"""Conversations as a service meets them: whose they are, what each turn does to a session, and in which order.

The mapping is that of the trace's own description. A conversation is one session of one customer on one channel. Its
services are scenarios, of version 1. A step is a service, an intent and the set of slots that the session has filled so
far, and its content hash is a hash of exactly these. Slot values become variables.

Tenant, agent, channel and customer are not in the trace. They are assigned by a seeded choice: few tenants and agents
are busy, many customers have one to three conversations, each on a channel of its own.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import NamedTuple
from uuid import UUID, uuid5

from benchmarks.traces import Conversation, Turn
from benchmarks.zipf import Zipf
from sessiondex import Channel, Session, StepVisit

SCENARIO_VERSION = 1

_NAMESPACE = UUID("6a1d6f0e-3c39-4a53-9d0c-8a4f1c7be1d2")
_TENANTS = 6
_AGENTS_PER_TENANT = 10


class Owner(NamedTuple):
    """Whose conversation it is."""

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
    """A turn of somebody's conversation, and the step that it leads to."""

    conversation: str
    owner: Owner
    turn: Turn
    step: Step


def visits(conversation: Conversation, owner: Owner) -> list[Visit]:
    """Return the turns of the conversation with the steps that they lead to."""
    filled: set[str] = set()
    result = []
    for turn in conversation.turns:
        filled |= turn.slots.keys()
        result.append(Visit(conversation.id, owner, turn, _step(turn.service, turn.intent, tuple(sorted(filled)))))
    return result


@cache
def _step(service: str, intent: str, filled: tuple[str, ...]) -> Step:
    scenario_id = uuid5(_NAMESPACE, service)
    content_hash = hashlib.sha256(json.dumps([service, intent, filled]).encode()).hexdigest()[:32]
    return Step(scenario_id, uuid5(scenario_id, content_hash), intent, content_hash)


def new_session(visit: Visit, now: datetime) -> Session:
    """Return the session of a conversation that begins, with an id that follows from the conversation's."""
    owner = visit.owner
    return Session(
        session_id=uuid5(owner.tenant_id, visit.conversation),
        tenant_id=owner.tenant_id,
        agent_id=owner.agent_id,
        channel=owner.channel,
        user_channel_id=owner.user_channel_id,
        customer_profile_id=owner.customer_profile_id,
        created_at=now,
    )


def take_turn(session: Session, visit: Visit, now: datetime) -> None:
    """Change the session as the turn says."""
    step = visit.step
    for slot, value in visit.turn.slots.items():
        session.variables[slot] = value
        session.variable_updated_at[slot] = now
    session.turn_count += 1
    session.active_scenario_id = step.scenario_id
    session.active_scenario_version = SCENARIO_VERSION
    session.active_step_id = step.step_id
    session.step_history.append(
        StepVisit(
            step_id=step.step_id,
            step_name=step.name,
            entered_at=now,
            turn_number=session.turn_count,
            step_content_hash=step.content_hash,
        )
    )


def assign(conversations: Sequence[Conversation], seed: int) -> list[list[Visit]]:
    """Return the visits of each conversation, which now has an owner."""
    rng = random.Random(f"owners {seed}")
    owners = _owners(rng)
    return [visits(conversation, next(owners)) for conversation in conversations]


def _owners(rng: random.Random) -> Iterator[Owner]:
    tenants, agents = Zipf(_TENANTS), Zipf(_AGENTS_PER_TENANT)
    waiting: list[Owner] = []  # those who have yet to come back, so that a customer's conversations lie apart
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


def interleave(assigned: Iterable[list[Visit]], at_once: int, seed: int) -> Iterator[Visit]:
    """Yield all visits, each conversation's in order, those of `at_once` conversations mixed; who ends makes room."""
    rng = random.Random(f"turns {seed}")
    coming = iter(assigned)
    open_ones: list[Iterator[Visit]] = []
    while True:
        while len(open_ones) < at_once and (conversation := next(coming, None)) is not None:
            open_ones.append(iter(conversation))
        if not open_ones:
            return
        at = rng.randrange(len(open_ones))
        visit = next(open_ones[at], None)
        if visit is None:
            open_ones[at] = open_ones[-1]
            open_ones.pop()
        else:
            yield visit


def standing(assigned: Iterable[list[Visit]]) -> Counter[str]:
    """Return how many conversations end at each step: what the stores must count, told without a store."""
    return Counter(str(conversation[-1].step) for conversation in assigned)
