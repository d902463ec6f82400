"""Decide whether concurrent calls could have happened one after another.

Each call takes effect at one instant between its start and its end. A history is linearizable if its calls have an
order with two properties. No call comes before one that had returned before it started. And a plain model, called in
that order, gives every recorded result. A cancelled call has no result, so it may take effect at any later time, or
never.

The search is that of Wing and Gong: take any call that may come first, and continue from there. A state that was
reached with the same set of calls need not be searched again (Lowe). The search may take exponential time, but
histories are short.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from math import inf
from typing import Any, NamedTuple, TypeVar

State = TypeVar("State", bound=Hashable)


class Call(NamedTuple):
    """A call of a client: operation, start, end and result. Start and end are positions in one count."""

    what: Any
    made: int
    answered: float = inf
    answer: Any = None

    @property
    def is_open(self) -> bool:
        """True if the call never returned."""
        return self.answered == inf


def linearization(
    calls: Sequence[Call], initial: State, model: Callable[[State, Call], tuple[State, Any]]
) -> list[Call] | None:
    """Return a valid order of the calls, or `None` if there is none. Open calls may be omitted.

    `model` returns the state after a call and its result.

    >>> def counter(state, call):
    ...     return (state + 1, None) if call.what == "add" else (state, state)
    >>> calls = [Call("add", 0, 3), Call("read", 1, 2, 1), Call("read", 4, 5, 0)]
    >>> linearization(calls[:2], 0, counter) == calls[:2]
    True
    >>> linearization(calls, 0, counter)
    """
    in_time = sorted(calls, key=lambda call: call.made)
    wanted = sum(1 << place for place, call in enumerate(in_time) if not call.is_open)
    seen: set[tuple[int, State]] = set()

    def search(taken: int, state: State) -> list[Call] | None:
        if taken & wanted == wanted:
            return []
        if (taken, state) in seen:
            return None
        seen.add((taken, state))
        waiting = [(place, call) for place, call in enumerate(in_time) if not taken >> place & 1]
        first_answer = min(call.answered for _, call in waiting)
        for place, call in waiting:
            if call.made > first_answer:
                break
            after, answer = model(state, call)
            if call.is_open or answer == call.answer:
                rest = search(taken | 1 << place, after)
                if rest is not None:
                    return [call, *rest]
        return None

    return search(0, initial)
