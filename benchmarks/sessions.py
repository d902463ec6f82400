"""The standard session, and populations of it.

The standard session has all fields set, three step visits and a few variables, one nested: about 1.6 KB as JSON. One in
ten is to be migrated.

A population is spread over 3 tenants of 20 agents each, evenly. A customer has one to three sessions, on any channel,
and two on the same channel share their channel identity. Six in ten sessions are active. The number of steps grows with
the population, so that about 50 active sessions stand at each, from 1,000 sessions on: a step query has about as much
to answer at any size, and what grows is only what it must not look at.
"""

from __future__ import annotations

import json
import random
from array import array
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple
from uuid import UUID

from benchmarks.clock import START
from benchmarks.zipf import Zipf
from sessiondex import Channel, Session, SessionStatus

TENANTS = 3
AGENTS_PER_TENANT = 20
AT_A_STEP = 50
DRAWS = 4096

UNIFORM = "uniform"
ZIPF = "zipf 0.99"
DISTRIBUTIONS = (UNIFORM, ZIPF)
RECENT = "recently used"
"""The same few sessions over and over, so that they are in the processor's cache."""
_RECENT = 4

_VERSION = 4
_MIGRATING = 0.1
_START = int(START.timestamp())
_DAY = 24 * 60 * 60
_SCENARIOS_PER_TENANT = 5
_CHANNELS = {"whatsapp": 30, "webchat": 25, "sms": 15, "slack": 10, "email": 10, "voice": 5, "api": 5}
_STATUSES = {"active": 60, "idle": 15, "closed": 15, "processing": 5, "interrupted": 5}
_CITIES = ("Lisbon", "Osaka", "Accra", "Lima", "Tromsø", "Hanoi", "Bergen", "Quito")
_NODES = ("welcome", "ask_city", "ask_date", "offer", "confirm", "pay")


class SessionKeys(NamedTuple):
    """What one session is found by: equal to its own values, but other objects, as ids in a request are."""

    session_id: UUID
    tenant_id: UUID
    channel: Channel
    user_channel_id: str
    agent_id: UUID
    customer_profile_id: UUID
    status: SessionStatus
    scenario_id: UUID
    step_content_hash: str
    scenario_version: int = _VERSION


def keys_of(session: Session) -> SessionKeys:
    """Return the keys of a standard session."""
    assert session.customer_profile_id is not None
    assert session.active_scenario_id is not None
    content_hash = session.step_history[-1].step_content_hash
    assert content_hash is not None
    return SessionKeys(
        UUID(bytes=session.session_id.bytes),
        UUID(bytes=session.tenant_id.bytes),
        session.channel,
        session.user_channel_id.encode().decode(),
        UUID(bytes=session.agent_id.bytes),
        UUID(bytes=session.customer_profile_id.bytes),
        session.status,
        UUID(bytes=session.active_scenario_id.bytes),
        content_hash.encode().decode(),
    )


class _Step(NamedTuple):
    scenario: int
    id: int
    name: str
    content_hash: int


class Population:
    """The same sessions for the same size and seed, every time it is walked over."""

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self._seed = seed

    @cached_property
    def draws(self) -> dict[str, list[int]]:
        """For each distribution, the positions of the sessions to ask for."""
        rng = random.Random(f"draws {self._seed} {self.size}")
        places = rng.sample(range(self.size), self.size)  # or else the oldest would be the most wanted
        return {
            UNIFORM: rng.choices(places, k=DRAWS),
            ZIPF: [places[rank] for rank in Zipf(self.size).draws(rng, DRAWS)],
            RECENT: places[:_RECENT] * (DRAWS // _RECENT),
        }

    def __iter__(self) -> Iterator[Session]:
        rng = random.Random(f"sessions {self._seed} {self.size}")
        tenants = [rng.getrandbits(128) for _ in range(TENANTS)]
        agents = [[rng.getrandbits(128) for _ in range(AGENTS_PER_TENANT)] for _ in tenants]
        steps = [self._steps(rng) for _ in tenants]
        channels, statuses = list(_CHANNELS), list(_STATUSES)
        # Numbers, not lists of what they stand for: the garbage collector visits a list of a million in others' time.
        columns = zip(
            array("I", _customers(rng, self.size)),
            bytes(rng.choices(range(len(channels)), list(_CHANNELS.values()), k=self.size)),
            bytes(rng.choices(range(len(statuses)), list(_STATUSES.values()), k=self.size)),
            bytes(rng.choices(range(len(_CITIES)), k=self.size)),
            strict=True,
        )
        for customer, channel, status, city in columns:
            tenant = customer % TENANTS
            first, second, last = rng.choices(steps[tenant], k=3)
            values = {
                "session": rng.getrandbits(128),
                "tenant": tenants[tenant],
                "agent": rng.choice(agents[tenant]),
                "channel": channels[channel],
                "customer": customer,
                "scenario": last.scenario,
                "step_1": first.id,
                "node_1": first.name,
                "hash_1": first.content_hash,
                "step_2": second.id,
                "node_2": second.name,
                "hash_2": second.content_hash,
                "step_3": last.id,
                "node_3": last.name,
                "hash_3": last.content_hash,
                "city": _CITIES[city],
                "status": statuses[status],
                "created": _START - rng.randrange(_DAY, 30 * _DAY),
            }
            is_migrating = rng.random() < _MIGRATING
            yield Session.model_validate_json((_MIGRATING_TEMPLATE if is_migrating else _TEMPLATE) % values)

    def _steps(self, rng: random.Random) -> list[_Step]:
        active = self.size * _STATUSES["active"] / sum(_STATUSES.values())
        scenarios = [rng.getrandbits(128) for _ in range(_SCENARIOS_PER_TENANT)]
        return [
            _Step(rng.choice(scenarios), rng.getrandbits(128), rng.choice(_NODES), rng.getrandbits(64))
            for _ in range(max(1, round(active / TENANTS / AT_A_STEP)))
        ]


def _customers(rng: random.Random, size: int) -> list[int]:
    """Return a customer number for each session: one to three sessions each, in no order."""
    numbers: list[int] = []
    customer = 0
    while len(numbers) < size:
        customer += 1
        numbers += [customer] * rng.randint(1, 3)
    del numbers[size:]
    rng.shuffle(numbers)
    return numbers


# Loaded from JSON, which costs half of calling the constructors, and there are many to make.
def _visit(number: int, **more: object) -> dict[str, object]:
    return {
        "step_id": f"%(step_{number})032x",
        "step_name": f"%(node_{number})s",
        "entered_at": "%(created)d",
        "turn_number": number,
        "confidence": 0.97,
        "step_content_hash": f"%(hash_{number})016x",
        **more,
    }


def _template(**more: object) -> str:
    fields = {
        "session_id": "%(session)032x",
        "tenant_id": "%(tenant)032x",
        "agent_id": "%(agent)032x",
        "channel": "%(channel)s",
        "user_channel_id": "user-%(customer)d",
        "customer_profile_id": "7c1e0f8ab24d4e3f9a5b%(customer)012x",
        "config_version": 7,
        "active_scenario_id": "%(scenario)032x",
        "active_step_id": "%(step_3)032x",
        "active_scenario_version": _VERSION,
        "step_history": [
            _visit(1, is_checkpoint=True, checkpoint_description="greeted"),
            _visit(2, transition_reason="intent"),
            _visit(3, transition_reason="slot filled"),
        ],
        "relocalization_count": 1,
        "rule_fires": {"greet": 1},
        "rule_last_fire_turn": {"greet": 1},
        "variables": {"city": "%(city)s", "guests": 2, "order": {"items": ["A1", "B2"], "total": 129.5}},
        "variable_updated_at": {"city": "%(created)d"},
        "turn_count": 3,
        "status": "%(status)s",
        "scenario_checksum": "%(hash_1)016x",
        "created_at": "%(created)d",
        "last_activity_at": "%(created)d",
    }
    return json.dumps(fields | more)


_TEMPLATE = _template()
_MIGRATING_TEMPLATE = _template(
    pending_migration={
        "target_version": _VERSION + 1,
        "anchor_content_hash": "%(hash_3)016x",
        "migration_plan_id": "%(step_1)032x",
        "marked_at": "%(created)d",
    }
)
