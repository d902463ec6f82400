"""EvictionPolicy: which sessions a store evicts. EvictionNotifier: passes evicted sessions to `on_evict`."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass
from datetime import timedelta
from inspect import isawaitable
from time import perf_counter
from typing import Any, Generic, TypeVar

from sessiondex.arguments import check_callable, check_idle_ttl, check_min
from sessiondex.changes import ChangeKind, EvictionReason
from sessiondex.errors import UnreadableSessionError
from sessiondex.stores.callback_scope import CallbackScope
from sessiondex.stores.commit import Commit

log: logging.Logger = logging.getLogger("sessiondex")

SWEEP_INTERVAL_SECONDS = 1.0  # or the idle_ttl, if that is shorter
_SLICE_SECONDS = 0.002  # how long callbacks run before other tasks get a turn; one callback is never cut

OnEvict = Callable[[Any, EvictionReason], Awaitable[None] | None]
"""Called with each evicted session and the reason; may be a coroutine function."""

R = TypeVar("R")


@dataclass(frozen=True)
class EvictionPolicy:
    """How long idle sessions are kept, how many sessions, and the callback for those evicted.

    >>> EvictionPolicy(idle_ttl=timedelta(hours=1)).is_on
    True
    """

    idle_ttl: timedelta | None = None
    max_sessions: int | None = None
    on_evict: OnEvict | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_idle_ttl(self.idle_ttl)
        if self.max_sessions is not None:
            check_min("max_sessions", self.max_sessions, 1, "None keeps any number")
        if self.on_evict is not None:
            check_callable("on_evict", self.on_evict)

    @property
    def is_on(self) -> bool:
        """Whether any session is ever evicted."""
        return self.idle_ttl is not None or self.max_sessions is not None


@dataclass(frozen=True, slots=True)
class _Eviction(Generic[R]):
    sequence: int
    stored: R
    reason: EvictionReason
    session_class: object
    """Kept alive: a class created at run time may have no other reference."""


class EvictionNotifier(Generic[R]):
    """Calls `on_evict` for each evicted session, one after another, in a task of its own: no save waits for it.

    A commit listener. `to_session` makes a session of what the store had stored. Errors of the callback are logged.
    The owner calls `schedule` after commits, and `start_over` in a new event loop, whose predecessor may have ended
    before all callbacks had run.
    """

    def __init__(
        self, on_evict: OnEvict, to_session: Callable[[R], Any], class_of: Callable[[R], object] = type
    ) -> None:
        """`class_of` returns the class of the session that was stored."""
        self._on_evict = on_evict
        self._to_session = to_session
        self._class_of = class_of
        self._pending: deque[_Eviction[R]] = deque()
        self._last_sequence = 0
        self._loop_number = 0
        self._start: asyncio.Handle | None = None
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Return how many callbacks have not begun."""
        return len(self._pending)

    def on_commit(self, commit: Commit[R]) -> None:
        """Queue the evicted sessions of the commit. Cost: O(its mutations)."""
        for sequence, mutation in enumerate(commit.mutations, commit.sequence):
            last_queued = self._pending[-1].sequence if self._pending else 0
            is_new = sequence > max(self._last_sequence, last_queued)
            if is_new and mutation.kind is ChangeKind.EVICTED and mutation.stored is not None and mutation.reason:
                self._queue(sequence, mutation.stored, mutation.reason)
        self._last_sequence = max(self._last_sequence, commit.sequence + len(commit.mutations) - 1)

    def add(self, stored: R, reason: EvictionReason) -> None:
        """Queue the callback for a session that a server evicted: servers report no commits."""
        self._last_sequence += 1
        self._queue(self._last_sequence, stored, reason)

    def _queue(self, sequence: int, stored: R, reason: EvictionReason) -> None:
        self._pending.append(_Eviction(sequence, stored, reason, self._class_of(stored)))

    def forget(self, is_erased: Callable[[R], bool]) -> None:
        """Drop the pending callbacks for sessions that were erased since."""
        self._pending = deque([eviction for eviction in self._pending if not is_erased(eviction.stored)])

    def schedule(self) -> None:
        """Have the pending callbacks run soon: never within this call, also if tasks start eagerly."""
        if self._pending and self._start is None and (self._task is None or self._task.done()):
            self._start = asyncio.get_running_loop().call_soon(self._start_task)

    def start_over(self) -> None:
        """Forget the task of an earlier event loop; call `schedule` in the new one."""
        self._loop_number += 1
        self._start = self._task = None

    def _start_task(self) -> None:
        self._start = None
        if self._pending and (self._task is None or self._task.done()):
            # In an empty context: an eviction belongs to no request.
            task = self._notify_all()
            self._task = asyncio.get_running_loop().create_task(task, name="sessiondex on_evict", context=Context())

    async def _notify_all(self) -> None:
        """Call the callback for all pending evictions.

        If the task is cancelled within a callback, because its loop ends, the next loop repeats that callback.
        """
        deadline, loop_number = perf_counter() + _SLICE_SECONDS, self._loop_number
        while self._pending and loop_number == self._loop_number:  # else its loop stopped, and goes on beside another
            eviction = self._pending.popleft()
            self._last_sequence = max(self._last_sequence, eviction.sequence)
            try:
                with CallbackScope(self):
                    result = self._on_evict(self._to_session(eviction.stored), eviction.reason)
                    if isawaitable(result):
                        await result
            except asyncio.CancelledError:
                if (task := asyncio.current_task()) is None or task.cancelling():
                    self._pending.appendleft(eviction)
                    raise
                log.exception("on_evict was cancelled; the session is evicted all the same")
            except UnreadableSessionError as error:  # its cause may quote contents
                log.warning("on_evict was not called: %s", error)
            except Exception:  # any error of the callback
                log.exception("on_evict raised an error; the session is evicted all the same")
            if perf_counter() > deadline:
                await asyncio.sleep(0)
                deadline = perf_counter() + _SLICE_SECONDS

    async def drain(self) -> None:
        """Wait until all callbacks have run; return at once within a callback, which would wait for itself."""
        if self._pending:
            self._start_task()
        if self._task is not None and not self._task.done() and not CallbackScope.is_within(self):
            await asyncio.wait([self._task])
