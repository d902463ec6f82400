"""Call functions and commands of a server, or of a cluster, from one loop. Retry them where that is safe.

A write that was sent and not answered may have been executed. It is not sent again: its caller gets an error with
`is_outcome_unknown`. Everything else is retried: reads, calls that were never sent, and calls that the server refused.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from traceback import walk_tb
from typing import Any

from redis import asyncio as redis_py
from redis import exceptions as redis_errors
from redis.asyncio.connection import ConnectionPool, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sessiondex.errors import StoreUnavailableError
from sessiondex.stores.redis.pipeline import AutoPipeline, Command, IndependentPipeline
from sessiondex.stores.redis.scripts import script_library

MAX_ATTEMPTS = 5
RETRY_BASE_SECONDS = 0.05  # before the second attempt, doubled before each further one
RETRY_WINDOW_TIMEOUTS = 1.5  # no attempt begins later: a call that timed out is sent once more
POOL_CONNECTION_LIMIT = 2**16  # above `max_connections`, since each blocking read has a connection of its own
MIN_SERVER_VERSION = (6, 2)

_NOT_EXECUTED_ERRORS = (
    redis_errors.ReadOnlyError,  # the server is a replica, for instance after a failover
    redis_errors.ClusterError,  # the cluster is down, or a slot moves and neither node has all of its keys
    redis_errors.SlotNotCoveredError,
    redis_errors.TryAgainError,
    redis_errors.BusyLoadingError,
    redis_errors.MaxConnectionsError,
)
_REFUSED_ERRORS = (
    redis_errors.AuthenticationError,
    redis_errors.AuthorizationError,
    redis_errors.NoPermissionError,
    redis_errors.OutOfMemoryError,
)
_CONNECTION_ERRORS = (redis_errors.ConnectionError, redis_errors.TimeoutError, OSError, TimeoutError)
_SCRIPT_ERROR_CODES = {"OOM": redis_errors.OutOfMemoryError, "READONLY": redis_errors.ReadOnlyError}
"""Codes that Redis 6.2 puts inside the text of a script error. They mean that the first write was refused."""
_OPERATION_OF_FUNCTION = dict.fromkeys(("erase", "forget", "release_claim"), "delete")
_OPERATION_OF_FUNCTION |= {"claim": "save", "fence": "save"}
"""Functions that are one step of an operation. Errors name the operation."""


@dataclass(frozen=True)
class Address:
    """The address of the servers, and how to connect to them."""

    host: str
    """Host and port, for messages."""
    options: dict[str, Any] = field(repr=False)
    """Arguments of redis-py. They include the password, so they are not shown."""
    is_cluster: bool
    timeout: float
    max_connections: int


class RedisClient:
    """Calls functions of the library, from one loop. Connects at the first call."""

    def __init__(self, address: Address) -> None:
        self.host: str = address.host
        self._is_cluster = address.is_cluster
        self._redis: Any = _connect(address)
        self._timeout = address.timeout
        self._permits = asyncio.Semaphore(address.max_connections)
        # Not on a cluster: a slot may have moved, so the node of a command is only known with its answer.
        self._pipeline = None if address.is_cluster else AutoPipeline(self._execute_together, self._permits)
        self._has_direct_command = self._is_checked = self._is_closed = False
        self._has_functions = True
        self._active_calls = 0
        # `asyncio.run` closes the async generators of its loop. So connections are closed with their loop, even if the
        # store continues in another one. The client owns the generator: it lives as long as calls use the client.
        self._loop_end_hook = self._close_with_loop()
        with suppress(StopIteration):
            self._loop_end_hook.__anext__().send(None)

    async def _close_with_loop(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self._close()

    async def call(self, function: str, keys: Sequence[bytes], *args: str | bytes | int) -> list[Any]:
        """Call a function of `lua/`, and return its answer, which begins with the first key.

        Raises:
            StoreUnavailableError: the server cannot be reached, or cannot do it.
        """
        await self._ensure_checked()
        is_idempotent = function in script_library().idempotent
        operation = _OPERATION_OF_FUNCTION.get(function, function)
        calling = self._retry(operation, self._call_function, function, keys, args, is_idempotent=is_idempotent)
        answer: list[Any] = await calling
        if answer[0] != keys[0]:
            await self.disconnect()
            reason = "it sent the answer of another call; the connections were closed"
            raise StoreUnavailableError(self.host, operation, reason, is_outcome_unknown=not is_idempotent)
        return answer

    async def command(
        self, operation: str, *command: str | bytes | int, key: bytes | None = None, is_blocking: bool = False
    ) -> Any:
        """Execute a command that may be executed twice without harm. A blocking one gets a connection of its own."""
        await self._ensure_checked()
        execute = self._execute_alone if is_blocking else self._execute
        return await self._retry(operation, execute, key, command)

    async def _ensure_checked(self) -> None:
        if not self._is_checked:
            await self._retry("open", self._check_servers)

    # -- retries --

    async def _retry(self, operation: str, attempt: Any, *args: Any, is_idempotent: bool = True) -> Any:
        self._active_calls += 1
        try:
            return await self._attempt_repeatedly(operation, attempt, args, is_idempotent=is_idempotent)
        finally:
            self._active_calls -= 1
            if self._is_closed and not self._active_calls:
                await self._close()  # the call may have opened connections after `close`

    async def _attempt_repeatedly(self, operation: str, attempt: Any, args: Any, *, is_idempotent: bool) -> Any:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + RETRY_WINDOW_TIMEOUTS * self._timeout
        for number in range(MAX_ATTEMPTS):
            try:
                return await attempt(*args)
            except StoreUnavailableError:
                raise
            except (redis_errors.RedisError, redis_errors.RedisClusterException, OSError) as error:
                is_refused = isinstance(error, (*_NOT_EXECUTED_ERRORS, *_REFUSED_ERRORS))
                may_be_executed = not is_refused and isinstance(error, _CONNECTION_ERRORS) and _was_sent(error)
                is_transient = isinstance(error, (*_NOT_EXECUTED_ERRORS, *_CONNECTION_ERRORS)) and not isinstance(
                    error, _REFUSED_ERRORS
                )
                is_unknown = may_be_executed and not is_idempotent
                is_last = number == MAX_ATTEMPTS - 1 or loop.time() >= deadline or self._is_closed
                if is_unknown or not is_transient or is_last:
                    raise StoreUnavailableError(
                        self.host, operation, _reason(error), is_outcome_unknown=is_unknown
                    ) from None
                if isinstance(error, redis_errors.ReadOnlyError):
                    await self.disconnect()  # the host name may lead to a new primary
            await asyncio.sleep(random.uniform(0.5, 1) * RETRY_BASE_SECONDS * 2**number)  # noqa: S311  # no secret
            if self._is_closed:
                break
        raise StoreUnavailableError(self.host, operation, "the store was closed")

    # -- one attempt --

    async def _call_function(self, function: str, keys: Sequence[bytes], args: Sequence[str | bytes | int]) -> Any:
        library = script_library()
        while self._has_functions:
            command = "FCALL_RO" if function in library.reads else "FCALL"
            try:
                return await self._execute(keys[0], (command, f"{library.name}_{function}", len(keys), *keys, *args))
            except redis_errors.ResponseError as error:
                text = str(error).lower()
                if "unknown command" in text:
                    self._has_functions = False
                elif "function not found" in text:
                    await self._load_functions()
                else:
                    raise
        call = (len(keys), *keys, function, *args)
        try:
            return await self._execute(keys[0], ("EVALSHA", library.script_digest, *call))
        except redis_errors.NoScriptError:
            return await self._execute(keys[0], ("EVAL", library.script, *call))
        except redis_errors.ResponseError as error:
            for code, kind in _SCRIPT_ERROR_CODES.items():
                if f"-{code} " in str(error):
                    raise kind from None
            raise

    async def _execute(self, key: bytes | None, command: Command) -> Any:
        if self._pipeline is not None and (self._has_direct_command or self._pipeline.is_busy):
            return await self._pipeline.execute(command)
        self._has_direct_command = True
        try:
            async with self._permits:
                return await self._execute_alone(key, command)
        finally:
            self._has_direct_command = False

    async def _execute_alone(self, key: bytes | None, command: Command) -> Any:
        if not self._is_cluster:
            return await self._limit_time(self._redis.execute_command(*command))
        return await self._limit_time(self._execute_on_node(key, command))

    async def _execute_on_node(self, key: bytes | None, command: Command) -> Any:
        await self._ensure_nodes_known()
        # The node is computed here. For commands that redis-py does not know, it would ask a server.
        node = self._redis.get_random_node() if key is None else self._redis.get_node_from_key(key)
        return await self._redis.execute_command(*command, target_nodes=node)

    async def _execute_together(self, commands: list[Command]) -> list[Any]:
        pipeline = IndependentPipeline(self._redis.connection_pool, self._redis.response_callbacks, False, None)
        for command in commands:
            pipeline.execute_command(*command)
        answers: list[Any] = await self._limit_time(pipeline.execute(raise_on_error=False))
        return answers

    async def _limit_time(self, call: Awaitable[Any]) -> Any:
        try:
            # Not redis-py's timeout: it uses `wait_for`, which can lose a cancellation before Python 3.12.
            async with asyncio.timeout(self._timeout):
                return await call
        except TypeError as error:
            # From Python 3.12 on, asyncio raises this for a write to a lost connection. Nothing was sent.
            if not any(frame.f_code.co_name == "writelines" for frame, _ in walk_tb(error.__traceback__)):
                raise
            raise redis_errors.ConnectionError("the connection was lost; connecting to the server again") from None

    # -- servers --

    async def _ensure_nodes_known(self) -> None:
        """Have redis-py ask which node has which slots, unless it knows."""
        try:
            await self._redis.initialize()
        except redis_errors.RedisClusterException as error:
            if isinstance(error.__cause__, _REFUSED_ERRORS):
                raise error.__cause__ from None
            if "not enabled" in str(error):
                raise StoreUnavailableError(self.host, "open", "it is a single server: use redis://") from None
            raise redis_errors.ConnectionError("nothing was sent: connecting to the cluster failed") from None

    async def _execute_on_primaries(self, *command: str) -> list[Any]:
        """Execute the command on every primary. An answer may be a `ResponseError`."""
        if not self._is_cluster:
            executing = [self._execute(None, command)]
        else:
            await self._limit_time(self._ensure_nodes_known())
            executing = [
                self._limit_time(self._redis.execute_command(*command, target_nodes=node))
                for node in self._redis.get_primaries()
            ]
        answers = await asyncio.gather(*executing, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, redis_errors.ResponseError):
                raise answer
        return answers

    async def _load_functions(self) -> None:
        for answer in await self._execute_on_primaries("FUNCTION", "LOAD", script_library().source):
            if isinstance(answer, redis_errors.ResponseError) and "already exists" not in str(answer):
                raise answer

    async def _check_servers(self) -> None:
        """Raise unless all servers are new enough, of the expected kind, and configured to keep their keys."""
        for info in await self._execute_on_primaries("INFO"):
            is_known = not isinstance(info, redis_errors.ResponseError)  # the user may lack the permission for INFO
            if is_known and (reason := _unsuitable_reason(info, is_cluster=self._is_cluster)):
                raise StoreUnavailableError(self.host, "open", reason)
        self._is_checked = True

    async def disconnect(self) -> None:
        """Close the connections that no call uses. Later calls open new ones."""
        if self._is_cluster:
            await asyncio.gather(*(node.disconnect_free_connections() for node in self._redis.get_nodes()))
        else:
            await self._redis.connection_pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        """Close all connections, and fail the calls that use them. A later call closes its own connection."""
        await self._loop_end_hook.aclose()

    async def _close(self) -> None:
        self._is_closed = True
        try:
            if self._pipeline is not None:
                await self._pipeline.close()
        finally:
            await (self._redis.aclose() if self._is_cluster else self._redis.aclose(close_connection_pool=True))


def _connect(address: Address) -> Any:
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
        # 0: redis-py learns moved slots one by one. A full refresh would cut connections that other calls wait on.
        return redis_py.RedisCluster(max_connections=POOL_CONNECTION_LIMIT, reinitialize_steps=0, **options)
    return redis_py.Redis(connection_pool=ConnectionPool(max_connections=POOL_CONNECTION_LIMIT, **options))


def _unsuitable_reason(info: dict[str, Any], *, is_cluster: bool) -> str | None:
    """Return why a server with this INFO is refused, or `None`."""
    if bool(int(info.get("cluster_enabled", is_cluster))) != is_cluster:
        return f"it is {'a single server: use redis://' if is_cluster else 'of a cluster: use redis+cluster://'}"
    version = tuple(int(part) for part in str(info.get("redis_version", "7.2")).split(".")[:2])
    if version < MIN_SERVER_VERSION:
        return f"it is of version {'.'.join(map(str, version))}; use 6.2 or later"
    policy = info.get("maxmemory_policy", "noeviction")
    if info.get("maxmemory", 0) and policy != "noeviction":
        return (
            f"its maxmemory-policy is {policy}, by which it loses sessions from some indexes and not others; "
            "set it to noeviction"
        )
    return None


def _was_sent(error: BaseException) -> bool:
    # redis-py names failed connection attempts in the message, and failed handshakes by the function in the traceback.
    # If it changed either, fewer calls would be retried.
    is_handshake = any(frame.f_code.co_name == "connect_check_health" for frame, _ in walk_tb(error.__traceback__))
    return "connecting to" not in str(error) and not is_handshake


_REASONS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((redis_errors.OutOfMemoryError,), "it has no memory left (OOM); give it more, or delete sessions"),
    (_REFUSED_ERRORS, "it refuses this user; see its ACL, and user and password in the URL"),
    ((redis_errors.ReadOnlyError,), "it is a replica, which takes no writes (READONLY); name the primary"),
    (_NOT_EXECUTED_ERRORS, "it is not ready (%s)"),
)


def _reason(error: BaseException) -> str:
    """Describe the error. Its own text is not shown, since it may contain arguments of the call."""
    for kinds, text in _REASONS:
        if isinstance(error, kinds):
            return text.replace("%s", type(error).__name__)
    if isinstance(error, redis_errors.TimeoutError | TimeoutError):
        return "it did not answer in time" if _was_sent(error) else "it could not be reached in time"
    if isinstance(error, redis_errors.ConnectionError | OSError):
        return "the connection was lost" if _was_sent(error) else "it cannot be reached; does it run, is the URL right?"
    if "WRONGTYPE" in str(error):
        return "it holds something else under a key of this store (WRONGTYPE); give the store a prefix of its own"
    code = str(error).partition(" ")[0]
    return f"it answered with an error ({code if code.isalpha() and code.isupper() else type(error).__name__})"
