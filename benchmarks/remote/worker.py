"""A worker of a service: a process of its own, which takes its share of the turns of conversations.

`python -m benchmarks.remote.worker URL PREFIX WORKER WORKERS CONVERSATIONS TURNS TASKS` says `ready`, waits for a line
to come in, takes its turns, and prints how many they were. What the workers share is on the server, and nothing else.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID, uuid4

from benchmarks.sessions import Population
from sessiondex import Channel, Session, SessionStatus
from sessiondex.stores.redis import RedisSessionStore

TENANT, AGENT = UUID(int=1), UUID(int=2)
CHANNEL = Channel.WEBCHAT
READY = "ready"
TAKEN = "turns_taken"
"""The variable in which a session has the numbers of the turns that it went through."""


class Share(NamedTuple):
    """What this worker is to do: those turns of every conversation whose number, modulo `workers`, is its own."""

    url: str
    prefix: str
    worker: int
    workers: int
    conversations: int
    turns: int
    tasks: int

    def visits(self) -> list[tuple[int, int]]:
        """Return the conversations and turns, in the order in which they come in: one turn of each, then the next."""
        rng = random.Random(f"visits {self.worker}")
        own = range(self.worker, self.turns, self.workers)
        return [(number, turn) for turn in own for number in rng.sample(range(self.conversations), self.conversations)]


def user(conversation: int) -> str:
    """Return who has the conversation."""
    return f"user-{conversation}"


async def work(share: Share) -> int:
    """Take all turns, some at a time, once there is a line to read; return how many they were."""
    standard = next(iter(Population(1, seed=1)))
    visits = share.visits()
    coming = iter(visits)
    async with RedisSessionStore(share.url, prefix=share.prefix) as store:
        await store.health_check()
        print(READY, flush=True)
        await asyncio.to_thread(sys.stdin.readline)

        async def take_some() -> None:
            for conversation, turn in coming:
                await take_turn(store, standard, conversation, turn)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(share.tasks):
                tasks.create_task(take_some())
    return len(visits)


async def take_turn(store: RedisSessionStore[Session], standard: Session, conversation: int, turn: int) -> None:
    """Find the session of the conversation, or make it, and change it while no other worker does."""

    def create() -> Session:
        return standard.model_copy(
            deep=True,
            update={
                "session_id": uuid4(),
                "tenant_id": TENANT,
                "agent_id": AGENT,
                "channel": CHANNEL,
                "user_channel_id": user(conversation),
                "status": SessionStatus.ACTIVE,
                "turn_count": 0,
                "variables": {**standard.variables, TAKEN: []},
            },
        )

    found, _ = await store.get_or_create(TENANT, CHANNEL, user(conversation), create)
    async with store.exclusive(found.session_id):
        session = await store.get(found.session_id, tenant_id=TENANT)
        assert session is not None
        session.turn_count += 1
        taken = session.variables[TAKEN]
        assert isinstance(taken, list)
        taken.append(turn)
        await store.save(session, expected_revision=session.revision)


def main(arguments: Sequence[str]) -> None:
    """Do the share that the arguments say."""
    address, prefix, *rest = arguments
    worker, workers, conversations, turns, tasks = map(int, rest)
    print(asyncio.run(work(Share(address, prefix, worker, workers, conversations, turns, tasks))))


if __name__ == "__main__":
    main(sys.argv[1:])
