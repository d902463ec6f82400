"""The errors of sessiondex, and what to do about each.

    SessiondexError
    ├── InvalidSessionError    (ValueError)       correct the field it names, then save again
    │   └── UnreadableSessionError                let `upgrade` read it, or save or delete the session anew
    ├── InvalidArgumentError   (ValueError)       correct the argument it names, then call again
    ├── InvalidLineError       (ValueError)       correct the line it names, or skip bad lines
    ├── TenantMismatchError    (ValueError)       give the session a new id
    ├── ConflictError          (RuntimeError)     read the session again, repeat the change, save
    ├── SessionNotFoundError   (LookupError)      create the session
    ├── TurnTimeoutError       (TimeoutError)     try again later
    ├── ReentryError           (RuntimeError)     do the work in the turn that the task holds
    ├── ChangesLostError       (LookupError)      read everything again, then follow from now
    ├── StoreClosedError       (RuntimeError)     create a new store
    ├── StoreNotOpenError      (RuntimeError)     open the store: `async with store: ...`
    ├── JournalInUseError      (RuntimeError)     close the other store that has the file, or give another path
    ├── InvalidJournalError    (ValueError)       restore a backup, or give another path
    ├── WrongLoopError         (RuntimeError)     use one store per running event loop
    ├── ForkedStoreError       (RuntimeError)     create a store in each process, after the fork
    ├── StoreUnavailableError  (ConnectionError)  check the server it names, then call again
    └── InvariantError         (AssertionError)   report it: it is a bug of the store

Messages may be logged: they name fields, arguments and ids. Only two kinds show other values: `InvariantError` shows
stored values, and an `InvalidSessionError` the text of your own validators.
"""

from __future__ import annotations

from os import PathLike
from uuid import UUID

_MAX_VALUE_CHARS = 500  # of a value that a message shows


class SessiondexError(Exception):
    """Base class of every error that sessiondex raises."""


class InvalidSessionError(SessiondexError, ValueError):
    """Raised by a save if the session would not come back equal; nothing of it, or of its batch, was saved.

    `field` is the path of the faulty value, such as `variables.order.total`, or `None` for the object as a whole.
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


class UnreadableSessionError(InvalidSessionError):
    """Raised by a read of a stored session that its class does not load, or whose class the store does not know.

    `session_id` is `None` if even that cannot be read. `session_type` and `version` are those under which the session
    was stored, `field` and `reason` what the class refuses; the cause is chained. The session can be saved anew or
    deleted all the same.
    """

    def __init__(
        self, session_id: UUID | None, session_type: str, version: int, field: str | None, reason: str
    ) -> None:
        SessiondexError.__init__(self, session_id, session_type, version, field, reason)
        self.field = field
        self.reason = reason
        self.session_id = session_id
        self.session_type = session_type
        self.version = version

    def __str__(self) -> str:
        return f"session {self.session_id} of type {self.session_type}, version {self.version}: {super().__str__()}"


class InvalidArgumentError(SessiondexError, ValueError):
    """Raised by a call that cannot use one of its arguments; nothing changed.

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


class InvalidLineError(SessiondexError, ValueError):
    """Raised by `import_jsonl` for a line that is no session; `line` is its number, counted from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(line, reason)
        self.line = line
        self.reason = reason

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


class TenantMismatchError(SessiondexError, ValueError):
    """Raised by a save under an id that belongs to another tenant; nothing of the session, or of its batch, was saved.

    Ids are unique across tenants. Create a new id with `uuid4()`. To move a session to another tenant, delete it first.
    """

    def __init__(self, session_id: UUID) -> None:
        super().__init__(session_id)
        self.session_id = session_id

    def __str__(self) -> str:
        return f"session_id: {self.session_id} belongs to another tenant; create a new id with uuid4()"


class ConflictError(SessiondexError, RuntimeError):
    """Raised by a save whose expected revision is not the stored one; nothing changed.

    `expected` and `actual` are revisions; 0 stands for no session. Read the session again, repeat the change and save,
    or let `update` do so; `advice` is for other operations than `save`.

    >>> error = ConflictError(UUID(int=1), expected=3, actual=4)
    >>> error.expected, error.actual
    (3, 4)
    """

    def __init__(self, session_id: UUID, expected: int, actual: int, advice: str | None = None) -> None:
        super().__init__(session_id, expected, actual, advice)
        self.session_id = session_id
        self.expected = expected
        self.actual = actual
        self.advice: str | None = advice

    def __str__(self) -> str:
        stored = f"revision {self.actual} is stored" if self.actual else "no session is stored"
        if self.advice is not None:
            return f"session_id: {stored} of session {self.session_id}, not {self.expected}; {self.advice}"
        return (
            f"expected_revision: expected {self.expected} of session {self.session_id}, but {stored}; "
            "read the session again and repeat the change, or use update()"
        )


class SessionNotFoundError(SessiondexError, LookupError):
    """Raised by `update` if the session does not exist or belongs to another tenant; nothing changed."""

    def __init__(self, session_id: UUID) -> None:
        super().__init__(session_id)
        self.session_id = session_id

    def __str__(self) -> str:
        return f"session_id: there is no session {self.session_id}; save one, or give update() a function `create`"


class TurnTimeoutError(SessiondexError, TimeoutError):
    """Raised by `exclusive` if other tasks held the turn of the session for the whole `timeout` (seconds)."""

    def __init__(self, session_id: UUID, timeout: float) -> None:
        super().__init__(session_id, timeout)
        self.session_id = session_id
        self.timeout = timeout

    def __str__(self) -> str:
        return f"timeout: the turn of session {self.session_id} was not free within {self.timeout} s; try again later"


class ReentryError(SessiondexError, RuntimeError):
    """Raised if a task asks for a turn that it holds already, and would wait for itself for ever."""

    def __str__(self) -> str:
        return "this task holds the turn already; leave it first, or do the work within it"


class ChangesLostError(SessiondexError, LookupError):
    """Raised to a reader whose next change is no longer kept: it was too slow, or stopped for too long.

    `since` is the last sequence that it has seen, `oldest` the first that is still kept. Read all that you need from
    the store, then follow the changes from now on.
    """

    def __init__(self, since: int, oldest: int) -> None:
        super().__init__(since, oldest)
        self.since = since
        self.oldest = oldest

    def __str__(self) -> str:
        return (
            f"since: the changes after {self.since} are no longer kept, the oldest is {self.oldest}; "
            "read everything again and follow from now, or increase changes_kept"
        )


class StoreClosedError(SessiondexError, RuntimeError):
    """Raised by every call of a closed store except `aclose` and `health_check`."""

    def __str__(self) -> str:
        return "this store is closed; create a new one, or close it later"


class StoreNotOpenError(SessiondexError, RuntimeError):
    """Raised by every call of a store with a journal before `async with store` has loaded it."""

    def __str__(self) -> str:
        return "this store is not open yet; use it within `async with store: ...`, which loads its journal"


class JournalInUseError(SessiondexError, RuntimeError):
    """Raised when a journal is opened that another store has open, in this process or another; nothing changed."""

    def __init__(self, path: PathLike[str]) -> None:
        super().__init__(path)
        self.path: PathLike[str] = path

    def __str__(self) -> str:
        return f"the journal {self.path} is in use; close the store that has it, or end its process"


class InvalidJournalError(SessiondexError, ValueError):
    """Raised when a file is opened that is no journal, is damaged, or was written by a later release.

    The file is left as it is. `reason` says what was found and what to do.
    """

    def __init__(self, path: PathLike[str], reason: str) -> None:
        super().__init__(path, reason)
        self.path: PathLike[str] = path
        self.reason = reason

    def __str__(self) -> str:
        return f"the journal {self.path} {self.reason}"


class WrongLoopError(SessiondexError, RuntimeError):
    """Raised if two running event loops or threads use one store at once; nothing changed.

    Create one store for each running loop, or hand the call to the store's loop with
    `asyncio.run_coroutine_threadsafe`. One loop after another is allowed.
    """

    def __str__(self) -> str:
        return (
            "this store is in use by another event loop; create one store for each loop, "
            "or call it with asyncio.run_coroutine_threadsafe on the store's loop"
        )


class ForkedStoreError(SessiondexError, RuntimeError):
    """Raised if a process uses a store that its parent created before a `fork`; nothing changed.

    Neither process would see the saves of the other. Create a store in each process, after the fork.
    """

    def __str__(self) -> str:
        return (
            "this store belongs to the parent process, and neither process would see the saves of the other; "
            "create a store in each process, after the fork"
        )


class StoreUnavailableError(SessiondexError, ConnectionError):
    """Raised if the server of a store cannot be reached or cannot run the operation, after all safe retries.

    A store with a journal raises it for each write after the first that the disk refused; `kind` is then "journal".
    `host` is the address of the server, or the path of the file, `operation` the call that failed. `is_outcome_unknown`
    is true if a write was sent and no answer came: it may have been done, so read before you repeat it. Otherwise
    nothing changed.

    >>> print(StoreUnavailableError("db:6379", "save", "it did not answer in time", is_outcome_unknown=True))
    save: the server at db:6379: it did not answer in time; the write may have been done: read before you repeat it
    """

    def __init__(
        self,
        host: str,
        operation: str,
        reason: str,
        *,
        is_outcome_unknown: bool = False,
        kind: str = "server",
    ) -> None:
        super().__init__(host, operation, reason)
        self.host = host
        self.kind: str = kind
        self.operation = operation
        self.reason = reason
        self.is_outcome_unknown = is_outcome_unknown

    def __str__(self) -> str:
        outcome = "the write may have been done: read before you repeat it" if self.is_outcome_unknown else ""
        return f"{self.operation}: the {self.kind} at {self.host}: {self.reason}" + (outcome and f"; {outcome}")


class InvariantError(SessiondexError, AssertionError):
    """Raised if the data of a store contradicts itself, which is a bug of the store. Checked only with `debug=True`.

    `where` says what differs, `actual` is the value found, `expected` the right one. Unlike other errors, the message
    contains stored values.

    >>> print(InvariantError("count of entries", 3, 4))
    count of entries: found 3, expected 4; please report it, with the steps that led to it
    """

    def __init__(self, where: str, actual: object, expected: object) -> None:
        super().__init__(where, actual, expected)
        self.where = where
        self.actual = actual
        self.expected = expected

    def __str__(self) -> str:
        found, expected = repr(self.actual)[:_MAX_VALUE_CHARS], repr(self.expected)[:_MAX_VALUE_CHARS]
        return f"{self.where}: found {found}, expected {expected}; please report it, with the steps that led to it"


def add_position_note(error: SessiondexError, position: int, *, whole_batch: bool = True) -> None:
    """Add a note to the error: which session of a batch it is about, and that nothing of the batch was saved."""
    unsaved = "nothing of its batch is saved" if whole_batch else "nothing of its tenant's in this batch is saved"
    error.add_note(f"It was session number {position}, counted from 0; {unsaved}.")
