"""The context of a case: its stores, its clock, and ids that no other case uses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import timedelta
from inspect import isawaitable, signature
from typing import Any, TypeVar, overload
from uuid import UUID, uuid4

from sessiondex.contract import SessionStore
from sessiondex.models import Session
from sessiondex.testing import builders
from sessiondex.testing.builders import ManualClock, SomeSession
from sessiondex.testing.expectations import ContractViolation

T = TypeVar("T")

MakeStore = Callable[..., SessionStore[Any] | Awaitable[SessionStore[Any]]]
"""A class of stores, or a function that returns one or an awaitable of one."""

CAPABILITIES: Mapping[str, Callable[[], Any]] = {
    "clock": ManualClock,
    "idle_ttl": lambda: timedelta(hours=1),
    "max_sessions": lambda: 10,
    "on_evict": lambda: lambda *_: None,
    "changes_kept": lambda: 10,
    "on_unreadable": lambda: "skip",
}
"""Options that `make_store` may support, each with a function that returns a value to try it with."""

_SETTLE_ROUNDS = 5


class CaseContext:
    """Makes the stores of one case, and closes them after the case has ended.

    All ids are random, so cases do not interfere in stores that share their sessions.

    >>> async def main():
    ...     from sessiondex import ScanSessionStore
    ...     context = CaseContext(ScanSessionStore)
    ...     store = await context.store(clock=context.clock)
    ...     await store.save(context.session(user_channel_id="ann"))
    ...     count = await store.count_by_agent(context.tenant_id, context.agent_id)
    ...     await context.close()
    ...     return count, await store.health_check()
    >>> asyncio.run(main())
    (1, False)
    """

    def __init__(self, make_store: MakeStore) -> None:
        self._make_store = make_store
        self._stores: list[SessionStore[Any]] = []
        self._tasks: list[asyncio.Task[Any]] = []
        self.clock: ManualClock = ManualClock()
        """Stands still until the case moves it. Used by the stores to which the case passes it."""
        self.tenant_id: UUID = uuid4()
        self.other_tenant_id: UUID = uuid4()
        self.agent_id: UUID = uuid4()
        self.other_agent_id: UUID = uuid4()
        self.customer_id: UUID = uuid4()
        self.other_customer_id: UUID = uuid4()
        self.scenario_id: UUID = uuid4()
        self.other_scenario_id: UUID = uuid4()

    async def store(self, **options: Any) -> SessionStore[Any]:
        """Return a new store, made with these options."""
        made = self.call_make_store(**options)
        store = (await made) if isawaitable(made) else made
        given: object = store
        if not isinstance(given, SessionStore):
            raise ContractViolation(f"make_store: must return a SessionStore, but returned a {type(given).__name__}")
        self._stores.append(store)
        return store

    def call_make_store(self, **options: Any) -> SessionStore[Any] | Awaitable[SessionStore[Any]]:
        """Return the result of `make_store`, which the case must close itself: for cases about event loops."""
        return self._make_store(**options)

    @overload
    def session(self, **fields: Any) -> Session: ...

    @overload
    def session(self, cls: type[SomeSession], **fields: Any) -> SomeSession: ...

    def session(self, cls: type[Session] = Session, **fields: Any) -> Session:
        """Return a new session of this context's tenant and agent."""
        return builders.make_session(cls, **{"tenant_id": self.tenant_id, "agent_id": self.agent_id, **fields})

    def at_step(self, content_hash: str | None = "hash-1", name: str | None = "pay", **fields: Any) -> Session:
        """Return a new session of this context's customer, at that step of version 1 of its scenario."""
        fields = {"active_scenario_id": self.scenario_id, "customer_profile_id": self.customer_id, **fields}
        session: Session = self.session(**builders.at_step(content_hash, name, **fields))
        return session

    def task(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task. `close` cancels it if it is still running."""
        task = asyncio.ensure_future(work)
        self._tasks.append(task)
        return task

    async def let_others_run(self, store: SessionStore[Any]) -> None:
        """Let started tasks run until they wait: yield to the loop and call the store several times."""
        for _ in range(_SETTLE_ROUNDS):
            for _ in range(_SETTLE_ROUNDS):
                await asyncio.sleep(0)
            await store.get(uuid4())

    async def get_stored(self, store: SessionStore[Any], session_id: UUID) -> Any:
        """Return the stored session, or raise `ContractViolation` if there is none."""
        found = await store.get(session_id)
        if found is None:
            raise ContractViolation(f"get: session {session_id} was saved but not found")
        return found

    async def close(self) -> None:
        """Cancel the tasks that still run and close the stores."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        errors = []
        for store in self._stores:
            try:
                await store.aclose()
            except NotImplementedError:
                pass
            except Exception as error:  # noqa: BLE001  # raised below, after the other stores were closed
                errors.append(error)
        if errors:
            raise errors[0]


async def probe(make_store: MakeStore, name: str) -> None:
    """Make a store with that option and close it; raise `TypeError` or `NotImplementedError` if it is unsupported."""
    option = {name: CAPABILITIES[name]()}
    context = CaseContext(make_store)
    try:
        _bind(make_store, option)
        await context.store(**option)
    finally:
        await context.close()


def _bind(make_store: MakeStore, options: dict[str, Any]) -> None:
    try:
        expected = signature(make_store)
    except ValueError:  # a C function without a signature: only a call shows what it accepts
        return
    expected.bind(**options)
