"""The Python snippets of README and docs run when they are pasted into `python -m asyncio`, as those pages say.

The blocks of a page are pasted in order into one process. A block's fence says which are left out:

- "```python notest": neither run by pytest-markdown-docs nor pasted.
- "```python nopaste": run, and not pasted; for whole programs, which call `asyncio.run`.

The plain console of Python 3.11 and 3.12 compiles line by line: a blank line ends an indented block, and
nothing else does.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from markdown_it import MarkdownIt

import sessiondex
from tests.support.waiting import HANG_SECONDS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]

LINES_SHOWN = 12

NO_END = "The console never came to the end of this snippet."
ERROR = re.compile(rf'File "<(console|stdin|python-input-\d+)>", line |was never awaited|{NO_END}')
"""What the console prints of an exception, of a syntax error, and of a coroutine that nobody awaits.

A traceback without a line of the console is none of its errors: the store has logged it.
"""


class Snippet(NamedTuple):
    """A block of Python, and the line of its page on which it begins."""

    line: int
    text: str


def snippets_of(page: str) -> list[Snippet]:
    """Return the blocks of a page that are to be pasted."""
    found = []
    for token in MarkdownIt("commonmark").parse(page):
        language, *options = token.info.split() or [""]
        if token.type == "fence" and token.map and language == "python" and not {"notest", "nopaste"} & {*options}:
            found.append(Snippet(token.map[0] + 2, token.content))
    return found


def typed(text: str) -> str:
    """Return what a user pastes and types: the block, and one more Enter if it ends within an indented block."""
    is_indented = text.splitlines()[-1:] and text.splitlines()[-1].startswith(" ")
    return text + "\n" * bool(is_indented)


def paste(snippets: list[Snippet], directory: Path) -> list[str]:
    """Paste the snippets into one process, and return what it prints for each."""
    ends = [f"-- end of snippet {number} --" for number in range(len(snippets) + 1)]
    # In two parts: the text that ends a snippet's output must not be echoed before.
    lines = [f"print({end[:9]!r}, {end[10:]!r})\n" for end in ends]
    pasted = lines[0] + "".join(typed(one.text) + line for one, line in zip(snippets, lines[1:], strict=True))
    done = subprocess.run(
        [sys.executable, "-m", "asyncio"],
        input=pasted,
        cwd=directory,
        env=environment(directory),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )
    return outputs_of(done.stdout, ends)


def environment(directory: Path) -> dict[str, str]:
    """Return the variables of a user's shell: nothing of the test run, and sessiondex as it is tested."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "COV_"))}
    return kept | {
        "NO_COLOR": "1",
        "PYTHONPATH": str(Path(sessiondex.__file__).parents[1]),
        "PYTHONUNBUFFERED": "1",  # for output and errors to come in order
        "PYTHON_HISTORY": str(directory / "history"),
    }


def outputs_of(output: str, ends: list[str]) -> list[str]:
    """Return the part of the output before each end but the first."""
    parts = []
    for end in ends:
        part, end_was_reached, output = output.partition(end)
        parts.append(part if end_was_reached else f"{part}\n{NO_END}")
    return parts[1:]


def failures_of(page: str, directory: Path) -> list[str]:
    """Return a paragraph for each snippet of the page that fails when it is pasted."""
    snippets = snippets_of(page)
    failures = []
    for snippet, output in zip(snippets, paste(snippets, directory), strict=True):
        if error := ERROR.search(output):
            shown = output[error.start() :].strip().splitlines()[:LINES_SHOWN]
            failures.append("\n".join([f"the snippet on line {snippet.line} fails:", *shown]))
    return failures


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_snippets_of_a_page_run_when_pasted(page: Path, tmp_path: Path) -> None:
    failures = failures_of(page.read_text(), tmp_path)

    assert not failures, f"{page.relative_to(ROOT)}\n\n" + "\n\n".join(failures)
