"""Which sessions a store lets go of by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sessiondex.contract import EvictionReason
from sessiondex.stores import arguments as check

SWEEP_EVERY = 1.0  # seconds, or sooner if sessions expire sooner

OnEvict = Callable[[Any, EvictionReason], Awaitable[None] | None]
"""Is told each session that was evicted, and why. May be a coroutine function."""


@dataclass(frozen=True)
class Eviction:
    """Up to when sessions are kept, how many of them, and who is told.

    >>> Eviction(idle_ttl=timedelta(hours=1)).is_on
    True
    """

    idle_ttl: timedelta | None = None
    max_sessions: int | None = None
    on_evict: OnEvict | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        check.idle_ttl(self.idle_ttl)
        if self.max_sessions is not None:
            check.at_least("max_sessions", self.max_sessions, 1, "None keeps any number")
        if self.on_evict is not None:
            check.callback("on_evict", self.on_evict)

    @property
    def is_on(self) -> bool:
        """Whether any session is ever evicted."""
        return self.idle_ttl is not None or self.max_sessions is not None

    def since(self, now: datetime) -> datetime | None:
        """Return the stamp from which on sessions can be seen, or `None` if all can."""
        if self.idle_ttl is None:
            return None
        try:
            return now - self.idle_ttl
        except OverflowError:  # before the calendar begins
            return None
