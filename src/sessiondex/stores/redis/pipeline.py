"""Send concurrent commands together: one pipeline, one write, one read.

Checking a connection out of the pool, writing, waiting, reading and checking it in costs several times as much as a
command. Up to 16 commands share that cost. The client sends a lone command directly, since a pipeline takes longer.

Rules. A task of its own reads each pipeline to the end, or else closes the connection. So a cancelled caller only stops
waiting: its answer is dropped, and no other call gets it. A lost connection fails all commands of a pipeline. Any other
error is the answer of one command.
"""

from __future__ import annotations

import asyncio
from asyncio import Future, Task
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from functools import partial
from typing import Any, NamedTuple

from redis import exceptions as redis_errors
from redis.asyncio.client import Pipeline

PIPELINE_SIZE = 16
"""Commands in one pipeline. More do not cost less, and all of them wait for the last."""

Command = Sequence[str | bytes | int]

_SINGLE_COMMAND_ERRORS = (
    redis_errors.BusyLoadingError,
    redis_errors.AuthenticationError,
    redis_errors.AuthorizationError,
)
"""Answers after which redis-py closes the connection, and fails the rest of the pipeline."""


class IndependentPipeline(Pipeline):
    """A pipeline in which an error answer fails only its own command."""

    async def parse_response(self, connection: Any, command_name: str | bytes, **options: Any) -> Any:
        try:
            answer = await connection.read_response(disconnect_on_error=False)
            callback = self.response_callbacks.get(command_name)
            return answer if callback is None else callback(answer, **options)
        except _SINGLE_COMMAND_ERRORS as error:
            return error
        except redis_errors.ResponseError:
            raise  # redis-py already treats these as the answer of one command
        except BaseException:
            await connection.disconnect(nowait=True)
            raise


class _Pending(NamedTuple):
    """A command that waits for its answer."""

    command: Command
    answer: Future[Any]


class AutoPipeline:
    """Collects the commands of one turn of the loop, and sends them in pipelines.

    `send` executes commands and returns their answers; an exception among the answers fails its own command. `permits`
    bounds how many pipelines are under way.
    """

    def __init__(self, send: Callable[[list[Command]], Awaitable[list[Any]]], permits: asyncio.Semaphore) -> None:
        self._send = send
        self._permits = permits
        self._loop = asyncio.get_running_loop()
        self._context = Context()  # a pipeline serves many callers, so it runs in the context of none
        self._queue: list[_Pending] = []
        self._tasks: set[Task[Any]] = set()

    @property
    def is_busy(self) -> bool:
        """Whether any command waits for its answer."""
        return bool(self._queue or self._tasks)

    async def execute(self, command: Command) -> Any:
        """Return the answer to the command, or raise its error."""
        # Encoded here, so that text without an encoding fails only its own call.
        parts = [part.encode() if type(part) is str else part for part in command[1:]]
        pending = _Pending([command[0], *parts], self._loop.create_future())
        if not self._queue:
            self._loop.call_soon(self._flush, context=self._context)
        self._queue.append(pending)
        return await pending.answer

    def _flush(self) -> None:
        queue, self._queue = self._queue, []
        for start in range(0, len(queue), PIPELINE_SIZE):
            batch = queue[start : start + PIPELINE_SIZE]
            task = self._loop.create_task(self._send_batch(batch), name="sessiondex pipeline")
            self._tasks.add(task)
            task.add_done_callback(partial(self._finish, batch))

    async def _send_batch(self, batch: list[_Pending]) -> None:
        async with self._permits:
            wanted = [pending for pending in batch if not pending.answer.done()]  # the others were cancelled in time
            answers = await self._send([pending.command for pending in wanted])
        for pending, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, Exception):
                _fail([pending], answer)
            elif not pending.answer.done():
                pending.answer.set_result(answer)

    def _finish(self, batch: list[_Pending], task: Task[Any]) -> None:
        # A callback, not a `finally` in the task: a task that is cancelled before its first step runs no code.
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        _fail(batch, error if isinstance(error, Exception) else redis_errors.ConnectionError("the client was closed"))

    async def close(self) -> None:
        """Cancel all pipelines. Calls that wait for an answer raise `ConnectionError`."""
        queue, self._queue = self._queue, []
        # "connecting to" marks an error after which nothing was sent, see `client`.
        _fail(queue, redis_errors.ConnectionError("nothing was sent: connecting to the server was cancelled"))
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


def _fail(batch: list[_Pending], error: Exception) -> None:
    """Raise the error in all calls of the batch that have no answer yet."""
    for pending in batch:
        if not pending.answer.done():
            pending.answer.set_exception(error)
            pending.answer.exception()  # the caller may be cancelled now; asyncio must not log the error then
