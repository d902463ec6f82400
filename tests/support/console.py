"""Drive `python -m asyncio` in a terminal, as a user does who pastes."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import termios
from pathlib import Path

import sessiondex

_PROMPT = ">>> "
_WAITS_FOR_PASTE = "\x1b[?2004h"
"""The console of Python 3.13 asks the terminal to bracket what is pasted, each time it waits for input."""

_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[@a-zA-Z]|[=>(]B?)|\r")


class ConsoleHungError(Exception):
    """The console did not come back to its prompt. The message is what it printed."""


class Console:
    """A console in its own process and terminal; `close` ends it. After `timeout` seconds of silence, it hangs.

    A pipe would not do: without a terminal, Python 3.13 takes no indented block.
    """

    def __init__(self, directory: Path, *, timeout: float) -> None:
        self._timeout = timeout
        self._output = ""
        self._pasted = 0
        self._terminal, side = pty.openpty()
        termios.tcsetwinsize(side, (50, 200))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "asyncio"],
            cwd=directory,
            env=_environment(directory),
            stdin=side,
            stdout=side,
            stderr=side,
            start_new_session=True,
        )
        os.close(side)
        self._read_until(_PROMPT, self._read_until("import asyncio", 0))
        self._brackets = _WAITS_FOR_PASTE in self._output

    def paste(self, text: str) -> str:
        """Paste the text, press Enter where it ends within an indented block, and return what the console prints.

        Raises:
            ConsoleHungError: the text does not end, or the process did.
        """
        start = len(self._output)
        self._pasted += 1
        if self._brackets:
            self._write(f"\x1b[200~{text}\x1b[201~\r")
            if not self._is_waiting(start):  # Python 3.14 takes a pasted line end for one more line of the block
                self._write("\r")
                self._read_until(_WAITS_FOR_PASTE, start)
        else:
            ends_indented = text.rstrip("\n").rpartition("\n")[2].startswith(" ")
            self._write(text + "\n" * ends_indented)
        # In two parts, as the console echoes what is typed.
        self._write(f"print('-- end', 'of {self._pasted} --')\r")
        self._read_until(_PROMPT, self._read_until(f"-- end of {self._pasted} --", start))
        lines = _ESCAPES.sub("", self._output[start:]).splitlines()
        return "\n".join(line for line in lines if "-- end" not in line)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)

    def _write(self, text: str) -> None:
        left = text.encode()
        while left:
            left = left[os.write(self._terminal, left) :]

    def _is_waiting(self, start: int) -> bool:
        """Return whether the console waits for input within a second. If it only takes longer, Enter does no harm."""
        timeout, self._timeout = self._timeout, 1.0
        try:
            self._read_until(_WAITS_FOR_PASTE, start)
        except ConsoleHungError:
            return False
        finally:
            self._timeout = timeout
        return True

    def _read_until(self, what: str, start: int) -> int:
        """Read until the output from `start` on contains the text, and return where the text ends."""
        while what not in self._output[start:]:
            ready, _, _ = select.select([self._terminal], [], [], self._timeout)
            try:
                read = os.read(self._terminal, 65536) if ready else b""
            except OSError:  # the process has ended
                read = b""
            if not read:
                raise ConsoleHungError(_ESCAPES.sub("", self._output[start:]))
            self._output += read.decode(errors="replace")
        return self._output.index(what, start) + len(what)


def _environment(directory: Path) -> dict[str, str]:
    """Return the variables of a user's shell: none of the test run, and sessiondex as it is tested."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "COV_"))}
    return kept | {
        "NO_COLOR": "1",
        "PYTHONPATH": str(Path(sessiondex.__file__).parents[1]),
        "PYTHON_HISTORY": str(directory / "history"),
        "TERM": "xterm",
    }
