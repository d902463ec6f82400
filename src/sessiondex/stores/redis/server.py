"""A server, or a cluster of them, as it is seen from one loop: calls of functions, tried again where that is safe.

A write that was sent and not answered may have been done, so it is not sent again: whoever asked for it is told. All
else can be: what only reads, what was never sent, and what the server says it did not do.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from traceback import walk_tb
from typing import Any

from redis import asyncio as client_library
from redis import exceptions as failures
from redis.asyncio.connection import ConnectionPool, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sessiondex.errors import StoreUnavailableError
from sessiondex.stores.redis.batches import Batches, Command, EachAnswered
from sessiondex.stores.redis.library import library

_ATTEMPTS = 5
_PAUSE = 0.05  # seconds before the second attempt, twice as long before each further one
_LONGEST = 1.5  # times the timeout, after which none begins: what was not answered in time is asked once more
_MOST_CONNECTIONS = 2**16  # more than calls at a time: those who follow changes have one each
_LEAST_VERSION = (6, 2)

_NOT_DONE = (
    failures.ReadOnlyError,  # it was a replica, for instance after a failover
    failures.ClusterError,  # it is down; or a slot is on its way from node to node, and was at none of them
    failures.SlotNotCoveredError,
    failures.TryAgainError,
    failures.BusyLoadingError,
    failures.MaxConnectionsError,
)
_REFUSED = (
    failures.AuthenticationError,
    failures.AuthorizationError,
    failures.NoPermissionError,
    failures.OutOfMemoryError,
)
_IN_SCRIPTS = {"OOM": failures.OutOfMemoryError, "READONLY": failures.ReadOnlyError}
"""What a server older than Redis 7 says in the middle of what it says of a script: its first write was refused."""
_PART_OF = {"claim": "save", "bar": "save"}
"""What was asked for, where a function is one step of it."""
_LOST = (failures.ConnectionError, failures.TimeoutError, OSError, TimeoutError)


@dataclass(frozen=True)
class Address:
    """Where the servers are, and how to talk to them: what the URL said, by redis-py's names."""

    host: str
    """As it may be shown."""
    options: dict[str, Any] = field(repr=False)  # the password among them
    is_cluster: bool
    timeout: float
    max_connections: int


class Server:
    """Calls functions of the library, from one loop. Makes connections when they are needed."""

    def __init__(self, address: Address) -> None:
        self.host = address.host
        self._is_cluster = address.is_cluster
        self._client: Any = _client(address)
        self._timeout = address.timeout
        self._room = asyncio.Semaphore(address.max_connections)
        # On a cluster each command has a connection of its own: where one goes is not known before it was answered.
        self._batches = None if address.is_cluster else Batches(self._execute_all, self._room)
        self._is_one_alone = False
        self._has_functions = True
        self._is_checked = self._is_closed = False
        self._calls = 0
        """How many are under way."""

    async def call(self, function: str, keys: Sequence[bytes], *args: str | bytes | int) -> list[Any]:
        """Return the answer of the function, which begins with the first of the keys.

        Raises:
            StoreUnavailableError: it cannot be had.
        """
        await self._look()
        is_repeatable = function in library().repeatable
        operation = _PART_OF.get(function, function)
        called = self._tried(operation, self._called, function, keys, args, is_repeatable=is_repeatable)
        answer: list[Any] = await called
        if answer[0] != keys[0]:
            await self.disconnect()
            reason = "an answer came that was another's; connections are made anew"
            raise StoreUnavailableError(self.host, operation, reason, is_outcome_unknown=not is_repeatable)
        return answer

    async def command(
        self, operation: str, *command: str | bytes | int, key: bytes | None = None, is_apart: bool = False
    ) -> Any:
        """Return the answer of a command that may be done twice without harm.

        One that waits at the server is to be apart: nobody waits for it, and it takes no place of others.
        """
        await self._look()
        execute = self._execute_apart if is_apart else self._execute
        return await self._tried(operation, execute, key, command)

    async def _look(self) -> None:
        if not self._is_checked:
            await self._tried("open", self._check)

    async def _tried(self, operation: str, attempt: Any, *args: Any, is_repeatable: bool = True) -> Any:
        self._calls += 1
        try:
            return await self._attempts(operation, attempt, args, is_repeatable=is_repeatable)
        finally:
            self._calls -= 1
            if self._is_closed and not self._calls:
                await self.close()  # it went on when that was done, and may have opened connections

    async def _attempts(self, operation: str, attempt: Any, args: Any, *, is_repeatable: bool) -> Any:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _LONGEST * self._timeout
        for number in range(_ATTEMPTS):
            try:
                return await attempt(*args)
            except StoreUnavailableError:
                raise
            except (failures.RedisError, failures.RedisClusterException, OSError) as error:
                is_undone = (
                    isinstance(error, (*_NOT_DONE, *_REFUSED)) or not isinstance(error, _LOST) or not _was_sent(error)
                )
                is_transient = isinstance(error, (*_NOT_DONE, *_LOST)) and not isinstance(error, _REFUSED)
                is_unknown = not is_undone and not is_repeatable
                is_last = number == _ATTEMPTS - 1 or loop.time() >= deadline or self._is_closed
                if is_unknown or not is_transient or is_last:
                    raise StoreUnavailableError(
                        self.host, operation, _told(error), is_outcome_unknown=is_unknown
                    ) from None
                if isinstance(error, failures.ReadOnlyError):
                    await self.disconnect()  # behind the same name there may be another by now
            await asyncio.sleep(random.uniform(0.5, 1) * _PAUSE * 2**number)  # noqa: S311  # no secret
            if self._is_closed:
                break
        raise StoreUnavailableError(self.host, operation, "the store was closed")

    async def _called(self, function: str, keys: Sequence[bytes], args: Sequence[str | bytes | int]) -> Any:
        known = library()
        while self._has_functions:
            command = "FCALL_RO" if function in known.reads else "FCALL"
            try:
                return await self._execute(keys[0], (command, f"{known.name}_{function}", len(keys), *keys, *args))
            except failures.ResponseError as error:
                text = str(error)
                if "unknown command" in text.lower():
                    self._has_functions = False
                elif "function not found" in text.lower():
                    await self._load()
                else:
                    raise
        call = (len(keys), *keys, function, *args)
        try:
            return await self._execute(keys[0], ("EVALSHA", known.script_digest, *call))
        except failures.NoScriptError:
            return await self._execute(keys[0], ("EVAL", known.script, *call))
        except failures.ResponseError as error:
            for code, kind in _IN_SCRIPTS.items():
                if f"-{code} " in str(error):
                    raise kind from None
            raise

    async def _execute(self, key: bytes | None, command: Command) -> Any:
        if self._batches is not None and (self._is_one_alone or self._batches.are_busy):
            return await self._batches.ask(command)
        self._is_one_alone = True
        try:
            async with self._room:
                return await self._execute_apart(key, command)
        finally:
            self._is_one_alone = False

    async def _execute_apart(self, key: bytes | None, command: Command) -> Any:
        if not self._is_cluster:
            return await self._timed(self._client.execute_command(*command))
        return await self._timed(self._execute_on_its_node(key, command))

    async def _execute_on_its_node(self, key: bytes | None, command: Command) -> Any:
        await self._know_nodes()
        # Which node is computed here: of commands that it does not know, redis-py asks a server.
        node = self._client.get_random_node() if key is None else self._client.get_node_from_key(key)
        return await self._client.execute_command(*command, target_nodes=node)

    async def _execute_all(self, commands: list[Command]) -> list[Any]:
        pipeline = EachAnswered(self._client.connection_pool, self._client.response_callbacks, False, None)
        for command in commands:
            pipeline.execute_command(*command)
        answers: list[Any] = await self._timed(pipeline.execute(raise_on_error=False))
        return answers

    async def _timed(self, call: Awaitable[Any]) -> Any:
        try:
            # Not by redis-py, which times a write with `wait_for`: before Python 3.12 that can lose a cancellation.
            async with asyncio.timeout(self._timeout):
                return await call
        except TypeError as error:
            # So asyncio says, from Python 3.12 on, when it is to write to a connection that was lost: nothing was sent.
            if not any(frame.f_code.co_name == "writelines" for frame, _ in walk_tb(error.__traceback__)):
                raise
            raise failures.ConnectionError("the connection was lost before; connecting to the server anew") from None

    async def _know_nodes(self) -> None:
        """Know which node has what. Costs nothing, unless it is the first time, or a call failed."""
        try:
            await self._client.initialize()
        except failures.RedisClusterException as error:
            if isinstance(error.__cause__, _REFUSED):
                raise error.__cause__ from None
            if "not enabled" in str(error):
                raise StoreUnavailableError(self.host, "open", "it is a single server: use redis://") from None
            raise failures.ConnectionError("no node answers; nothing was sent: connecting to the cluster") from None

    async def _on_all(self, *command: str) -> list[Any]:
        """Execute it on every primary. An answer may be a refusal."""
        if not self._is_cluster:
            executing = [self._execute(None, command)]
        else:
            await self._timed(self._know_nodes())
            executing = [
                self._timed(self._client.execute_command(*command, target_nodes=node))
                for node in self._client.get_primaries()
            ]
        answers = await asyncio.gather(*executing, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, failures.ResponseError):
                raise answer
        return answers

    async def _load(self) -> None:
        for answer in await self._on_all("FUNCTION", "LOAD", library().source):
            if isinstance(answer, failures.ResponseError) and "already exists" not in str(answer):
                raise answer

    async def _check(self) -> None:
        """Raise unless the servers keep what they are given, and are new enough."""
        for about in await self._on_all("INFO"):
            is_told = not isinstance(about, failures.ResponseError)  # or else this user may not ask
            if is_told and (objection := _objection(about, is_cluster=self._is_cluster)):
                raise StoreUnavailableError(self.host, "open", objection)
        self._is_checked = True

    async def disconnect(self) -> None:
        """Close connections that are not in use; calls make others."""
        if self._is_cluster:
            await asyncio.gather(*(node.disconnect_free_connections() for node in self._client.get_nodes()))
        else:
            await self._client.connection_pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        """Close all connections. Calls that are under way end with them; what is called later closes its own."""
        self._is_closed = True
        if self._batches is None:
            await self._client.aclose()
            return
        try:
            await self._batches.close()
        finally:
            await self._client.aclose(close_connection_pool=True)


def _client(address: Address) -> Any:
    options = {
        **address.options,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": None,
        "socket_connect_timeout": address.timeout / 2,
    }
    if address.is_cluster:
        if options.pop("connection_class", None) is SSLConnection:
            options["ssl"] = True
        # Where slots went is learnt slot by slot: to learn it all anew would cut connections on which others wait for
        # answers.
        return client_library.RedisCluster(max_connections=_MOST_CONNECTIONS, reinitialize_steps=0, **options)
    return client_library.Redis(connection_pool=ConnectionPool(max_connections=_MOST_CONNECTIONS, **options))


def _objection(about: dict[str, Any], *, is_cluster: bool) -> str | None:
    """Return why a server that says this of itself will not do."""
    if bool(int(about.get("cluster_enabled", is_cluster))) != is_cluster:
        return f"it is {'a single server: use redis://' if is_cluster else 'of a cluster: use redis+cluster://'}"
    version = tuple(int(part) for part in str(about.get("redis_version", "7.2")).split(".")[:2])
    if version < _LEAST_VERSION:
        return f"it is of version {version}, and 6.2 is the first that will do"
    policy = about.get("maxmemory_policy", "noeviction")
    if about.get("maxmemory", 0) and policy != "noeviction":
        return (
            f"its maxmemory-policy is {policy}, by which it loses sessions from some indexes and not others; "
            "set it to noeviction"
        )
    return None


def _was_sent(error: BaseException) -> bool:
    # So redis-py says that it did not get as far, in words or by where it was: greeting the server. Were it to say it
    # in another way, less would be tried again.
    is_greeting = any(frame.f_code.co_name == "connect_check_health" for frame, _ in walk_tb(error.__traceback__))
    return "connecting to" not in str(error) and not is_greeting


_WORDS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((failures.OutOfMemoryError,), "it has no memory left (OOM); give it more, or delete sessions"),
    (_REFUSED, "it refuses this user; see its ACL, and user and password in the URL"),
    ((failures.ReadOnlyError,), "it is a replica, which takes no writes (READONLY); name the primary"),
    (_NOT_DONE, "it is not ready (%s)"),
)


def _told(error: BaseException) -> str:
    """Return what to say of it: never what it says, which may have arguments of the call in it."""
    for kinds, words in _WORDS:
        if isinstance(error, kinds):
            return words.replace("%s", type(error).__name__)
    if isinstance(error, failures.TimeoutError | TimeoutError):
        return "it did not answer in time" if _was_sent(error) else "it could not be reached in time"
    if isinstance(error, failures.ConnectionError | OSError):
        return "the connection was lost" if _was_sent(error) else "it refuses connections, or cannot be reached"
    if "WRONGTYPE" in str(error):
        return "it holds something else under a key of this store (WRONGTYPE); give the store a prefix of its own"
    code = str(error).partition(" ")[0]
    return f"it answered with an error ({code if code.isalpha() and code.isupper() else type(error).__name__})"
