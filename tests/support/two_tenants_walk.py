"""Run random operations of two tenants on one store, and check each result against the tenant's own saves."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

from sessiondex import (
    Channel,
    ConflictError,
    InvalidArgumentError,
    ScopeFilter,
    Session,
    SessiondexError,
    SessionNotFoundError,
    SessionStatus,
)
from tests.support.builders import NotedSession
from tests.support.two_tenants import (
    SHARED_AGENT,
    SHARED_CUSTOMER,
    SHARED_SCENARIO,
    A,
    B,
    MarkedTenant,
    raw_trace_in,
    trace_in,
)

_NUMBERS = 16
_THOROUGH_INTERVAL = 20  # results per full search of all texts; errors are always searched


class LeakError(AssertionError):
    """Raised if a tenant sees data of the other tenant, or not its own."""


class Walk:
    """Runs operations of two tenants. Results may depend only on the saves of the tenant, which it records."""

    def __init__(self, store: Any, seed: int) -> None:
        self._store = store
        self._seed = seed
        self._rng = random.Random(seed)
        self._own: dict[MarkedTenant, dict[UUID, Session]] = {A: {}, B: {}}
        self._me, self._other = A, B
        self._given: UUID | None = None
        self.done: Counter[str] = Counter()
        self.refused = 0

    async def go(self, count: int) -> None:
        """Run that number of operations."""
        operations = [
            *(self.save, self.get, self.delete, self.list_, self.step, self.turn, self.update, self.create),
            *(self.list_others, self.touch, self.erase),
        ]
        names = [operation.__name__ for operation in operations]
        for number in range(count):
            self._me, self._other = (A, B) if number % 2 == 0 else (B, A)
            self._given = None
            at = self._rng.choices(range(len(operations)), (5, 4, 1, 4, 3, 1, 2, 2, 4, 1, 0.5))[0]
            self.done[names[at]] += 1
            problem = await self._problem(operations[at], number)
            if problem is not None:
                raise LeakError(f"{names[at]}: {problem}; operation {number} of seed {self._seed}")

    async def _problem(self, operation: Callable[[], Any], number: int) -> str | None:
        try:
            answer = await operation()
        except SessiondexError as error:
            self.refused += 1
            trace = trace_in(error, self._other, self._given)
            return trace and f"the error shows {trace}"
        except AssertionError as error:
            return f"not what it has: {error}"
        sessions = answer if isinstance(answer, list) else [answer]
        for session in sessions:
            if isinstance(session, Session) and session.tenant_id != self._me.tenant:
                return "a session of the other"
        raw = raw_trace_in(answer, self._other)
        if raw is None and number % _THOROUGH_INTERVAL < 2:  # one of each tenant
            trace = trace_in(answer, self._other)
            return trace and f"the answer shows {trace}"
        return None if raw is None else f"the answer has {raw!r} in it"

    # -- arguments: ids of the tenant, of the other one, or of both --

    @property
    def _mine(self) -> dict[UUID, Session]:
        return self._own[self._me]

    def _session_id(self) -> UUID:
        self._given = self._rng.choice((self._me, self._me, self._other)).id(100 + self._rng.randrange(_NUMBERS))
        return self._given

    def _one_of(self, shared: UUID, number: int) -> UUID:
        return self._rng.choice((shared, self._me.id(number), self._other.id(number)))

    def _user(self) -> str:
        marked = self._rng.choice((self._me, self._other))
        return self._rng.choice(("user-shared", f"user-{marked.mark}-{self._rng.randrange(_NUMBERS)}"))

    def _new(self, number: int | None = None, **fields: Any) -> Any:
        status = self._rng.choice(list(SessionStatus))
        number = self._rng.randrange(_NUMBERS) if number is None else number
        return self._me.session(number, self._rng.choice((Session, NotedSession)), status=status, **fields)

    def _have(self, **fields: Any) -> list[Session]:
        """Return the tenant's sessions with these fields, newest first."""
        found = [
            session
            for session in self._mine.values()
            if all(getattr(session, name, None) == value for name, value in fields.items())
        ]
        return sorted(found, key=lambda session: session.last_activity_at, reverse=True)

    # -- operations --

    async def save(self) -> Any:
        stolen = self._rng.choice([*self._own[self._other], None])
        if stolen is not None and self._rng.random() < 0.2:
            self._given = stolen
            expected = self._rng.choice((None, 0, 1))
            session = self._new(session_id=stolen)
            if expected is None and self._rng.random() < 0.5:
                await self._store.save_many([self._new(), session])
            else:
                await self._store.save(session, expected_revision=expected)
            raise AssertionError("it took the id of another")
        session = self._new()
        await self._store.save(session)
        self._mine[session.session_id] = session
        return session

    async def get(self) -> Any:
        if self._rng.random() < 0.5:
            session_id = self._session_id()
            found = await self._store.get(session_id, tenant_id=self._me.tenant)
            assert found == self._mine.get(session_id)
            return found
        if self._rng.random() < 0.3:
            ids = [self._rng.choice((self._me, self._other)).id(100 + number) for number in range(_NUMBERS)]
            found = await self._store.get_many(ids, tenant_id=self._me.tenant)
            assert found == [self._mine.get(session_id) for session_id in ids]
            return found
        user = self._user()
        found = await self._store.get_by_channel(self._me.tenant, Channel.WEBCHAT, user)
        assert found == next(iter(self._have(user_channel_id=user)), None)
        return found

    async def delete(self) -> Any:
        ids = {self._session_id() for _ in range(self._rng.randrange(1, 4))}
        if len(ids) == 1:
            count = int(await self._store.delete(*ids, tenant_id=self._me.tenant))
        else:
            count = await self._store.delete_many(ids, tenant_id=self._me.tenant)
        assert count == len(self._mine.keys() & ids)
        for session_id in ids:
            self._mine.pop(session_id, None)
        return count

    async def list_(self) -> Any:
        tenant, rng = self._me.tenant, self._rng
        if rng.random() < 0.5:
            customer = self._one_of(SHARED_CUSTOMER, 3)
            found = await self._store.list_by_customer(tenant, customer)
            expected = self._have(customer_profile_id=customer)
            assert await self._store.count_by_customer(tenant, customer) == len(expected)
        else:
            agent, status = self._one_of(SHARED_AGENT, 2), rng.choice([None, *SessionStatus])
            fields: dict[str, Any] = {"agent_id": agent} | ({} if status is None else {"status": status})
            if rng.random() < 0.3:
                pages = self._store.iter_by_agent(tenant, agent, status=status, page_size=2)
                found = [session async for session in pages]
            else:
                found = await self._store.list_by_agent(tenant, agent, status=status)
            expected = self._have(**fields)
            assert await self._store.count_by_agent(tenant, agent, status=status) == len(expected)
        assert found == expected
        return found

    async def list_others(self) -> Any:
        store, tenant, rng = self._store, self._me.tenant, self._rng
        at = rng.randrange(3)
        if at == 0:
            status = rng.choice([None, *SessionStatus])
            found = await store.list_by_tenant(tenant, status=status)
            assert await store.count_by_tenant(tenant, status=status) == len(found)
            expected = self._have(**({} if status is None else {"status": status}))
        elif at == 1:
            user = self._user()
            found = await store.list_by_channel(tenant, Channel.WEBCHAT, user)
            assert await store.count_by_channel(tenant, Channel.WEBCHAT, user) == len(found)
            expected = self._have(user_channel_id=user)
        else:
            note = rng.choice(("note-shared", f"note-{self._me.mark}", f"note-{self._other.mark}"))
            found = await store.list_by_field(tenant, "note", note)
            assert await store.count_by_field(tenant, "note", note) == len(found)
            expected = self._have(note=note)
        assert found == expected
        return found

    async def touch(self) -> Any:
        session_id = self._session_id()
        is_there = await self._store.touch(session_id, tenant_id=self._me.tenant)
        assert is_there == (session_id in self._mine)
        if is_there:
            touched = await self._store.get(session_id, tenant_id=self._me.tenant)
            mine = self._mine[session_id]
            assert touched.last_activity_at > max(one.last_activity_at for one in self._mine.values())
            assert touched == mine.model_copy(update={"last_activity_at": touched.last_activity_at})
            self._mine[session_id] = touched
        return is_there

    async def erase(self) -> Any:
        tenant, user, customer = self._me.tenant, self._user(), self._one_of(SHARED_CUSTOMER, 3)
        if self._rng.random() < 0.5:
            gone: dict[str, Any]
            count, gone = await self._store.delete_by_customer(tenant, customer), {"customer_profile_id": customer}
        else:
            count = await self._store.delete_by_channel(tenant, Channel.WEBCHAT, user)
            gone = {"user_channel_id": user}
        found = self._have(**gone)
        assert count == len(found)
        for session in found:
            del self._mine[session.session_id]
        return count

    async def step(self) -> Any:
        scenario = self._one_of(SHARED_SCENARIO, 4)
        content_hash = self._rng.choice(("hash-shared", f"hash-{self._me.mark}", f"hash-{self._other.mark}"))
        scope = self._rng.choice((None, ScopeFilter(), ScopeFilter(include_channels=[Channel.WEBCHAT])))
        found = await self._store.find_sessions_by_step_hash(self._me.tenant, scenario, 1, content_hash, scope)
        steps = await self._store.count_steps(self._me.tenant, scenario, 1)
        count = await self._store.count_by_step_hash(self._me.tenant, scenario, 1, content_hash)
        there = self._have(active_scenario_id=scenario, status=SessionStatus.ACTIVE)
        assert found == [one for one in there if one.step_history[-1].step_content_hash == content_hash]
        assert steps == Counter(one.step_history[-1].step_content_hash for one in there)
        assert count == len(found)
        return [*found, steps]

    async def turn(self) -> Any:
        session_id = self._session_id()
        async with self._store.exclusive(session_id), self._store.exclusive(session_id):
            raise AssertionError("it had the turn twice")

    async def update(self) -> Any:
        session_id = self._session_id()

        def change(session: Any) -> None:
            session.turn_count += 1

        try:
            changed = await self._store.update(session_id, change, tenant_id=self._me.tenant)
        except SessionNotFoundError:
            assert session_id not in self._mine
            raise
        assert self._mine[session_id].turn_count + 1 == changed.turn_count
        self._mine[session_id] = changed
        return changed

    async def create(self) -> Any:
        user = self._user()
        is_there = any(
            session.user_channel_id == user and session.status != SessionStatus.CLOSED
            for session in self._mine.values()
        )
        is_mine = self._other.mark not in user  # saved sessions never contain the mark of the other tenant
        fields: dict[str, Any] = {"user_channel_id": user} if is_mine else {}
        made = self._me.session(self._rng.randrange(_NUMBERS), **fields)
        try:
            found, created = await self._store.get_or_create(self._me.tenant, Channel.WEBCHAT, user, lambda: made)
        except ConflictError:
            assert made.session_id in self._mine
            raise
        except InvalidArgumentError:
            assert not is_mine
            raise
        assert created == (not is_there)
        if created:
            self._mine[found.session_id] = found
        return found
