"""Evictor: evicts after saves and before counts, in slices, and has `on_evict` called."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from time import perf_counter
from typing import Generic

from sessiondex.errors import InvariantError, StoreClosedError, WrongLoopError
from sessiondex.stores.backend import P, R
from sessiondex.stores.eviction import EvictionNotifier, EvictionPolicy
from sessiondex.stores.slices import SLICE_SECONDS, Slices
from sessiondex.stores.writer import Writer

log: logging.Logger = logging.getLogger("sessiondex")

_EVICTIONS_PER_SAVE = 2  # more than a save adds, so that saves alone catch up with what expires


class Evictor(Generic[R, P]):
    """Evicts by the policy of a writer. The caller of `after` holds the lock of the store; the others take it."""

    def __init__(
        self,
        writer: Writer[R, P],
        policy: EvictionPolicy,
        notifier: EvictionNotifier[R] | None,
        enter: Callable[[], None],
    ) -> None:
        self._writer = writer
        self._policy = policy
        self._notifier = notifier
        self._enter = enter

    async def after(self, save_count: int) -> None:
        """Evict what is beyond the limit after so many saves, and a few sessions that have expired."""
        if not self._policy.is_on:
            return
        slices = Slices(self._enter)
        try:
            while self._writer.evict_surplus(SLICE_SECONDS):
                self.notify()
                await slices.pause()
            for _ in range(save_count):
                if not self._writer.evict_expired(_EVICTIONS_PER_SAVE):
                    break
                if perf_counter() > slices.deadline:
                    await slices.pause()
        except (StoreClosedError, WrongLoopError):  # while it paused; the save is done all the same
            return
        except InvariantError:
            raise
        except Exception:  # of the clock, which is the user's: the save is done, so it does not fail
            log.exception("evicting after a save failed; the next save tries again")

    async def some_expired(self, locked: Callable[[], AbstractAsyncContextManager[None]]) -> bool:
        """Evict sessions that have expired, for a slice of time; return whether there may be more."""
        async with locked():
            return self._writer.evict_expired(2**63, SLICE_SECONDS)

    async def all_expired(self, locked: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        """Evict all sessions that have expired, a slice of time after another."""
        if self._policy.idle_ttl is not None:
            slices = Slices(self._enter)
            while await self.some_expired(locked):
                await slices.pause()

    def notify(self) -> None:
        """Have `on_evict` called soon for what was evicted."""
        if self._notifier is not None:
            self._notifier.schedule()
