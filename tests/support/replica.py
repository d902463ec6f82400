"""ReplicatedStore: a store whose commits a listener replays into a second store, to which it compares every answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sessiondex import ChangeKind, InMemorySessionStore
from sessiondex.queries import ChannelQuery, CountQuery, ListQuery, Page, ScenarioQuery, StepQuery
from sessiondex.stores.commit import Commit


class Replica(InMemorySessionStore[Any]):
    """A store that changes by replayed commits alone. A commit listener."""

    def __init__(self, source: Any, **options: Any) -> None:
        super().__init__(**options)
        self.source = source
        self.last_sequence = 0

    def on_commit(self, commit: Commit[Any]) -> None:
        for sequence, mutation in enumerate(commit.mutations, commit.sequence):
            if sequence <= self.last_sequence:
                continue
            if mutation.kind is ChangeKind.SAVED:
                stored = self.source.find(mutation.session_id)
                prepared = self._codec.prepare(self.source.to_session(stored))
                assert self._writer.restore([(prepared, mutation.stamp, mutation.revision)]) == 1
            else:
                assert self._writer.remove([mutation.session_id], mutation.tenant_id) == 1
            self.last_sequence = sequence


class ReplicatedStore(InMemorySessionStore[Any]):
    """Answers as `InMemorySessionStore` does, and fails if its replica answers anything else."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        unevicting = {name: value for name, value in options.items() if name not in {"on_evict", "max_sessions"}}
        self.replica = Replica(self._backend, **unevicting)
        self._writer.subscribe(self.replica)

    async def _find(self, session_id: UUID, tenant_id: UUID | None) -> Any:
        return _same(await super()._find(session_id, tenant_id), await self.replica._find(session_id, tenant_id))

    async def _latest(self, query: ChannelQuery) -> Any:
        return _same(await super()._latest(query), await self.replica._latest(query))

    async def _newest(self, query: ListQuery, page: Page) -> list[Any]:
        return _same(await super()._newest(query, page), await self.replica._newest(query, page))

    async def _at_step(self, query: StepQuery) -> list[Any]:
        return _same(await super()._at_step(query), await self.replica._at_step(query))

    async def _count(self, query: CountQuery) -> int:
        return _same(await super()._count(query), await self.replica._count(query))

    async def _count_steps(self, query: ScenarioQuery) -> dict[str, int]:
        return _same(await super()._count_steps(query), await self.replica._count_steps(query))


def _same(answer: Any, replayed: Any) -> Any:
    assert answer == replayed
    return answer
