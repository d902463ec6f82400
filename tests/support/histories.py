"""Record histories of concurrent clients, and check them against a plain model.

The model keeps the sessions of a tenant in the order of their last saves, and these operations depend on nothing else.
Stamps are assigned in commit order, so newest first is the reverse of that order.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from itertools import count, pairwise
from typing import Any, NamedTuple
from uuid import UUID

from sessiondex import Channel, ConflictError, Session, SessionNotFoundError, SessionStatus
from tests.support.builders import AGENT, OTHER_TENANT, TENANT, Clock, make_session
from tests.support.linearizability import Call, linearization
from tests.support.stores import check_indexes, share_codec
from tests.support.virtual_time import run_shuffled

ACTIVE, CLOSED = SessionStatus.ACTIVE, SessionStatus.CLOSED
NAMES = [1, 2, 3]
USERS = ["user-a", "user-b"]
BALLAST = [make_session(session_id=UUID(int=10_000 + name), user_channel_id="ballast") for name in range(100)]
"""Sessions that nobody touches, so many that a list with more of them is copied with a break."""


class Entry(NamedTuple):
    """A session as a client sees it: its saved value and its revision."""

    name: int
    user: str
    status: SessionStatus
    value: int
    revision: int


State = tuple[Entry, ...]
NOTHING: State = ()


# -- the model --


def model(state: State, call: Call) -> tuple[State, Any]:
    """Return the stored sessions after the call, in order of their saves, and the result of the call."""
    operation, *arguments = call.what
    answered: tuple[State, Any] = MODELS[operation](state, *arguments)
    if operation == "update" and call.answer == "gave up":  # allowed at any time; nothing was changed
        return state, "gave up"
    return answered


def _find(state: State, name: int) -> Entry | None:
    return next((entry for entry in state if entry.name == name), None)


def _put(state: State, name: int, user: str, status: SessionStatus, value: int) -> State:
    earlier = _find(state, name)
    revision = 1 if earlier is None else earlier.revision + 1
    return (*(entry for entry in state if entry is not earlier), Entry(name, user, status, value, revision))


def _save(state: State, name: int, user: str, status: SessionStatus, value: int, expected: int | None) -> Any:  # noqa: PLR0917  # as in the call
    earlier = _find(state, name)
    if expected is not None and expected != (0 if earlier is None else earlier.revision):
        return state, "conflict"
    state = _put(state, name, user, status, value)
    return state, state[-1].revision


def _save_many(state: State, *sessions: tuple[int, str, SessionStatus, int]) -> Any:
    revisions = []
    for session in sessions:
        state = _put(state, *session)
        revisions.append(state[-1].revision)
    return state, revisions


def _delete_many(state: State, *names: int) -> Any:
    left = tuple(entry for entry in state if entry.name not in names)
    return left, len(state) - len(left)


def _update(state: State, name: int, number: int) -> Any:
    entry = _find(state, name)
    if entry is None:
        return state, "not found"
    state = _put(state, name, entry.user, entry.status, changed(entry.value, number))
    return state, state[-1]


def _get_or_create(state: State, user: str, name: int, value: int) -> Any:
    found = [entry for entry in state if entry.user == user and entry.status != CLOSED]
    if found:
        return state, (found[-1], False)
    if _find(state, name) is not None:
        return state, "conflict"
    state = _put(state, name, user, ACTIVE, value)
    return state, (state[-1], True)


def _with_status(state: State, status: SessionStatus | None) -> list[Entry]:
    return [entry for entry in reversed(state) if status in {None, entry.status}]


MODELS: dict[str, Callable[..., Any]] = {
    "get": lambda state, name: (state, _find(state, name)),
    "get_by_channel": lambda state, user: (state, next((one for one in reversed(state) if one.user == user), None)),
    "list_by_agent": lambda state, status: (state, _with_status(state, status)),
    "count_by_agent": lambda state, status: (state, len(_with_status(state, status))),
    "save": _save,
    "save_many": _save_many,
    "delete": _delete_many,
    "delete_many": _delete_many,
    "update": _update,
    "get_or_create": _get_or_create,
}


def changed(value: int, number: int) -> int:
    """Return a value that contains the old value and the new number."""
    return (value * 1_000 + number) % 10**15


# -- the store, with the operations of the model --


class History:
    """Some clients that call a store at random and record the results."""

    def __init__(self, store: Any, seed: int) -> None:
        self.store = store
        self.rng = random.Random(seed)
        self.calls: dict[UUID, list[Call]] = {TENANT: [], OTHER_TENANT: []}
        self._ballast = BALLAST if self.rng.random() < 0.1 else []
        self._instants, self._numbers = count(), count(1)

    async def main(self) -> None:
        if self._ballast:
            await self.store.save_many(self._ballast)
        clients = [self._client(self.rng.randint(3, 5)) for _ in range(self.rng.randint(3, 5))]
        async with asyncio.timeout(20):
            await asyncio.gather(*clients)

    async def _client(self, length: int) -> None:
        for _ in range(length):
            tenant = self.rng.choice([TENANT, TENANT, TENANT, OTHER_TENANT])
            operation = self.rng.choice(OPERATIONS)
            what = (operation, *self._arguments(operation))
            task = asyncio.ensure_future(self._note(tenant, what))
            if self.rng.random() < 0.4:
                self._cancel_later(task, self.rng.randint(1, 4))
            await asyncio.wait([task])
            if not task.cancelled():
                await task

    def _cancel_later(self, task: asyncio.Task[None], rounds: int) -> None:
        if rounds and not task.done():
            asyncio.get_running_loop().call_soon(self._cancel_later, task, rounds - 1)
        else:
            task.cancel()

    async def _pause(self) -> None:
        for _ in range(self.rng.choice((0, 1, 2, 4))):
            await asyncio.sleep(0)

    async def _note(self, tenant: UUID, what: tuple[Any, ...]) -> None:
        operation, *arguments = what
        made = next(self._instants)
        try:
            answer = await getattr(self, f"_{operation}")(tenant, *arguments)
        except asyncio.CancelledError:
            self.calls[tenant].append(Call(what, made))
            raise
        self.calls[tenant].append(Call(what, made, next(self._instants), answer))

    def _arguments(self, operation: str) -> tuple[Any, ...]:
        rng = self.rng
        name, user, number = rng.choice(NAMES), rng.choice(USERS), next(self._numbers)
        status = rng.choice([None, ACTIVE, CLOSED])
        length = rng.choice([2, 3, 26, 26, 51])  # 25 sessions are prepared in a slice
        many = ((rng.choice(NAMES), rng.choice(USERS), ACTIVE, next(self._numbers)) for _ in range(length))
        arguments: dict[str, tuple[Any, ...]] = {
            "save": (name, user, status or ACTIVE, number, rng.choice([None, 0, 1, 2])),
            "save_many": tuple(many) if operation == "save_many" else (),
            "delete_many": tuple(rng.sample(NAMES, 2)),
            "get_or_create": (user, rng.choice([name, 10 + number]), number),
            "update": (name, number),
            "get_by_channel": (user,),
            "list_by_agent": (status,),
            "count_by_agent": (status,),
        }
        return arguments.get(operation, (name,))

    async def _get(self, tenant: UUID, name: int) -> Entry | None:
        return _seen(await self.store.get(_id(tenant, name), tenant_id=tenant))

    async def _get_by_channel(self, tenant: UUID, user: str) -> Entry | None:
        return _seen(await self.store.get_by_channel(tenant, Channel.WEBCHAT, user))

    async def _list_by_agent(self, tenant: UUID, status: SessionStatus | None) -> list[Entry | None]:
        found = await self.store.list_by_agent(tenant, AGENT, status=status, limit=1_000)
        stamps = [session.last_activity_at for session in found]
        assert all(one > other for one, other in pairwise(stamps)), f"not the newest first: {stamps}"
        return [_seen(session) for session in found if session.user_channel_id != "ballast"]

    async def _count_by_agent(self, tenant: UUID, status: SessionStatus | None) -> int:
        number: int = await self.store.count_by_agent(tenant, AGENT, status=status)
        return number - len(self._ballast) * (tenant == TENANT and status != CLOSED)

    async def _save(self, tenant: UUID, *arguments: Any) -> Any:
        session = _session(tenant, *arguments[:-1])
        try:
            await self.store.save(session, expected_revision=arguments[-1])
        except ConflictError:
            return "conflict"
        return session.revision

    async def _save_many(self, tenant: UUID, *sessions: tuple[int, str, SessionStatus, int]) -> list[int]:
        given = [_session(tenant, *arguments) for arguments in sessions]
        await self.store.save_many(given)
        return [session.revision for session in given]

    async def _delete(self, tenant: UUID, name: int) -> bool:
        was_there: bool = await self.store.delete(_id(tenant, name))
        return was_there

    async def _delete_many(self, tenant: UUID, *names: int) -> int:
        number: int = await self.store.delete_many([_id(tenant, name) for name in names])
        return number

    async def _update(self, tenant: UUID, name: int, number: int) -> Any:
        def change(session: Session) -> None:
            session.turn_count = changed(session.turn_count, number)

        async def change_slowly(session: Session) -> None:
            await self._pause()
            change(session)
            await self._pause()

        try:
            return _seen(
                await self.store.update(_id(tenant, name), self.rng.choice([change, change_slowly, change_slowly]))
            )
        except SessionNotFoundError:
            return "not found"
        except ConflictError:
            return "gave up"

    async def _get_or_create(self, tenant: UUID, user: str, name: int, value: int) -> Any:
        async def create() -> Any:
            await self._pause()
            return _session(tenant, name, user, ACTIVE, value)

        try:
            session, is_new = await self.store.get_or_create(tenant, Channel.WEBCHAT, user, create)
        except ConflictError:
            return "conflict"
        return _seen(session), is_new


# More long operations, so that others run in between.
OPERATIONS = [*MODELS, "save", "list_by_agent", *["save_many"] * 3, *["update"] * 4, *["get_or_create"] * 2]


def _id(tenant: UUID, name: int) -> UUID:
    return UUID(int=tenant.int * 1_000_000 + name)


def _session(tenant: UUID, name: int, user: str, status: SessionStatus, value: int) -> Any:
    return make_session(
        session_id=_id(tenant, name), tenant_id=tenant, user_channel_id=user, status=status, turn_count=value
    )


def _seen(session: Any) -> Entry | None:
    if session is None:
        return None
    name = session.session_id.int % 1_000_000
    return Entry(name, session.user_channel_id, session.status, session.turn_count, session.revision)


def history_of(make_store: Callable[..., Any], seed: int) -> dict[UUID, list[Call]]:
    """Return the calls of each tenant in the history of that seed."""

    async def main() -> dict[UUID, list[Call]]:
        store = share_codec(make_store(clock=Clock()))
        history = History(store, seed)
        await history.main()
        check_indexes(store)
        return history.calls

    return run_shuffled(main(), seed)


def check_history(make_store: Callable[..., Any], seed: int) -> None:
    """Raise `AssertionError` unless the history of that seed is linearizable for each tenant."""
    for calls in history_of(make_store, seed).values():
        if linearization(calls, NOTHING, model) is None:
            ordered = sorted(calls, key=lambda call: call.made)
            raise AssertionError("not linearizable:\n" + "\n".join(str(tuple(call)) for call in ordered))
