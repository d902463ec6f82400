"""Commands that are sent together: those that are asked for at a time are one pipeline, one write and one read.

To take a connection from a pool, see whether it is sound, write to it, wait for it, read from it and give it back costs
several times as much as a command does. Here up to 16 share that.

One that comes while there is no other goes by itself, for which a pipeline would take longer.

Rules. A pipeline is read to its end by a task of its own, or its connection is closed. So whoever is cancelled stops
waiting and nothing more: its answer is dropped, and nobody gets another's. A lost connection is lost for all of a
pipeline; any other answer is that of one command.
"""

from __future__ import annotations

import asyncio
from asyncio import Future, Task
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from functools import partial
from typing import Any, NamedTuple

from redis import exceptions as failures
from redis.asyncio.client import Pipeline

_MOST = 16  # in a pipeline: with more, none costs less, and all wait for the last

Command = Sequence[str | bytes | int]

_OF_ONE = (failures.BusyLoadingError, failures.AuthenticationError, failures.AuthorizationError)
"""Answers that redis-py takes for the end of the connection, and of all that was sent with it."""


class EachAnswered(Pipeline):
    """A pipeline in which each command has its own answer, whatever it is."""

    async def parse_response(self, connection: Any, command_name: str | bytes, **options: Any) -> Any:
        try:
            answer = await connection.read_response(disconnect_on_error=False)
            callback = self.response_callbacks.get(command_name)
            return answer if callback is None else callback(answer, **options)
        except _OF_ONE as error:
            return error
        except failures.ResponseError:
            raise  # of this command alone, as redis-py sees it
        except BaseException:
            await connection.disconnect(nowait=True)
            raise


class _Asked(NamedTuple):
    command: Command
    answer: Future[Any]


class Batches:
    """Has commands executed together, from one loop, as far as there is room."""

    def __init__(self, execute: Callable[[list[Command]], Awaitable[list[Any]]], room: asyncio.Semaphore) -> None:
        self._execute = execute
        self._room = room
        self._loop = asyncio.get_running_loop()
        self._context = Context()  # what is sent is of many callers, so it is sent in the context of none
        self._waiting: list[_Asked] = []
        self._under_way: set[Task[Any]] = set()

    @property
    def are_busy(self) -> bool:
        """Whether anything was asked for that is not answered yet."""
        return bool(self._waiting or self._under_way)

    async def ask(self, command: Command) -> Any:
        """Return the answer to the command, or raise what there was instead."""
        # Here, for what cannot be encoded fails only whoever asked for it.
        parts = [part.encode() if type(part) is str else part for part in command[1:]]
        asked = _Asked([command[0], *parts], self._loop.create_future())
        if not self._waiting:
            self._loop.call_soon(self._send, context=self._context)
        self._waiting.append(asked)
        return await asked.answer

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), _MOST):
            some = waiting[start : start + _MOST]
            task = self._loop.create_task(self._answered(some), name="sessiondex calls")
            self._under_way.add(task)
            task.add_done_callback(partial(self._ended, some))

    async def _answered(self, some: list[_Asked]) -> None:
        async with self._room:
            wanted = [asked for asked in some if not asked.answer.done()]  # the others were cancelled in time
            answers = await self._execute([asked.command for asked in wanted])
        for asked, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, Exception):
                _fail([asked], answer)
            elif not asked.answer.done():
                asked.answer.set_result(answer)

    def _ended(self, some: list[_Asked], task: Task[Any]) -> None:
        # Out here, for a task that is cancelled before it begins does nothing at all.
        self._under_way.discard(task)
        error = None if task.cancelled() else task.exception()
        _fail(some, error if isinstance(error, Exception) else failures.ConnectionError("it was given up"))

    async def close(self) -> None:
        """End what is under way. Whoever waits for it is told."""
        waiting, self._waiting = self._waiting, []
        _fail(waiting, failures.ConnectionError("nothing was sent, and connecting to the server was given up"))
        for task in self._under_way:
            task.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way)


def _fail(some: list[_Asked], error: Exception) -> None:
    """Tell those who have no answer."""
    for asked in some:
        if not asked.answer.done():
            asked.answer.set_exception(error)
            asked.answer.exception()  # if whoever asked is cancelled now, nobody else needs to see it
