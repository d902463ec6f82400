"""Everything that sessiondex raises.

    SessiondexError
    ├── InvalidSessionError   (ValueError)     mend the field it names, then save again
    ├── InvalidArgumentError  (ValueError)     mend the argument it names, then call again
    ├── TenantMismatchError   (ValueError)     give the session an id of its own
    └── WrongLoopError        (RuntimeError)   one store, one running event loop

Messages may be logged: they name fields, arguments and keys, not values. What a validator of yours says goes along.
"""

from __future__ import annotations

from uuid import UUID


class SessiondexError(Exception):
    """The base of every error that sessiondex raises."""


class InvalidSessionError(SessiondexError, ValueError):
    """A session was to be saved that could not come back equal; nothing of it, or of its batch, was saved.

    Also raised on reading, if a validator of yours refuses what it accepted when the session was saved.

    `field` is the path of what is at fault, such as `variables.order.total`, and `None` if it is the object as a whole.
    `reason` says what is wrong and what to do.

    >>> str(InvalidSessionError("turn_count", "Input should be a valid integer"))
    'turn_count: Input should be a valid integer'
    """

    def __init__(self, field: str | None, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}" if self.field else self.reason


class InvalidArgumentError(SessiondexError, ValueError):
    """A call was given an argument that it cannot use; nothing changed.

    `argument` is its name, `reason` says what is wrong and what to do.

    >>> str(InvalidArgumentError("limit", "must not be negative"))
    'limit: must not be negative'
    """

    def __init__(self, argument: str, reason: str) -> None:
        super().__init__(argument, reason)
        self.argument = argument
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.argument}: {self.reason}"


class TenantMismatchError(SessiondexError, ValueError):
    """A session was to be saved whose id is not free for its tenant; nothing of it, or of its batch, was saved.

    Ids are unique across tenants. Make a new one with `uuid4()`; to move a session to another tenant, delete it first.
    """

    def __init__(self, session_id: UUID) -> None:
        super().__init__(session_id)
        self.session_id = session_id

    def __str__(self) -> str:
        return f"session_id: {self.session_id} cannot be used by this tenant; make a new id with uuid4()"


class WrongLoopError(SessiondexError, RuntimeError):
    """A store was used from two running event loops or threads at once; nothing changed.

    Keep one store for each running loop, or hand the call to the store's loop with
    `asyncio.run_coroutine_threadsafe`. One loop after another is fine.
    """

    def __str__(self) -> str:
        return (
            "this store is in use by another event loop; make one store for each loop, "
            "or call it through asyncio.run_coroutine_threadsafe on the loop that it belongs to"
        )
