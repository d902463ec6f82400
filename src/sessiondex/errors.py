"""Everything that sessiondex raises.

    SessiondexError
    ├── InvalidSessionError   (ValueError)     mend the field it names, then save again
    ├── InvalidArgumentError  (ValueError)     mend the argument it names, then call again
    ├── TenantMismatchError   (ValueError)     give the session an id of its own
    ├── ConflictError         (RuntimeError)   read it again, change it again, save again
    ├── SessionNotFoundError  (LookupError)    make one
    ├── TurnTimeoutError      (TimeoutError)   try again later
    ├── ReentryError          (RuntimeError)   leave the turn that this task has
    ├── ChangesLostError      (LookupError)    read everything again, then follow from now
    ├── StoreClosedError      (RuntimeError)   make another store
    ├── WrongLoopError        (RuntimeError)   one store, one running event loop
    ├── ForkedStoreError      (RuntimeError)   make a store in each process, after the fork
    ├── StoreUnavailableError (ConnectionError) see to the server that it names, then call again
    └── InvariantError        (AssertionError) report it: it is a bug of the store

Messages may be logged: they name fields, arguments and keys, not values. What a validator of yours says goes along,
and what an `InvariantError` found.
"""

from __future__ import annotations

from uuid import UUID

_SHOWN = 500  # characters of a value, in a message


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


class ConflictError(SessiondexError, RuntimeError):
    """A save expected a revision that the stored session does not have; nothing changed.

    `expected` and `actual` are revisions; 0 stands for no session. Read the session again, change it again and save
    that, or let `update` do so.

    >>> error = ConflictError(UUID(int=1), expected=3, actual=4)
    >>> error.expected, error.actual
    (3, 4)
    """

    def __init__(self, session_id: UUID, expected: int, actual: int) -> None:
        super().__init__(session_id, expected, actual)
        self.session_id = session_id
        self.expected = expected
        self.actual = actual

    def __str__(self) -> str:
        there = f"revision {self.actual} is stored" if self.actual else "no session is stored"
        return (
            f"session_id: of {self.session_id}, revision {self.expected} was expected, but {there}; "
            "read it again and change that, or use update()"
        )


class SessionNotFoundError(SessiondexError, LookupError):
    """There is no such session, or none of the given tenant; nothing changed."""

    def __init__(self, session_id: UUID) -> None:
        super().__init__(session_id)
        self.session_id = session_id

    def __str__(self) -> str:
        return f"session_id: there is no session {self.session_id}; make one with Session(...) and save it"


class TurnTimeoutError(SessiondexError, TimeoutError):
    """The turn of a session did not come in time: others work on it, or wait before you."""

    def __init__(self, session_id: UUID, timeout: float) -> None:
        super().__init__(session_id, timeout)
        self.session_id = session_id
        self.timeout = timeout

    def __str__(self) -> str:
        return f"session_id: the turn of {self.session_id} did not come within {self.timeout} s; try again later"


class ReentryError(SessiondexError, RuntimeError):
    """A task asked for a turn that it has already, and would have waited for itself."""

    def __str__(self) -> str:
        return "this task has the turn already; leave it first, or do the work within it"


class ChangesLostError(SessiondexError, LookupError):
    """Changes are no longer kept that a reader has not seen: it was too slow, or away for too long.

    `since` is the last sequence that it has seen, `oldest` the first that is still kept. Read all that you need from
    the store, then follow the changes from now on.
    """

    def __init__(self, since: int, oldest: int) -> None:
        super().__init__(since, oldest)
        self.since = since
        self.oldest = oldest

    def __str__(self) -> str:
        return (
            f"since: changes after {self.since} are gone, {self.oldest} is the oldest that is kept; "
            "read everything again and follow from now, or raise changes_kept"
        )


class StoreClosedError(SessiondexError, RuntimeError):
    """The store was closed."""

    def __str__(self) -> str:
        return "this store was closed; make another, or close it later"


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


class ForkedStoreError(SessiondexError, RuntimeError):
    """A store was used that came over from another process by `fork`; nothing changed.

    What one process saves in it the other would never see. Make a store in each process, after the fork.
    """

    def __str__(self) -> str:
        return (
            "this store belongs to the process that this one was forked from, "
            "and neither would see what the other saves; "
            "make a store in each process, after the fork"
        )


class StoreUnavailableError(SessiondexError, ConnectionError):
    """The server of a store cannot be reached, or cannot do what it was asked; what can safely be tried again was.

    `host` is where the server is, `operation` what was asked of it. If `is_outcome_unknown`, a write was sent and its
    answer never came: it may have been done, so read before you try again. Else nothing changed.

    >>> print(StoreUnavailableError("db:6379", "save", "it did not answer in time", is_outcome_unknown=True))
    save: the server at db:6379: it did not answer in time; whether it was done is unknown, read before you try again
    """

    def __init__(self, host: str, operation: str, reason: str, *, is_outcome_unknown: bool = False) -> None:
        super().__init__(host, operation, reason)
        self.host = host
        self.operation = operation
        self.reason = reason
        self.is_outcome_unknown = is_outcome_unknown

    def __str__(self) -> str:
        outcome = "whether it was done is unknown, read before you try again" if self.is_outcome_unknown else ""
        return f"{self.operation}: the server at {self.host}: {self.reason}" + (outcome and f"; {outcome}")


class InvariantError(SessiondexError, AssertionError):
    """A store found that what it holds contradicts itself: a bug of the store. Only with `debug` is that looked for.

    `where` says what differs, `actual` is what was found, `expected` what it should be. Unlike those of other errors
    the message holds values that were stored.

    >>> print(InvariantError("count of entries", 3, 4))
    count of entries: found 3, expected 4; please report it, with what led to it
    """

    def __init__(self, where: str, actual: object, expected: object) -> None:
        super().__init__(where, actual, expected)
        self.where = where
        self.actual = actual
        self.expected = expected

    def __str__(self) -> str:
        found, expected = repr(self.actual)[:_SHOWN], repr(self.expected)[:_SHOWN]
        return f"{self.where}: found {found}, expected {expected}; please report it, with what led to it"


def add_position_note(error: SessiondexError, position: int, *, whole_batch: bool = True) -> None:
    """Add a note to the error: which session of a batch it is about, and that nothing of the batch was saved."""
    unsaved = "nothing of its batch is saved" if whole_batch else "nothing of its tenant's in this batch is saved"
    error.add_note(f"It was session number {position}, counted from 0; {unsaved}.")
