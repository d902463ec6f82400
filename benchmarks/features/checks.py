"""Declare the features, each with the check that every subject is put to.

The checks use the same small sessions everywhere: ten for each customer, each with a channel identity of its own.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from benchmarks.features.cells import Cell, absent, built_in, by_hand
from benchmarks.features.tools import KeyedLocks, bytecodes, most_at_once

FEATURES = {
    "customer": "Lists a customer's sessions, without a scan",
    "channel": "Finds a channel identity, without a scan",
    "pages": "Pages, newest first, while sessions are saved",
    "isolation": "Reads and saves are copies",
    "stale": "Refuses a stale write",
    "turns": "One turn at a time per session",
    "expiry": "Idle sessions leave lists and counts",
    "feed": "Feed of changes, in order",
    "restart": "Outlives the process",
    "sharing": "Shared by several processes",
    "queries": "Queries of any fields",
    "history": "Keeps events or earlier states",
    "framework": "An agent framework runs on it",
}
"""The rows of the matrix. Each is a method of `Checks`."""

ONE_KEY = "One of the two, as user id (ADK) or thread id (LangGraph)."
"""A footnote."""

CUSTOMER = "customer-0"
"""The customer of the sessions 0 to 9."""


def customer_of(number: int) -> str:
    """Return the customer of a session."""
    return f"customer-{number // 10}"


def identity_of(number: int) -> str:
    """Return the id that Slack gives the session's user."""
    return f"U{number:04}"


def record(number: int) -> dict[str, Any]:
    """Return a session as a dict, for subjects that keep no class of their own. Its time is a count of µs."""
    return {
        "id": f"session-{number:04}",
        "customer": customer_of(number),
        "channel": "slack",
        "user": identity_of(number),
        "city": "Lisbon" if number % 2 else "Porto",
        "turns": number,
        "tags": ["new"],
        "updated": 1_700_000_000_000_000 + number,
    }


class Checks(ABC):
    """Puts one subject to the checks. Each check gets a new instance with empty storage."""

    unit = "bytecodes"
    """What `steps` counts."""

    @abstractmethod
    async def fill(self, numbers: Iterable[int]) -> None:
        """Store sessions."""

    @abstractmethod
    async def read(self, number: int) -> Any:
        """Return a session, as the subject returns it."""

    @abstractmethod
    async def write(self, session: Any) -> None:
        """Store a session that `read` returned."""

    @abstractmethod
    async def touch(self, number: int) -> None:
        """Store a session again, as the one that was active last."""

    def tags(self, session: Any) -> list[str]:
        """Return the list inside the session."""
        tags: list[str] = session["tags"]
        return tags

    @abstractmethod
    async def of_customer(self, customer: str) -> list[str]:
        """Return the ids of the customer's sessions, by the best query that the subject has."""

    @abstractmethod
    async def of_channel(self, user: str) -> list[str]:
        """Return the ids of the sessions of that user of Slack, by the best query that the subject has."""

    async def steps(self, call: Callable[[], Awaitable[Any]]) -> int:
        """Return the work that a call does: bytecodes, or what `unit` names."""
        return await bytecodes(call)

    async def customer(self) -> Cell:
        """Compare the steps among 100 and 1,000 sessions; the result is ten sessions in both cases."""
        return await self._finds(lambda: self.of_customer(CUSTOMER), 10)

    async def channel(self) -> Cell:
        """Compare the steps among 100 and 1,000 sessions; the result is one session in both cases."""
        return await self._finds(lambda: self.of_channel(identity_of(3)), 1)

    async def _finds(self, find: Callable[[], Awaitable[list[str]]], expected: int) -> Cell:
        steps = []
        for numbers in (range(100), range(100, 1_000)):
            await self.fill(numbers)
            for _ in range(3):  # so that caches hold what they will hold
                assert len(set(await find())) == expected
            steps.append(await self.steps(find))
        observed = f"{steps[0]:,} {self.unit} among 100 sessions, {steps[1]:,} among 1,000"
        return built_in(steps[1] < 2 * steps[0], observed)

    async def isolation(self) -> Cell:
        """Change a list inside what was read, and inside what was saved; look whether the stored session changed."""
        await self.fill([1])
        self.tags(await self.read(1)).append("changed after the read")
        after_read = list(self.tags(await self.read(1)))
        session = await self.read(1)
        await self.write(session)
        self.tags(session).append("changed after the save")
        after_save = list(self.tags(await self.read(1)))
        is_own = after_read == after_save == ["new"]
        return built_in(is_own, "neither change shows" if is_own else f"stored: {after_read}, {after_save}")

    @abstractmethod
    async def pages(self) -> Cell:
        """Read pages of four, newest first, as `_pages` does."""

    async def _pages(self, page: Callable[[Any], Awaitable[tuple[list[str], Any]]]) -> tuple[bool, str]:
        """Read a page, save a session that has not been seen yet, read the rest; return whether all is as it must be.

        No session may come twice. Only the saved one, which moved to the front, may be left out. `page` gets a cursor
        and returns the numbers of the sessions and the next cursor.
        """
        await self.fill(range(10))
        seen, cursor = await page(None)
        await self.touch(2)
        for _ in range(2):
            more, cursor = await page(cursor)
            seen += more
        numbers = [int(session_id.rpartition("-")[2]) for session_id in seen]
        return numbers == [9, 8, 7, 6, 5, 4, 3, 1, 0], f"session 2 of 10 saved after a page of 4; seen: {numbers}"

    @abstractmethod
    async def stale(self) -> Cell:
        """Read a session twice, write it twice: the second write must be refused, and leave the first."""

    async def _overwritten(self) -> str:
        """Write a session twice, from the same state, without any care; return that only the second write is left.

        Raises:
            AssertionError: the first is still there, so the subject has a feature and the check needs a review.
        """
        await self.fill([1])
        first, second = copy.deepcopy(await self.read(1)), copy.deepcopy(await self.read(1))
        self.tags(first).append("first")
        self.tags(second).append("second")
        await self.write(first)
        await self.write(second)
        kept = self.tags(await self.read(1))
        assert kept == ["new", "second"], "review the check"
        return f"after two writes, {kept} is left"

    @abstractmethod
    async def turns(self) -> Cell:
        """Let five tasks work on a session at once: there must be a lock per session."""

    async def _turns_by_locks(self, store: type, note: str | None = None) -> Cell:
        """Return that the class has no lock, and that asyncio locks work with it."""
        locks = KeyedLocks()
        most = await most_at_once(lambda: locks.lock("session-0001"))
        lack = absent(store, "lock", "exclusive", "turn")
        return by_hand(
            most == 1, f"{lack}; with asyncio locks, at most {most} of 5 tasks at once", KeyedLocks, note=note
        )

    @abstractmethod
    async def expiry(self) -> Cell:
        """Let a session be idle for too long: it must leave the customer's list and count."""

    @abstractmethod
    async def feed(self) -> Cell:
        """Save two sessions and delete one: a reader must learn of all three, in order."""

    async def restart(self) -> Cell:
        """Read a session through a second instance, as a restarted process makes."""
        return await self.sharing()

    @abstractmethod
    async def sharing(self) -> Cell:
        """Read a session through a second instance, as another process makes beside the first."""

    @abstractmethod
    async def queries(self) -> Cell:
        """Find the sessions with a city and more than a number of turns, which nobody planned for."""

    @abstractmethod
    async def history(self) -> Cell:
        """Save a session in one state and in another: the first must be readable afterwards."""

    async def framework(self) -> Cell:
        """Look whether the store is of a class that an agent framework accepts as its session store."""
        packages = sorted({base.__module__.partition(".")[0] for base in type(self.store()).__mro__})
        return built_in(bool({"google", "langgraph"} & set(packages)), f"its base classes are of {', '.join(packages)}")

    @abstractmethod
    def store(self) -> object:
        """Return the object that a service uses to store sessions."""

    async def aclose(self) -> None:  # noqa: B027  # most have nothing to close
        """Release what the subject holds."""
