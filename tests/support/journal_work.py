"""A task that calls every kind of write of a journalled store, and marks what must survive from then on."""

from __future__ import annotations

import random
from typing import Any
from uuid import UUID

from tests.support.builders import CUSTOMER, make_session
from tests.support.journal_states import MarkingJournal


class Task:
    """Calls a store at random, with sessions of a tenant of its own."""

    def __init__(self, store: Any, journal: MarkingJournal, number: int, rng: random.Random) -> None:
        self._store = store
        self._journal = journal
        self._tenant = UUID(int=1_000 + number)
        self._rng = rng
        self._sessions: list[Any] = []

    async def run(self, calls: int) -> None:
        """Make so many calls; after each that returned, mark the commits that must survive."""
        kinds = [self._save] * 6 + [self._save_many] * 3 + [self._touch] * 3 + [self._delete] * 3 + [self._update] * 4
        kinds += [self._erase] * 1 + [self._flush] * 1
        for _ in range(calls):
            call = self._rng.choice(kinds) if self._sessions else self._save
            await call()

    def _new(self) -> Any:
        text = self._rng.choice("abc") * self._rng.choice([1, 400, 3_000, 20_000])
        session = make_session(tenant_id=self._tenant, customer_profile_id=CUSTOMER, variables={"text": text})
        self._sessions.append(session)
        return session

    def _acknowledge(self, *sessions: Any) -> None:
        if self._journal.is_synchronous:
            self._journal.acknowledge(session.session_id for session in sessions)

    async def _save(self) -> None:
        session = self._new()
        await self._store.save(session)
        self._acknowledge(session)

    async def _save_many(self) -> None:
        some = [*self._rng.sample(self._sessions, min(2, len(self._sessions))), self._new(), self._new()]
        await self._store.save_many(some)
        self._acknowledge(*some)

    async def _touch(self) -> None:
        session = self._rng.choice(self._sessions)
        await self._store.touch(session.session_id)
        self._acknowledge(session)

    async def _delete(self) -> None:
        session = self._sessions.pop(self._rng.randrange(len(self._sessions)))
        await self._store.delete(session.session_id)
        self._acknowledge(session)

    async def _update(self) -> None:
        session = self._rng.choice(self._sessions)

        def lengthen(found: Any) -> None:
            found.variables["text"] += "more" * self._rng.randrange(300)

        await self._store.update(session.session_id, lengthen)
        self._acknowledge(session)

    async def _erase(self) -> None:
        commits = len(self._journal.commits)
        await self._store.delete_by_tenant(self._tenant)
        self._journal.acknowledge_all(commits)
        self._acknowledge(*self._sessions)
        self._sessions.clear()

    async def _flush(self) -> None:
        commits = len(self._journal.commits)
        await self._journal.flush()
        self._journal.acknowledge_all(commits)
