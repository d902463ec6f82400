"""UnreadableSessions: what a store does when it meets a stored session that it cannot read."""

from __future__ import annotations

import logging
from typing import Literal, TypeAlias

from sessiondex.errors import InvalidArgumentError, UnreadableSessionError

log: logging.Logger = logging.getLogger("sessiondex")

MIN_PAGE_SIZE = 100
"""How many sessions a list reads at a time, once it has skipped one: of very many it would else read one by one."""

OnUnreadable: TypeAlias = Literal["raise", "skip"]


class UnreadableSessions:
    """Decides whether a read goes on without a session, and counts how often one did.

    >>> UnreadableSessions("stop")
    Traceback (most recent call last):
        ...
    sessiondex.errors.InvalidArgumentError: on_unreadable: must be 'raise' or 'skip'
    """

    def __init__(self, on_unreadable: OnUnreadable = "raise") -> None:
        if on_unreadable not in ("raise", "skip"):  # a value of any type, hashable or not
            raise InvalidArgumentError("on_unreadable", "must be 'raise' or 'skip'")
        self._has_to_skip = on_unreadable == "skip"
        self.skipped: int = 0

    def check(self, error: UnreadableSessionError) -> None:
        """Raise the error, unless reads go on without the session."""
        if not self._has_to_skip:
            raise error

    def skip_or_raise(self, error: UnreadableSessionError) -> None:
        """Log and count the session that the error names, or raise the error."""
        self.check(error)
        self.skipped += 1
        log.warning("a read goes on without a session: %s", error)
