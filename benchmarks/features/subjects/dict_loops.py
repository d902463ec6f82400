"""A dict of sessions, and a loop for every query: what a service starts with."""

import copy
from collections.abc import Iterable
from typing import Any

from benchmarks.features.cells import Cell, built_in, by_hand
from benchmarks.features.checks import CUSTOMER, Checks, record

Sessions = dict[str, dict[str, Any]]


class DictChecks(Checks):
    """A plain dict of dicts."""

    def __init__(self) -> None:
        self._sessions: Sessions = {}

    async def fill(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            await self.write(record(number))

    async def read(self, number: int) -> dict[str, Any]:
        return self._sessions[record(number)["id"]]

    async def write(self, session: dict[str, Any]) -> None:
        self._sessions[session["id"]] = session

    async def touch(self, number: int) -> None:
        (await self.read(number))["updated"] += 1_000

    async def of_customer(self, customer: str) -> list[str]:
        return [each["id"] for each in self._sessions.values() if each["customer"] == customer]

    async def of_channel(self, user: str) -> list[str]:
        return [each["id"] for each in self._sessions.values() if (each["channel"], each["user"]) == ("slack", user)]

    async def pages(self) -> Cell:
        async def page(before: int | None) -> tuple[list[str], int]:
            found = _page(self._sessions, CUSTOMER, before, 4)
            return [each["id"] for each in found], found[-1]["updated"]

        return by_hand(*await self._pages(page), _page, note="Reads all sessions for each page.")

    async def isolation(self) -> Cell:
        shared = await super().isolation()
        await self.fill([1])
        _get(self._sessions, "session-0001")["tags"].append("changed after the read")
        session = _get(self._sessions, "session-0001")
        _save(self._sessions, session)
        session["tags"].append("changed after the save")
        is_own = _get(self._sessions, "session-0001")["tags"] == ["new"]
        return by_hand(is_own, f"{shared.observed}; deep copies work", _get, _save)

    async def stale(self) -> Cell:
        overwritten = await self._overwritten()
        await self.fill([1])
        mine, other = copy.deepcopy(await self.read(1)), copy.deepcopy(await self.read(1))
        saved = [_save_if_newest(self._sessions, each) for each in (other, mine)]
        return by_hand(saved == [True, False], f"{overwritten}; a revision works", _save_if_newest)

    async def turns(self) -> Cell:
        return await self._turns_by_locks(dict)

    async def expiry(self) -> Cell:
        await self.fill([0, 1])
        (await self.read(1))["updated"] += 3_600_000_000
        before = await self.of_customer(CUSTOMER)
        _forget(self._sessions, idle_before=(await self.read(1))["updated"] - 1)
        listed = await self.of_customer(CUSTOMER)
        return by_hand(listed == ["session-0001"], f"listed {before}, after a sweep {listed}", _forget)

    async def feed(self) -> Cell:
        changes: list[tuple[str, str]] = []
        for number in (0, 1):
            _save_and_tell(self._sessions, changes, record(number))
        _delete_and_tell(self._sessions, changes, "session-0000")
        kinds = [kind for kind, _ in changes]
        in_order = kinds == ["saved", "saved", "deleted"]
        return by_hand(in_order, f"in a list: {kinds}", _save_and_tell, _delete_and_tell)

    async def sharing(self) -> Cell:
        await self.fill([1])
        second = DictChecks()
        return built_in("session-0001" in second._sessions, "a second dict is empty")

    async def queries(self) -> Cell:
        await self.fill(range(100))
        found = [each for each in self._sessions.values() if each["city"] == "Lisbon" and each["turns"] > 90]
        return built_in(len(found) == 5, f"a loop finds {len(found)} of 100")

    async def history(self) -> Cell:
        overwritten = await self._overwritten()
        session = record(1)
        for state in ("first", "second"):
            _save_with_event(self._sessions, session, state)
        events = (await self.read(1))["events"]
        return by_hand(events == ["first", "second"], f"{overwritten}; a list: {events}", _save_with_event)

    def store(self) -> object:
        return self._sessions


def _page(sessions: Sessions, customer: str, before: int | None, limit: int) -> list[dict[str, Any]]:
    found = [s for s in sessions.values() if s["customer"] == customer and (before is None or s["updated"] < before)]
    return sorted(found, key=lambda session: session["updated"], reverse=True)[:limit]


def _get(sessions: Sessions, session_id: str) -> dict[str, Any]:
    return copy.deepcopy(sessions[session_id])


def _save(sessions: Sessions, session: dict[str, Any]) -> None:
    sessions[session["id"]] = copy.deepcopy(session)


def _save_if_newest(sessions: Sessions, session: dict[str, Any]) -> bool:
    if session.get("revision", 0) != sessions[session["id"]].get("revision", 0):
        return False
    session["revision"] = session.get("revision", 0) + 1
    sessions[session["id"]] = copy.deepcopy(session)
    return True


def _forget(sessions: Sessions, idle_before: int) -> None:
    for session in [each for each in sessions.values() if each["updated"] < idle_before]:
        del sessions[session["id"]]


def _save_and_tell(sessions: Sessions, changes: list[tuple[str, str]], session: dict[str, Any]) -> None:
    sessions[session["id"]] = session
    changes.append(("saved", session["id"]))


def _delete_and_tell(sessions: Sessions, changes: list[tuple[str, str]], session_id: str) -> None:
    del sessions[session_id]
    changes.append(("deleted", session_id))


def _save_with_event(sessions: Sessions, session: dict[str, Any], event: str) -> None:
    session.setdefault("events", []).append(event)
    sessions[session["id"]] = session
