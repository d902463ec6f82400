"""Slices: lets other tasks run in the middle of a long operation, after a slice of time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Sequence
from time import perf_counter
from typing import TypeVar

from sessiondex.errors import SessiondexError, add_position_note

T = TypeVar("T")
U = TypeVar("U")

SLICE_SECONDS = 0.002
"""How long an operation works before it lets other tasks run."""


class Slices:
    """Lets other tasks run when a slice of time is used up.

    `enter` admits the running loop after each pause: the store may have been closed, or have moved to another loop. The
    caller compares `perf_counter()` to `deadline`: a method for it would take twice the time.
    """

    def __init__(self, enter: Callable[[], None]) -> None:
        self._enter = enter
        self.deadline: float = perf_counter() + SLICE_SECONDS

    async def pause(self) -> None:
        """Let other tasks run, then begin a new slice."""
        await asyncio.sleep(0)
        self._enter()
        self.deadline = perf_counter() + SLICE_SECONDS


async def map_in_slices(
    convert: Callable[[T], U], batch: Sequence[T], first: int, enter: Callable[[], None]
) -> list[U]:
    """Convert all of a batch; let other tasks run after each slice of time.

    `first` is the number of the first: an error gets a note with the number of what it is about.
    """
    converted, slices = [], Slices(enter)
    for position, one in enumerate(batch):
        if perf_counter() > slices.deadline:
            await slices.pause()
        try:
            converted.append(convert(one))
        except SessiondexError as error:
            add_position_note(error, first + position)
            raise
    return converted


async def iterate_in_slices(
    sessions: Iterable[T] | AsyncIterable[T], enter: Callable[[], None]
) -> AsyncGenerator[T, None]:
    """Iterate over either kind; let other tasks run after each slice of time, which making sessions takes too."""
    slices = Slices(enter)
    if isinstance(sessions, AsyncIterable):
        async for session in sessions:
            if perf_counter() > slices.deadline:
                await slices.pause()
            yield session
    else:
        for session in sessions:
            if perf_counter() > slices.deadline:
                await slices.pause()
            yield session
