"""Exceptions anywhere in a change, and the recovery from them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import pytest
import sortedcontainers

from sessiondex.engine import table as table_module
from sessiondex.engine.postings import encode_sortable
from sessiondex.engine.table import Table
from tests.engine.tables import INITIAL, KEYS, OWNER, contents, index_keys_of, key_of, table_of

INTERRUPTED = (table_module.__file__.removesuffix("table.py"), sortedcontainers.__path__[0])


class Interrupt(BaseException):
    """An exception that nothing in the engine expects."""


@contextmanager
def interrupted_at(position: int) -> Iterator[list[int]]:
    """Raise `Interrupt` at the opcode of that number in the engine. Yields the list of opcodes that ran."""
    ran: list[int] = []

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(INTERRUPTED):
            return None
        frame.f_trace = trace  # as the return value does too, but Python 3.13 wants it before the next line
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        if event == "opcode":
            ran.append(frame.f_lasti)
            if len(ran) - 1 == position:
                raise Interrupt
        return trace

    before = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # Python 3.12 wants some frame to ask before `settrace`
    sys.settrace(trace)
    try:
        yield ran
    finally:
        sys.settrace(before)


TEXTS = ("pear", "plum", "poor", "a", "axle", "able")
CHANGES: dict[str, Callable[[Table], list[Any]]] = {
    "put": lambda table: [table.plan_put(key_of(9), OWNER, 9, 1, index_keys_of("path"), b"path")],
    "put the same": lambda table: [table.plan_put(KEYS[0], OWNER, 9, 1, index_keys_of("pear"), b"pear")],
    "put another": lambda table: [table.plan_put(KEYS[1], OWNER, 9, 1, index_keys_of("axle"), b"axle")],
    "another stamp": lambda table: [table.plan_stamp(KEYS[1], 9)],
    "remove": lambda table: [table.plan_remove(KEYS[3])],
    "several": lambda table: [
        table.plan_remove(KEYS[0]),
        table.plan_put(KEYS[1], OWNER, 9, 1, index_keys_of("b"), b"b"),
        table.plan_put(key_of(9), OWNER, 10, 1, index_keys_of("below"), b"below"),
    ],
}


def recover(table: Table, changes: list[Any]) -> None:
    for change in changes:
        table.apply_to_row(change)
    table.rebuild()


@pytest.mark.parametrize("name", CHANGES)
def test_an_interrupted_change_is_completed_by_recovery(name: str) -> None:
    """An exception at any opcode of a commit leaves a table that recovery makes consistent, with the commit in it."""
    completed = table_of(*TEXTS)
    for change in CHANGES[name](completed):
        completed.apply(change)
    expected = contents(completed)
    stride = 5 if name == "several" else 1  # three changes have three times the opcodes, most of them the same
    for position in range(0, 10_000, stride):
        table = table_of(*TEXTS)
        changes = CHANGES[name](table)
        try:
            with interrupted_at(position):
                for change in changes:
                    table.apply(change)
        except Interrupt:
            recover(table, changes)
            assert contents(table) == expected
        else:
            break

    assert position > 100


def test_an_interrupted_recovery_is_completed_by_another_one() -> None:
    with interrupted_at(-1) as ran:
        recover(table_of(*TEXTS), [])
    for position in range(0, len(ran), 23):
        table = table_of(*TEXTS)
        table.storage(INITIAL).remove(b"p", encode_sortable(0) + KEYS[0])  # as an interrupted change may leave it
        changes = CHANGES["several"](table)
        with interrupted_at(position), suppress(Interrupt):
            recover(table, changes)
        recover(table, changes)
        assert contents(table) == {
            KEYS[1]: (9, "b"),
            KEYS[2]: (2, "poor"),
            KEYS[3]: (3, "a"),
            key_of(4): (4, "axle"),
            key_of(5): (5, "able"),
            key_of(9): (10, "below"),
        }
