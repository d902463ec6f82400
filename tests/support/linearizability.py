"""Decide whether concurrent calls could have happened one after another.

Each call takes effect at one instant between being made and being answered: a history is linearizable if there is an
order of its calls, in which none comes before one that was answered before it was made, and in which a plain model
gives every answer that was given. A call that was cancelled was never answered, so it may have taken effect at any time
since, or not at all.

The search is that of Wing and Gong: take any call that may come first, and go on from there. Who has come to the same
state with the same calls taken need not be followed again (Lowe). It may take exponential time, but histories are
short.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from math import inf
from typing import Any, NamedTuple, TypeVar

State = TypeVar("State", bound=Hashable)


class Call(NamedTuple):
    """A call that a client made: what, when, and what it was answered when. Instants are places in one count."""

    what: Any
    made: int
    answered: float = inf
    answer: Any = None

    @property
    def is_open(self) -> bool:
        """Whether it was never answered."""
        return self.answered == inf


def linearization(
    calls: Sequence[Call], initial: State, model: Callable[[State, Call], tuple[State, Any]]
) -> list[Call] | None:
    """Return an order in which the calls could have been, or `None` if there is none. Open calls may be left out.

    `model` returns the state after a call and the answer to it.

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
