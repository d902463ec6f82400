"""The checker of histories, by histories that are right or wrong as anyone can see."""

from __future__ import annotations

import random
from itertools import permutations
from math import inf
from typing import Any

import pytest

from tests.support.linearizability import Call, linearization


def register(state: int, call: Call) -> tuple[int, Any]:
    """Model a number that is read, written, and added to."""
    name, *arguments = call.what
    if name == "write":
        return arguments[0], None
    if name == "add":
        return state + 1, state + 1
    return state, state


def write(value: int, made: int, answered: float = inf) -> Call:
    return Call(("write", value), made, answered)


def read(value: int, made: int, answered: float) -> Call:
    return Call(("read",), made, answered, value)


def add(value: int, made: int, answered: float = inf) -> Call:
    return Call(("add",), made, answered, value)


RIGHT = {
    "nothing": [],
    "one after another": [write(1, 0, 1), read(1, 2, 3)],
    "read while written: the old": [write(1, 0, 3), read(0, 1, 2)],
    "read while written: the new": [write(1, 0, 3), read(1, 1, 2)],
    "the old, then the new, while written": [write(1, 0, 5), read(0, 1, 2), read(1, 3, 4)],
    "two writes at once, in the other order": [write(1, 0, 3), write(2, 1, 2), read(1, 4, 5)],
    "cancelled, and never done": [write(1, 0), read(0, 1, 2), read(0, 3, 4)],
    "cancelled, and done": [write(1, 0), read(1, 1, 2)],
    "cancelled, and done much later": [write(1, 0), read(0, 1, 2), write(2, 3, 4), read(2, 5, 6), read(1, 7, 8)],
    "two additions at once": [add(2, 0, 2), add(1, 1, 3)],
    "an addition that was cancelled between two": [add(1, 0, 1), add(0, 2), add(3, 3, 4)],
}
WRONG = {
    "stale": [write(1, 0, 1), read(0, 2, 3)],
    "from nowhere": [write(1, 0, 1), read(2, 2, 3)],
    "read before it was written": [read(1, 0, 1), write(1, 2, 3)],
    "the new, then the old, while written": [write(1, 0, 5), read(1, 1, 2), read(0, 3, 4)],
    "two clients see two writes in two orders": [
        write(1, 0, 10),
        write(2, 1, 11),
        *[read(1, 2, 3), read(2, 4, 5), read(1, 6, 7)],
    ],
    "cancelled, done, and undone": [write(1, 0), read(1, 1, 2), read(0, 3, 4)],
    "cancelled before it was made": [read(1, 0, 1), write(1, 2)],
    "a lost update": [add(1, 0, 2), add(1, 1, 3)],
    "cancelled, and done twice": [add(0, 0), add(3, 1, 2)],
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_possible_history(name: str) -> None:
    order = linearization(RIGHT[name], 0, register)

    assert order is not None
    assert follows(order)


@pytest.mark.parametrize("name", WRONG)
def test_an_impossible_history(name: str) -> None:
    assert linearization(WRONG[name], 0, register) is None


@pytest.mark.parametrize("seed", range(300))
def test_it_finds_an_order_where_there_is_one(seed: int) -> None:
    """As trying all orders of all subsets does."""
    rng = random.Random(seed)
    calls = []
    for _ in range(5):
        made = rng.randrange(12)
        answered = rng.choice([inf, made + 1, made + 4, made + 8])
        value = rng.randrange(3)
        calls.append(rng.choice([write, read, add])(value, made, answered))
    calls = [
        call._replace(answered=call.made + 20) if call.what == ("read",) and call.is_open else call for call in calls
    ]
    must = {number for number, call in enumerate(calls) if not call.is_open}
    orders = (order for size in range(len(must), 6) for order in permutations(range(5), size) if must <= set(order))

    assert (linearization(calls, 0, register) is not None) == any(
        follows([calls[number] for number in order]) for order in orders
    )


def follows(order: list[Call]) -> bool:
    """Whether the calls could have been in that very order."""
    state = 0
    for place, call in enumerate(order):
        if any(later.answered < call.made for later in order[place:]):
            return False
        state, answer = register(state, call)
        if not call.is_open and answer != call.answer:
            return False
    return True
