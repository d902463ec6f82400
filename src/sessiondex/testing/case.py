"""The declaration of a case: one promise of the contract, and the coroutine that checks a store for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from inspect import iscoroutinefunction

from sessiondex.testing.case_context import CAPABILITIES, CaseContext

LAW_COUNT = 19  # laws in `sessiondex.contract`

Run = Callable[[CaseContext], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """One promise of the contract, and the coroutine function that checks it.

    `law` is the number of the law in `sessiondex.contract`, or `None` if the promise belongs to one operation. `needs`
    lists the capabilities that the store must have. A case with `is_core` is required: it fails if an operation is not
    implemented.

    >>> from sessiondex.testing import CASES
    >>> print(CASES[0])
    save-keeps-what-it-is-given
    >>> CASES[0].law, CASES[0].promise
    (6, 'A saved session comes back by its id, equal.')
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
    """Declare the coroutine function as a case, named after it; its promise is the first sentence of its docstring.

    >>> @case(1, "clock")
    ... async def stamps_come_from_the_clock(context: CaseContext) -> None:
    ...     '''A stamp is the time of the clock. More sentences may follow.'''
    >>> stamps_come_from_the_clock.name, stamps_come_from_the_clock.promise
    ('stamps-come-from-the-clock', 'A stamp is the time of the clock.')

    Raises:
        ValueError: `law` or `needs` is unknown, the function is no coroutine function, or it has no docstring.
    """
    for need in needs:
        if need not in CAPABILITIES:
            raise ValueError(f"needs: {need!r} is not a capability; use some of {', '.join(CAPABILITIES)}")

    if law is not None and law not in range(1, LAW_COUNT + 1):
        raise ValueError(f"law: must be None or the number of a law, from 1 to {LAW_COUNT}, not {law!r}")

    def declare(run: Run) -> Case:
        if not iscoroutinefunction(run):
            raise ValueError(
                f"{getattr(run, '__name__', run)}: a case must be a coroutine function; define it with `async def`"
            )
        text = promise or " ".join((run.__doc__ or "").split())
        if not text:
            raise ValueError(f"{getattr(run, '__name__', run)}: a case needs a docstring that states the promise")
        sentence = text.partition(". ")[0].removesuffix(".") + "."
        case_name = name or getattr(run, "__name__", "").strip("_").replace("_", "-")
        return Case(case_name, law, sentence, needs, is_core, run=run)

    return declare
