"""Stores with a fault in loops or the life cycle."""

from __future__ import annotations

import asyncio
from typing import Any

from sessiondex import ScanSessionStore, StoreClosedError
from sessiondex.stores.loop_guard import LoopGuard
from sessiondex.testing.cases import life_cycle
from tests.support.broken_stores.fault import found_by
from tests.support.broken_stores.parts import PartsStore


@found_by("closing-twice-does-nothing", by=StoreClosedError)
class RefusesASecondClose(ScanSessionStore[Any]):
    async def aclose(self) -> None:
        if self._guard.is_closed:
            raise StoreClosedError
        await super().aclose()


@found_by(
    "a-closed-store-refuses-changes",
    "closing-ends-the-wait-for-a-turn",
    "changes-committed-before-the-close-can-still-be-read",
    by=TimeoutError,
)
@found_by(
    *(str(case) for case in life_cycle.CLOSED if case.name != "a-closed-store-refuses-changes"),
    "a-store-may-be-opened-and-closed",
    "an-error-inside-async-with-closes-the-store",
    "closing-ends-the-wait-for-a-session-to-be-created",
)
class NeverCloses(ScanSessionStore[Any]):
    async def aclose(self) -> None:
        pass


class _AdmitsAnyLoop(LoopGuard):
    def _bind(self, *, is_opening: bool = False) -> None:
        self._owner = None
        super()._bind(is_opening=is_opening)


@found_by(*(str(case) for case in life_cycle.ELSEWHERE if case.name != "a-second-running-loop-is-refused-changes"))
class AcceptsAnyLoop(PartsStore):
    guard_class = _AdmitsAnyLoop


class _AdmitsOneLoop(LoopGuard):
    def _bind(self, *, is_opening: bool = False) -> None:
        if self._owner not in {None, asyncio.get_running_loop()}:
            raise RuntimeError("of another loop")
        super()._bind(is_opening=is_opening)


@found_by("a-store-serves-one-loop-after-another", "a-paused-loop-may-continue-after-another", by=RuntimeError)
class RefusesAnotherLoop(PartsStore):
    guard_class = _AdmitsOneLoop
