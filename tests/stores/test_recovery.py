"""Every change of a Writer first finishes an interrupted commit: its caller may not have entered the guard since."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from sessiondex import Session, schema
from sessiondex.clock import StampClock
from sessiondex.engine.table import RowChange
from sessiondex.snapshots.codec import SnapshotCodec
from sessiondex.stores.eviction import EvictionPolicy
from sessiondex.stores.table_backend import TableBackend
from sessiondex.stores.writer import Writer
from tests.support.builders import Clock, make_session


class InterruptedBackend(TableBackend[Session]):
    """Runs out of memory in the middle of a change, and again in the recovery, when `is_failing`."""

    is_failing = False

    def apply(self, plan: RowChange) -> None:
        super().apply(plan)
        if self.is_failing:
            self._by_channel.clear()
            raise MemoryError

    def recover(self, plans: Sequence[RowChange]) -> None:
        if self.is_failing:
            raise MemoryError
        super().recover(plans)


CHANGES: dict[str, Callable[[Writer[Any, Any], Any], Any]] = {
    "put": lambda writer, prepared: writer.put(prepared),
    "put_many": lambda writer, prepared: writer.put_many([prepared]),
    "restore": lambda writer, prepared: writer.restore([(prepared, 2**50, 1)]),
    "touch": lambda writer, prepared: writer.touch(prepared.session_id, None),
    "remove": lambda writer, prepared: writer.remove([prepared.session_id], None),
    "erase": lambda writer, _: writer.erase([]),
    "evict_expired": lambda writer, _: writer.evict_expired(1, 1.0),
    "evict_surplus": lambda writer, _: writer.evict_surplus(1.0),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_first_finishes_an_interrupted_commit(change: Callable[..., Any]) -> None:
    policy, clock = EvictionPolicy(timedelta(days=1), 10), StampClock(Clock(), timedelta(days=1))
    codec: SnapshotCodec[Session] = SnapshotCodec(schema.eviction_index_keys)
    backend = InterruptedBackend(codec, 10, has_evictions=True)
    writer = Writer(backend, clock, policy)
    interrupted, other = codec.prepare(make_session()), codec.prepare(make_session())
    writer.put(codec.prepare(make_session()))
    backend.is_failing = True
    with pytest.raises(MemoryError):
        writer.put(interrupted)
    backend.is_failing = False
    change(writer, other)

    backend.check()
    assert backend.find(interrupted.session_id) is not None
    assert writer.last_sequence in {2, 3}
