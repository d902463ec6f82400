"""Run random schedules: a few tasks on a few ids, interleaved in any order and cancelled anywhere.

In the end each successful operation must have taken effect exactly once. A cancelled one may have taken effect, at most
once.

- Counters only grow, by every operation that must lose no addition; each keeps the numbers that were added.
- The sessions of the batch are saved and deleted together, so readers must see them together.
- Identities are used only by `get_or_create`.
- Any client may save or delete the other sessions at any time.
- A reader follows all changes, which must lead to the stored sessions.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from itertools import count, pairwise
from typing import Any
from uuid import UUID

from sessiondex import ChangeKind, Channel, ConflictError, SessionStatus
from tests.support.builders import AGENT, CUSTOMER, TENANT, Clock, make_session
from tests.support.stores import check_indexes, check_no_lock_is_held, share_codec
from tests.support.virtual_time import run_shuffled

COUNTERS = [UUID(int=101), UUID(int=102)]
OTHERS = [UUID(int=201), UUID(int=202), UUID(int=203)]
BATCH = [UUID(int=301 + number) for number in range(26)]  # more than 25: the loop runs during their checks
LAST = UUID(int=401)
USERS = ["user-a", "user-b"]
DONE, CONFLICT, CANCELLED = "done", "conflict", "cancelled"


class Schedule:
    """Runs random operations on one store, and records their outcomes."""

    def __init__(self, store: Any, seed: int) -> None:
        self.store = store
        self.rng = random.Random(seed)
        self.trace: list[Any] = []
        """The operations in the order in which they ended, and how each ended."""
        self._operations = ANY if self.rng.random() < 0.8 else ANY + ABOUT_THE_BATCH  # batches take long
        self._numbers = count(1)
        self._added: dict[UUID, set[int]] = defaultdict(set)
        self._perhaps_added: dict[UUID, set[int]] = defaultdict(set)
        self._inside: set[UUID] = set()
        self._found: dict[str, set[UUID]] = defaultdict(set)
        self._created: dict[str, int] = defaultdict(int)
        self._changes: list[Any] = []
        self._reader = store.changes(since=0)

    async def main(self) -> None:
        for counter in COUNTERS:
            await self.store.save(make_session(session_id=counter))
        clients = [self._client(self.rng.randint(2, 3)) for _ in range(self.rng.choice((4, 5, 5, 6, 8)))]
        reading = asyncio.ensure_future(self._follow(LAST))
        try:
            async with asyncio.timeout(20):
                await asyncio.gather(*clients)
                await self.store.save(make_session(session_id=LAST))
                await reading
        except TimeoutError:
            raise AssertionError("a task waits for ever") from None
        await self._check()

    # -- clients and cancellations --

    async def _client(self, length: int) -> None:
        for _ in range(length):
            operation = self.rng.choice(self._operations)
            task = asyncio.ensure_future(operation(self))
            for _ in range(self.rng.choice((0, 0, 0, 1, 1, 2))):
                self._cancel_later(task, self.rng.randint(0, 5))
            await asyncio.wait([task])
            end = CANCELLED
            if not task.cancelled():
                assert not task.cancelling(), f"{operation.__name__} swallowed its cancellation"
                end = CONFLICT if await task is False else DONE
            self.trace.append((operation.__name__, end))

    def _cancel_later(self, task: asyncio.Task[Any], rounds: int) -> None:
        """Cancel the task after so many rounds of the loop, unless it is done."""
        if rounds and not task.done():
            asyncio.get_running_loop().call_soon(self._cancel_later, task, rounds - 1)
        else:
            task.cancel()

    async def _pause(self) -> None:
        for _ in range(self.rng.choice((0, 1, 1, 2, 3))):
            await asyncio.sleep(0)

    # -- counters --

    async def _adding(self, add: Callable[[UUID, int], Awaitable[bool]]) -> bool:
        counter, number = self.rng.choice(COUNTERS), next(self._numbers)
        try:
            is_added = await add(counter, number)
        except asyncio.CancelledError:
            self._perhaps_added[counter].add(number)
            raise
        if is_added:
            self._added[counter].add(number)
        return is_added

    async def add(self) -> bool:
        async def by_update(counter: UUID, number: int) -> bool:
            async def change_slowly(session: Any) -> None:
                await self._pause()
                _put(session, number)

            def change(session: Any) -> None:
                _put(session, number)

            try:
                await self.store.update(counter, self.rng.choice([change, change_slowly]))
            except ConflictError:
                return False
            return True

        return await self._adding(by_update)

    async def add_if_expected(self) -> bool:
        async def by_save(counter: UUID, number: int) -> bool:
            session = await self.store.get(counter)
            await self._pause()
            return await self._save_expected(session, number)

        return await self._adding(by_save)

    async def add_in_turn(self) -> bool:
        async def by_turn(counter: UUID, number: int) -> bool:
            async with self.store.exclusive(counter):
                assert counter not in self._inside, "two hold the lock"
                self._inside.add(counter)
                try:
                    session = await self.store.get(counter)
                    await self._pause()
                    return await self._save_expected(session, number)
                finally:
                    self._inside.discard(counter)

        return await self._adding(by_turn)

    async def _save_expected(self, session: Any, number: int) -> bool:
        _put(session, number)
        try:
            await self.store.save(session, expected_revision=session.revision)
        except ConflictError:
            return False
        return True

    # -- sessions that any client may change --

    async def save(self) -> None:
        status = self.rng.choice(list(SessionStatus))
        await self.store.save(make_session(session_id=self.rng.choice(OTHERS), status=status))

    async def delete(self) -> None:
        await self.store.delete(self.rng.choice(OTHERS))

    async def change_other(self) -> bool:
        async def change(session: Any) -> None:
            await self._pause()
            session.turn_count += 1

        try:
            with suppress(LookupError):
                await self.store.update(self.rng.choice(OTHERS), change)
        except ConflictError:
            return False
        return True

    # -- the batch --

    async def save_batch(self) -> None:
        mark = next(self._numbers)
        await self.store.save_many(
            [make_session(session_id=name, customer_profile_id=CUSTOMER, turn_count=mark) for name in BATCH]
        )

    async def delete_batch(self) -> None:
        number = await self.store.delete_many(BATCH)
        assert number in {0, len(BATCH)}, f"{number} of a batch were deleted"

    async def read_batch(self) -> None:
        found = await self.store.list_by_customer(TENANT, CUSTOMER)
        marks = {session.turn_count for session in found}
        assert (len(found), len(marks)) in {(0, 0), (len(BATCH), 1)}, f"half a batch: {len(found)}, of {marks}"
        assert await self.store.count_by_customer(TENANT, CUSTOMER) in {0, len(BATCH)}, "half a batch is counted"

    # -- identities --

    async def reach(self) -> None:
        user = self.rng.choice(USERS)

        async def create() -> Any:
            await self._pause()
            return self._new(user)

        creator = self.rng.choice([create, lambda: self._new(user)])
        session, is_new = await self.store.get_or_create(TENANT, Channel.SMS, user, creator)
        self._found[user].add(session.session_id)
        self._created[user] += is_new

    def _new(self, user: str) -> Any:
        name = UUID(int=1_000 + next(self._numbers))
        return make_session(session_id=name, channel=Channel.SMS, user_channel_id=user)

    # -- reading --

    async def list(self) -> None:
        _check_newest_first(await self.store.list_by_agent(TENANT, AGENT))

    async def iterate(self) -> None:
        found = []
        async for session in self.store.iter_by_agent(TENANT, AGENT, page_size=9):
            found.append(session)
            if len(found) % 9 == 0:
                await self._pause()
        _check_newest_first(found)

    async def count(self) -> None:
        by_status = [await self.store.count_by_agent(TENANT, AGENT, status=status) for status in SessionStatus]
        number = await self.store.count_by_agent(TENANT, AGENT)
        assert sum(by_status) == number, "counts differ"  # nothing else runs in between

    async def _follow(self, last: UUID) -> None:
        """Read changes up to that of `last`, with waits that are sometimes cancelled and repeated."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.rng.choice((0, 0.001, 0.01))):
                    async for change in self._reader:
                        self._changes.append(change)
                        if change.session_id == last:
                            return

    # -- in the end --

    async def _check(self) -> None:
        store = self.store
        check_indexes(store)
        check_no_lock_is_held(store)
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a task was left"
        for counter in COUNTERS:
            session = await store.get(counter)
            numbers = session.variables.get("numbers", [])
            added, perhaps = self._added[counter], self._perhaps_added[counter]
            assert len(numbers) == len(set(numbers)), f"some were added twice: {numbers}"
            assert added <= set(numbers) <= added | perhaps, f"{numbers} were added, not {added}, perhaps {perhaps}"
            assert session.revision == len(numbers) + 1, "the revision does not count the saves"
        everything = await store.list_by_agent(TENANT, AGENT)
        for user in USERS:
            of_user = {session.session_id for session in everything if session.user_channel_id == user}
            assert len(of_user) <= 1, f"{user} was created more than once"
            assert self._created[user] <= 1, f"{user} was reported as created {self._created[user]} times"
            assert self._found[user] <= of_user, f"{user} was found as another session than is stored"
        self._check_changes({session.session_id: session for session in everything})

    def _check_changes(self, stored: dict[UUID, Any]) -> None:
        replayed: dict[UUID, tuple[int, Any]] = {}
        for sequence, change in enumerate(self._changes, 1):
            assert change.sequence == sequence, f"change {change.sequence} came as number {sequence}"
            before = replayed.pop(change.session_id, None)
            version = change.revision, change.stamp
            if change.kind is ChangeKind.SAVED:
                replayed[change.session_id] = version
                assert change.revision == (before[0] if before else 0) + 1, f"change {sequence} skips a revision"
            else:
                assert before == version, f"change {sequence} removes another version"
        versions = {key: (session.revision, session.last_activity_at) for key, session in stored.items()}
        assert replayed == versions, "the changes do not lead to what is stored"


Action = Callable[[Schedule], Coroutine[Any, Any, bool | None]]
"""An operation of a client; it returns `False` after a conflict."""

ANY: list[Action] = [
    *[Schedule.add] * 5,
    *[Schedule.add_if_expected] * 2,
    *[Schedule.add_in_turn] * 4,
    *[Schedule.reach] * 4,
    *[Schedule.save] * 2,
    *[Schedule.delete] * 2,
    *[Schedule.change_other] * 2,
    Schedule.list,
    Schedule.iterate,
    Schedule.count,
]
ABOUT_THE_BATCH: list[Action] = [
    *[Schedule.save_batch] * 4,
    *[Schedule.delete_batch] * 2,
    *[Schedule.read_batch] * 4,
]


def _put(session: Any, number: int) -> None:
    session.variables.setdefault("numbers", []).append(number)


def _check_newest_first(sessions: list[Any]) -> None:
    assert len({session.session_id for session in sessions}) == len(sessions), "a session came twice"
    assert all(one.last_activity_at > next_one.last_activity_at for one, next_one in pairwise(sessions)), (
        "the newest does not come first"
    )


def run_schedule(make_store: Callable[..., Any], seed: int) -> list[Any]:
    """Run the schedule of that seed, and return the order in which operations ended."""
    trace: list[Any] = []

    async def main() -> None:
        store = share_codec(make_store(clock=Clock(), changes_kept=10_000))
        schedule = Schedule(store, seed)
        schedule.trace = trace
        await schedule.main()

    run_shuffled(main(), seed)
    return trace
