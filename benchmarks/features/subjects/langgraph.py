"""LangGraph: `InMemorySaver`. A thread is a session, named by the channel identity; its customer is in the metadata."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph

from benchmarks.features.cells import Cell, absent, built_in, by_hand
from benchmarks.features.checks import CUSTOMER, ONE_KEY, Checks, identity_of, record

Config = dict[str, Any]


def thread(user: str) -> Config:
    """Return the config of the session of a user of Slack."""
    return {"configurable": {"thread_id": f"slack:{user}", "checkpoint_ns": ""}}


async def put(saver: BaseCheckpointSaver, session: dict[str, Any], ts: str | None = None) -> Any:
    """Save a session as the newest checkpoint of its thread, as a graph does after a step."""
    newest = await saver.aget_tuple(thread(session["user"]))
    version = saver.get_next_version(newest.checkpoint["channel_versions"]["session"] if newest else None, None)
    checkpoint = empty_checkpoint() | {"channel_values": {"session": session}, "channel_versions": {"session": version}}
    if ts is not None:
        checkpoint["ts"] = ts
    metadata = {"source": "update", "customer": session["customer"]}
    config = newest.config if newest else thread(session["user"])
    return await saver.aput(config, checkpoint, metadata, {"session": version})


def _session(saved: Any) -> dict[str, Any]:
    session: dict[str, Any] = saved.checkpoint["channel_values"]["session"]
    return session


class LangGraphChecks(Checks):
    """A checkpointer in memory."""

    def __init__(self, folder: Path) -> None:
        self._saver = InMemorySaver()
        self._path = str(folder / "langgraph.db")

    async def fill(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            await put(self._saver, record(number))

    async def read(self, number: int) -> dict[str, Any]:
        return _session(await self._saver.aget_tuple(thread(identity_of(number))))

    async def write(self, session: dict[str, Any]) -> None:
        await put(self._saver, session)

    async def touch(self, number: int) -> None:
        await self.write(await self.read(number))

    async def of_customer(self, customer: str) -> list[str]:
        return [_session(each)["id"] async for each in self._saver.alist(None, filter={"customer": customer})]

    async def of_channel(self, user: str) -> list[str]:
        return [_session(await self._saver.aget_tuple(thread(user)))["id"]]

    async def customer(self) -> Cell:
        return replace(await super().customer(), note=ONE_KEY)

    async def pages(self) -> Cell:
        async def page(before: str | None) -> tuple[list[str], str]:
            found = await _page(self._saver, CUSTOMER, before, 4)
            return [_session(each)["id"] for each in found], found[-1].checkpoint["id"]

        return by_hand(*await self._pages(page), _page, note="Reads all sessions for each page.")

    async def stale(self) -> Cell:
        await self.fill([1])
        before = await self._saver.aget_tuple(thread(identity_of(1)))
        for _ in range(2):  # both from the same state
            await self._saver.aput(before.config, empty_checkpoint() | {"channel_values": {}}, {}, {})
        await self.fill([2])
        forks = [
            each async for each in self._saver.alist(thread(identity_of(1))) if each.parent_config == before.config
        ]
        read = (await self._saver.aget_tuple(thread(identity_of(2)))).config
        saved = [await _put_if_newest(self._saver, read, record(2)) for _ in range(2)]
        observed = f"{len(forks)} of 2 checkpoints with the same parent accepted; a comparison works"
        return by_hand(saved == [True, False], observed, _put_if_newest)

    async def turns(self) -> Cell:
        return await self._turns_by_locks(InMemorySaver)

    async def expiry(self) -> Cell:
        await put(self._saver, record(0), ts="2026-01-01T00:00:00+00:00")
        await put(self._saver, record(1), ts="2026-01-01T01:30:00+00:00")
        before = await self.of_customer(CUSTOMER)
        await _forget(self._saver, idle_before="2026-01-01T01:00:00+00:00")
        listed = await self.of_customer(CUSTOMER)
        lack = absent(InMemorySaver, "ttl", "expire", "idle")
        return by_hand(listed == ["session-0001"], f"{lack}; listed {before}, after a sweep {listed}", _forget)

    async def feed(self) -> Cell:
        self._saver = telling = _TellingSaver()
        await self.fill([0, 1])
        await self._saver.adelete_thread(thread(identity_of(0))["configurable"]["thread_id"])
        seen = [kind for kind, _ in telling.changes]
        lack = absent(InMemorySaver, "changes", "subscribe", "watch")
        return by_hand(seen == ["saved", "saved", "deleted"], f"{lack}; a subclass: {seen}", _TellingSaver)

    async def sharing(self) -> Cell:
        await self.fill([1])
        found = await InMemorySaver().aget_tuple(thread(identity_of(1)))
        async with AsyncSqliteSaver.from_conn_string(self._path) as saver:
            await put(saver, record(1))
        async with AsyncSqliteSaver.from_conn_string(self._path) as saver:
            assert await saver.aget_tuple(thread(identity_of(1))) is not None
        return built_in(
            found is not None,
            "a second saver is empty; one of SQLite has the session",
            note="Its database services do.",
        )

    async def queries(self) -> Cell:
        await self.fill(range(100))
        found = await _scan(self._saver, lambda session: session["city"] == "Lisbon" and session["turns"] > 90)
        return by_hand(
            len(found) == 5, f"`filter` compares metadata for equality; a loop finds {len(found)} of 100", _scan
        )

    async def history(self) -> Cell:
        for city in ("Lisbon", "Faro"):
            await self.write(record(1) | {"city": city})
        cities = [_session(each)["city"] async for each in self._saver.alist(thread(identity_of(1)))]
        note = "ADK keeps events, LangGraph checkpoints."
        return built_in(cities == ["Faro", "Lisbon"], f"checkpoints, newest first: {cities}", note)

    async def framework(self) -> Cell:
        graph = StateGraph(_State).add_node("count", lambda state: {"turns": state["turns"] + 1})
        graph.add_edge(START, "count").add_edge("count", END)
        answer = await graph.compile(checkpointer=self._saver).ainvoke({"turns": 1}, thread(identity_of(1)))
        kept = await self._saver.aget_tuple(thread(identity_of(1)))
        holds = answer == {"turns": 2} and kept.checkpoint["channel_values"]["turns"] == 2
        return built_in(holds, f"a graph answered {answer}, and its state is in the saver")

    def store(self) -> object:
        return self._saver


class _State(TypedDict):
    turns: int


class _TellingSaver(InMemorySaver):
    def __init__(self) -> None:
        super().__init__()
        self.changes: list[tuple[str, str]] = []

    async def aput(self, config: Config, *arguments: Any) -> Any:
        saved = await super().aput(config, *arguments)
        self.changes.append(("saved", config["configurable"]["thread_id"]))
        return saved

    async def adelete_thread(self, thread_id: str) -> None:
        await super().adelete_thread(thread_id)
        self.changes.append(("deleted", thread_id))


async def _page(saver: InMemorySaver, customer: str, before: str | None, limit: int) -> list[Any]:
    newest: dict[str, Any] = {}
    async for each in saver.alist(None, filter={"customer": customer}):
        newest.setdefault(each.config["configurable"]["thread_id"], each)
    found = [each for each in newest.values() if before is None or each.checkpoint["id"] < before]
    return sorted(found, key=lambda each: each.checkpoint["id"], reverse=True)[:limit]


async def _put_if_newest(saver: InMemorySaver, read: Config, session: dict[str, Any]) -> bool:
    if (await saver.aget_tuple(thread(session["user"]))).config != read:
        return False
    await put(saver, session)
    return True


async def _forget(saver: InMemorySaver, idle_before: str) -> None:
    for thread_id in {each.config["configurable"]["thread_id"] async for each in saver.alist(None)}:
        saved = await saver.aget_tuple({"configurable": {"thread_id": thread_id}})
        if saved.checkpoint["ts"] < idle_before:
            await saver.adelete_thread(thread_id)


async def _scan(saver: InMemorySaver, matches: Callable[[dict[str, Any]], bool]) -> list[Any]:
    threads = {each.config["configurable"]["thread_id"] async for each in saver.alist(None)}
    newest = [await saver.aget_tuple({"configurable": {"thread_id": thread_id}}) for thread_id in threads]
    return [each for each in newest if matches(_session(each))]
