"""What a case works with: stores to try, a clock, and ids that no other case has."""

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
}
"""Options that `make_store` may take, or leave: what each is called, and a value to try it with."""

_ROUNDS = 5


class CaseContext:
    """Makes the stores of one case, and closes them when it has ended.

    Its ids are random, so that a store which keeps its sessions does not mix up two cases.

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
        self.clock = ManualClock()
        """Stands still until the case moves it. Given to the stores that ask for it."""
        self.tenant_id, self.other_tenant_id = uuid4(), uuid4()
        self.agent_id, self.other_agent_id = uuid4(), uuid4()
        self.customer_id, self.other_customer_id = uuid4(), uuid4()
        self.scenario_id, self.other_scenario_id = uuid4(), uuid4()

    async def store(self, **options: Any) -> SessionStore[Any]:
        """Return a new store, made with these options."""
        made = self.made(**options)
        store = (await made) if isawaitable(made) else made
        given: object = store
        if not isinstance(given, SessionStore):
            raise ContractViolation(
                f"make_store: it should return a SessionStore, but it returned a {type(given).__name__}"
            )
        self._stores.append(store)
        return store

    def made(self, **options: Any) -> SessionStore[Any] | Awaitable[SessionStore[Any]]:
        """Return what `make_store` does: for cases about loops, which then close it themselves."""
        return self._make_store(**options)

    @overload
    def session(self, **fields: Any) -> Session: ...

    @overload
    def session(self, cls: type[SomeSession], **fields: Any) -> SomeSession: ...

    def session(self, cls: type[Session] = Session, **fields: Any) -> Session:
        """Return a new session of this context's tenant and agent."""
        return builders.make_session(cls, **{"tenant_id": self.tenant_id, "agent_id": self.agent_id, **fields})

    def at_step(self, content_hash: str | None = "hash-1", name: str | None = "pay", **fields: Any) -> Session:
        """Return a new session of this context's customer that stands at that step of version 1 of its scenario."""
        fields = {"active_scenario_id": self.scenario_id, "customer_profile_id": self.customer_id, **fields}
        session: Session = self.session(**builders.at_step(content_hash, name, **fields))
        return session

    def task(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task, which is cancelled when the case has ended, if it has not ended by itself."""
        task = asyncio.ensure_future(work)
        self._tasks.append(task)
        return task

    async def let_others_run(self, store: SessionStore[Any]) -> None:
        """Let tasks that were started get as far as they can: some turns of the loop, and some answers of the store."""
        for _ in range(_ROUNDS):
            for _ in range(_ROUNDS):
                await asyncio.sleep(0)
            await store.get(uuid4())

    async def stored(self, store: SessionStore[Any], session_id: UUID) -> Any:
        """Return the session that the store has, or raise `ContractViolation` if it has none."""
        found = await store.get(session_id)
        if found is None:
            raise ContractViolation(f"get: session {session_id} was saved, but it was not found")
        return found

    async def close(self) -> None:
        """Cancel what still runs and close what was made."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        errors = []
        for store in self._stores:
            try:
                await store.aclose()
            except NotImplementedError:
                pass
            except Exception as error:  # noqa: BLE001  # after the other stores were closed as well
                errors.append(error)
        if errors:
            raise errors[0]


async def probe(make_store: MakeStore, name: str) -> None:
    """Make a store with that option, and close it. Raises `TypeError` or `NotImplementedError` if it is not taken."""
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
    except ValueError:  # of what is written in C nothing is known until it is called
        return
    expected.bind(**options)
