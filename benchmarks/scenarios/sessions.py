"""Make populations of standard sessions, and draw which sessions to ask for.

The standard session has all fields set, three step visits and a few variables, one of them nested: 1.6 KB as JSON. One
in ten has a pending migration.

A population has 3 tenants with 20 agents each. A customer has one to three sessions, on any channel; two on the same
channel share their channel identity. Six in ten sessions are active. The number of steps grows with the population:
from 1,000 sessions on, about 50 active sessions are at each step, so a step query has equally many results at any size.
"""

import json
import random
from array import array
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from benchmarks.measure.clock import START
from sessiondex import Channel, Session, SessionStatus

TENANTS = 3
AGENTS_PER_TENANT = 20
SESSIONS_PER_STEP, DRAWS = 50, 65_536

UNIFORM = "uniform"
ZIPF = "zipf 0.99"
RECENT = "recently used"
"""The same few sessions over and over, so that they are in the processor's cache."""
_RECENT_COUNT = 4

# Sessions are loaded from JSON, which costs half of calling the constructors.
_FIELDS = json.loads(Path(__file__).with_name("standard_session.json").read_text(encoding="utf-8"))
_MIGRATING_TEMPLATE = json.dumps(_FIELDS)
_TEMPLATE = json.dumps({name: value for name, value in _FIELDS.items() if name != "pending_migration"})
_VERSION = _FIELDS["active_scenario_version"]
_MIGRATING = 0.1
_START = int(START.timestamp())
_DAY = 24 * 60 * 60
_SCENARIOS_PER_TENANT = 5
_CHANNELS = {"whatsapp": 30, "webchat": 25, "sms": 15, "slack": 10, "email": 10, "voice": 5, "api": 5}
_STATUSES = {"active": 60, "idle": 15, "closed": 15, "processing": 5, "interrupted": 5}
_CITIES = ("Lisbon", "Osaka", "Accra", "Lima", "Tromsø", "Hanoi", "Bergen", "Quito")
_NODES = ("welcome", "ask_city", "ask_date", "offer", "confirm", "pay")


class SessionKeys(NamedTuple):
    """The keys of one session: equal to its own values but other objects, as ids in a request are."""

    session_id: UUID
    tenant_id: UUID
    channel: Channel | str
    user_channel_id: str
    agent_id: UUID
    customer_profile_id: UUID
    status: SessionStatus
    scenario_id: UUID
    step_content_hash: str
    scenario_version: int


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
        _VERSION,
    )


class _Step(NamedTuple):
    scenario: int
    id: int
    name: str
    content_hash: int


class Population:
    """Yield the same sessions for the same size and seed, each time it is iterated over."""

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self._seed = seed

    @cached_property
    def draws(self) -> dict[str, list[int]]:
        """Return for each way to draw keys the positions of the sessions to ask for."""
        rng = random.Random(f"draws {self._seed} {self.size}")
        places = rng.sample(range(self.size), self.size)  # otherwise the oldest would be asked for most
        return {UNIFORM: rng.choices(places, k=DRAWS), RECENT: places[:_RECENT_COUNT] * (DRAWS // _RECENT_COUNT)}

    def __iter__(self) -> Iterator[Session]:
        rng = random.Random(f"sessions {self._seed} {self.size}")
        tenants = [rng.getrandbits(128) for _ in range(TENANTS)]
        agents = [[rng.getrandbits(128) for _ in range(AGENTS_PER_TENANT)] for _ in tenants]
        steps = [self._steps(rng) for _ in tenants]
        channels, statuses = list(_CHANNELS), list(_STATUSES)
        # Arrays of numbers: the garbage collector would visit a list of a million objects while stores are timed.
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
            for _ in range(max(1, round(active / TENANTS / SESSIONS_PER_STEP)))
        ]


def _customers(rng: random.Random, size: int) -> list[int]:
    """Return a customer number for each session: one to three sessions each, shuffled."""
    numbers: list[int] = []
    customer = 0
    while len(numbers) < size:
        customer += 1
        numbers += [customer] * rng.randint(1, 3)
    del numbers[size:]
    rng.shuffle(numbers)
    return numbers
