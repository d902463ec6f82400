"""CallbackScope: recognise code that runs within a callback of the store, also in tasks that the callback starts.

`asyncio.wait_for` runs what it waits for in a task of its own before Python 3.12. So the current task alone does not
show that a call comes from within a callback, and waiting for the callback to end would be waiting for oneself.
"""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar, Token

_scopes: ContextVar[tuple[CallbackScope, ...]] = ContextVar("sessiondex_callback_scopes", default=())


class CallbackScope:
    """A block in which a callback runs, for an owner and a key.

    Tasks inherit the context in which they are started; so they are within the scope too, until the block ends.

    >>> with CallbackScope("store", b"key"):
    ...     CallbackScope.is_within("store", b"key"), CallbackScope.is_within("store", b"another key")
    (True, False)
    >>> CallbackScope.is_within("store", b"key")
    False
    """

    __slots__ = ("_is_active", "_key", "_owner", "_token")

    def __init__(self, owner: object, key: bytes = b"") -> None:
        self._owner = owner
        self._key = key
        self._is_active = False
        self._token: Token[tuple[CallbackScope, ...]] | None = None

    def __enter__(self) -> None:
        self._is_active = True
        # Without ended scopes: a callback may start the task in which the next callback runs, and so on for ever.
        active = [scope for scope in _scopes.get() if scope.is_active]
        self._token = _scopes.set((*active, self))

    def __exit__(self, *_: object) -> None:
        self._is_active = False
        if self._token is not None:
            with suppress(ValueError):  # a task of a loop that ended is closed by the garbage collector, in its context
                _scopes.reset(self._token)

    @property
    def is_active(self) -> bool:
        """Whether the block is open."""
        return self._is_active

    @staticmethod
    def is_within(owner: object, key: bytes = b"") -> bool:
        """Return whether the running code is within a scope of that owner and key."""
        return any(scope.matches(owner, key) for scope in _scopes.get())

    def matches(self, owner: object, key: bytes) -> bool:
        """Return whether the block is open, and of that owner and key."""
        return self._is_active and self._owner is owner and self._key == key
