"""Draw progress bars, only between timed calls: a drawing thread would slow down what is timed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

_REDRAW_SECONDS = 0.1


class Progress:
    """Draw one bar for each stage while `bars` is open; without a console, draw nothing."""

    def __init__(self, console: Console | None = None) -> None:
        columns = (TextColumn("{task.description:<34}"), BarColumn(bar_width=16), MofNCompleteColumn())
        is_silent = console is None
        # Transient: the output begins with the answer once the bars are gone.
        self.bars = Bars(
            *columns, TimeElapsedColumn(), console=console, auto_refresh=False, transient=True, disable=is_silent
        )
        self._drawn = 0.0

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """Open a stage with `total` steps; yield a function that advances it by some steps."""
        task = self.bars.add_task(name, total=total)

        def advance(steps: int) -> None:
            self.bars.advance(task, steps)
            if monotonic() - self._drawn > _REDRAW_SECONDS:
                self.bars.refresh()
                self._drawn = monotonic()

        yield advance
        self.bars.update(task, completed=total)
        self.bars.refresh()
