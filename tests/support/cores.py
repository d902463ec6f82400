"""Core: a writer with its backend, codec and clock, without a store and without an event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from sessiondex import ChangeKind, schema
from sessiondex.clock import StampClock
from sessiondex.snapshots.codec import Prepared, SnapshotCodec
from sessiondex.stores.commit import Commit
from sessiondex.stores.eviction import EvictionPolicy
from sessiondex.stores.scan import ScanBackend
from sessiondex.stores.table_backend import TableBackend
from sessiondex.stores.writer import Writer
from tests.support.builders import Clock, make_session


class Recorder:
    """A listener that keeps the mutations of new sequences, as every listener must."""

    def __init__(self) -> None:
        self.calls = 0
        self.sequences: list[int] = []
        self.mutations: list[Any] = []

    def on_commit(self, commit: Commit[Any]) -> None:
        self.calls += 1
        for sequence, mutation in enumerate(commit.mutations, commit.sequence):
            if not self.sequences or sequence > self.sequences[-1]:
                self.sequences.append(sequence)
                self.mutations.append(mutation)

    @property
    def kinds(self) -> list[tuple[ChangeKind, UUID]]:
        return [(mutation.kind, mutation.session_id) for mutation in self.mutations]


class Core:
    """A writer with its parts, and a recorder of what it commits."""

    def __init__(self, make_backend: Callable[[Any], Any], *, policy: EvictionPolicy | None = None) -> None:
        self.clock = Clock()
        policy = policy or EvictionPolicy()
        stamps = StampClock(self.clock, policy.idle_ttl)
        self.codec: SnapshotCodec[Any] = SnapshotCodec(schema.eviction_index_keys, stamps.instant)
        self.backend = make_backend(self.codec)
        self.events: list[str] = []
        self.writer: Writer[Any, Any] = Writer(
            self.backend,
            stamps,
            policy,
            suspend=lambda: self.events.append("suspend"),
            resume=lambda: self.events.append("resume"),
            has_checks=True,
        )
        self.recorder = Recorder()
        self.writer.subscribe(self.recorder)

    def prepare(self, **fields: Any) -> Prepared:
        return self.codec.prepare(make_session(**fields))

    def put_new(self, count: int) -> list[UUID]:
        """Store that many sessions, a minute after another, and return their ids."""
        ids = []
        for _ in range(count):
            prepared = self.prepare()
            self.writer.put(prepared)
            ids.append(prepared.session_id)
            self.clock.move(minutes=1)
        return ids

    def generation(self, prepared: Prepared) -> Any:
        """Return the generation of the stored session."""
        head = self.backend.head(prepared.session_id)
        assert head is not None
        return head.generation

    def version(self, session_id: UUID) -> tuple[int, int] | None:
        head = self.backend.head(session_id)
        return None if head is None else (head.stamp, head.revision)


def make_table_backend(codec: Any) -> TableBackend[Any]:
    return TableBackend(codec, 10, has_evictions=True)


BACKENDS: dict[str, Callable[[Any], Any]] = {"table": make_table_backend, "scan": ScanBackend}
