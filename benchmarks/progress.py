"""The progress bar, drawn only between timed calls: no thread of its own takes turns with what is timed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars


class Progress(Protocol):
    """Says how far a run has come."""

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """Open a stage of so many steps; call what it gives to advance by some."""


class QuietProgress:
    """Says nothing: for tests."""

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Callable[[int], None]]:  # noqa: ARG002  # a Progress has these
        """Open a stage that nobody sees."""
        yield lambda _: None


class BarProgress:
    """Draws a bar a stage."""

    def __init__(self, console: Console) -> None:
        self._bars = Bars(
            TextColumn("{task.description:<28}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            auto_refresh=False,
        )
        self._drawn = 0.0

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the bars for as long as this is open."""
        with self._bars:
            yield

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """Open a stage with a bar of its own."""
        task = self._bars.add_task(name, total=total)

        def advance(steps: int) -> None:
            self._bars.advance(task, steps)
            if monotonic() - self._drawn > 0.1:
                self._bars.refresh()
                self._drawn = monotonic()

        yield advance
        self._bars.update(task, completed=total)
        self._bars.refresh()
