"""A case: one promise of the contract, and the coroutine that holds a store to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from inspect import iscoroutinefunction

from sessiondex.testing.case_context import CAPABILITIES, CaseContext

LAWS = 18  # in `sessiondex.contract`

Run = Callable[[CaseContext], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """One promise of the contract.

    `law` is the number of the law in `sessiondex.contract`, or `None` if the promise is that of an operation. `needs`
    are the capabilities that a store must have to be held to it. What `is_core` every store has to support.

    >>> from sessiondex.testing import CASES
    >>> print(CASES[0])
    save-keeps-what-it-is-given
    >>> CASES[0].law, CASES[0].promise
    (6, 'What was saved comes back by its id, equal.')
    """

    name: str
    law: int | None
    promise: str
    needs: tuple[str, ...] = ()
    is_core: bool = False
    run: Run = field(repr=False, compare=False, kw_only=True)

    def __str__(self) -> str:
        """Return the name, which test runners show."""
        return self.name


def case(
    law: int | None, *needs: str, name: str | None = None, promise: str | None = None, is_core: bool = False
) -> Callable[[Run], Case]:
    """Declare the coroutine function as a case, by its name and the first sentence of its docstring.

    >>> @case(1, "clock")
    ... async def time_is_told_by_the_clock(context: CaseContext) -> None:
    ...     '''A stamp is what the clock says. Whoever reads this knows.'''
    >>> time_is_told_by_the_clock.name, time_is_told_by_the_clock.promise
    ('time-is-told-by-the-clock', 'A stamp is what the clock says.')
    """
    for need in needs:
        if need not in CAPABILITIES:
            raise ValueError(f"needs: {need!r} is no capability; take some of {', '.join(CAPABILITIES)}")

    if law is not None and law not in range(1, LAWS + 1):
        raise ValueError(f"law: must be None or the number of a law, from 1 to {LAWS}, not {law!r}")

    def declared(run: Run) -> Case:
        if not iscoroutinefunction(run):
            raise ValueError(f"{getattr(run, '__name__', run)}: a case is a coroutine function; say `async def`")
        words = promise or " ".join((run.__doc__ or "").split())
        if not words:
            raise ValueError(f"{getattr(run, '__name__', run)}: a case needs a docstring that says what is promised")
        sentence = words.partition(". ")[0].removesuffix(".") + "."
        called = name or getattr(run, "__name__", "").strip("_").replace("_", "-")
        return Case(called, law, sentence, needs, is_core, run=run)

    return declared
