"""Raise an exception at any opcode of a store's code, as a signal or a lack of memory may.

Python traces code opcode by opcode. Here the opcodes of plain functions of the package count: these functions prepare
and commit writes. At the chosen opcode the exception is raised. Coroutines do not count: they only take the lock and
call these functions.

Opcodes within commits are counted separately from those outside, where nothing changes. A thorough run counts each
opcode each time it runs, thousands for a single save, most of them in loops over the indexes. Otherwise an opcode of a
commit counts the first and the fourth time for each call path, and outside commits every eighth opcode counts.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE
from pathlib import Path
from types import FrameType
from typing import Any

import sessiondex

PACKAGE = str(Path(sessiondex.__file__).parent)
TESTING = str(Path(PACKAGE, "testing"))
COMPILED = "<string>"


class Fault:
    """Raises the exception once, at the opcode with that number, counted from 0; never if it is `None`."""

    def __init__(
        self,
        exception: type[BaseException],
        at: int | None,
        *,
        in_commit: bool,
        thorough: bool = False,
        commit_name: str = "_commit",
    ) -> None:
        """`commit_name` is the function that commits; "recover" counts only what finishes an interrupted commit."""
        self._exception = exception
        self._in_commit = in_commit
        self._at = at
        self._thorough = thorough
        self._commit_name = commit_name
        self._ran: Counter[Any] = Counter()
        self._way_to: dict[FrameType | None, int] = {}
        self._commits = False
        self.places: list[Hashable] = []
        """The opcodes that counted, in their order: by which way the work came there, and for which time."""
        self.where = ""
        """File, line and function where it was raised; empty if the work ended before its turn came."""

    def __str__(self) -> str:
        return f"{self._exception.__name__} at opcode {self._at} {'within' if self._in_commit else 'outside'} commits"

    def trace(self, frame: FrameType, event: str, _argument: Any) -> Any:
        code = frame.f_code
        if self.where or not code.co_filename.startswith((PACKAGE, COMPILED)):
            return None
        if code.co_filename.startswith(TESTING) or code.co_flags & (CO_COROUTINE | CO_ASYNC_GENERATOR):
            return None
        if code.co_name == self._commit_name:
            self._commits = event != "return"
        if event == "call":
            if self._commits != self._in_commit and code.co_name != self._commit_name:
                return None  # do not trace the functions that this one calls
            frame.f_trace = self.trace  # Python 3.13 needs it before the next line; the return value comes too late
            frame.f_trace_lines, frame.f_trace_opcodes = False, self._commits == self._in_commit
            caller = frame.f_back
            self._way_to[frame] = hash((self._way_to.get(caller), caller and caller.f_lasti, code))
        if code.co_name == self._commit_name:
            self._way_to[frame] = 0  # independent of the caller
        if event == "opcode":
            place = self._way_to[frame] if self._commits else code, frame.f_lasti
            self._ran[place] += 1
            if self._counts(self._ran[place]):
                self.places.append((*place, self._ran[place]))
                if len(self.places) - 1 == self._at:
                    self.where = f"{Path(code.co_filename).name}:{frame.f_lineno}, {code.co_name}"
                    raise self._exception("out of the blue")
        return self.trace

    def _counts(self, times: int) -> bool:
        """Return whether an opcode counts that has run so many times."""
        if self._thorough:
            return True
        return times in {1, 4} if self._commits else times == 1 and len(self._ran) % 8 == 0


@contextmanager
def raising(fault: Fault) -> Iterator[None]:
    """Let the fault raise its exception within this block, if the block reaches its opcode."""
    before = sys.gettrace()
    # Python 3.12 traces opcodes only if some frame has asked for them before `settrace`, which `trace` does too late.
    sys._getframe().f_trace_opcodes = True
    sys.settrace(fault.trace)
    try:
        yield
    finally:
        sys.settrace(before)
