"""The Python snippets of README and docs run when they are pasted into `python -m asyncio`, as those pages say.

The blocks of a page are pasted in order into one process. A block's fence says which are left out:

- "```{.python notest}": neither run by pytest-markdown-docs nor pasted.
- "```{.python nopaste}": run, and not pasted; for whole programs, which call `asyncio.run`.

The braces are for the docs builder, which takes a fence with other words for text.

Up to Python 3.12 the console compiles line by line. A blank line ends an indented block, and nothing else does: within
the block there must be none, and after it there must be one.
"""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from markdown_it import MarkdownIt

from tests.support.console import Console, ConsoleHungError
from tests.support.waiting import HANG_SECONDS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
LINES_SHOWN = 12

ERROR = re.compile(r'File "<(console|stdin|python-input-\d+)>", line |was never awaited')
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
        language, *options = token.info.strip("{}").split() or [""]
        is_python = token.type == "fence" and language in {"python", ".python"}
        if is_python and token.map and not {"notest", "nopaste"} & {*options}:
            found.append(Snippet(token.map[0] + 2, token.content))
    return found


def failures_of(page: str, directory: Path, timeout: float = HANG_SECONDS) -> list[str]:
    """Return a paragraph for each snippet of the page that fails when it is pasted. None follows one that hangs."""
    failures: list[str] = []
    with closing(Console(directory, timeout=timeout)) as console:
        for line, text in snippets_of(page):
            try:
                output = console.paste(text)
            except ConsoleHungError as hung:
                shown = str(hung).splitlines()[-LINES_SHOWN:]
                return [*failures, "\n".join([f"the snippet on line {line} does not end:", *shown])]
            if error := ERROR.search(output):
                shown = output[error.start() :].splitlines()[:LINES_SHOWN]
                failures.append("\n".join([f"the snippet on line {line} fails:", *shown]))
    return failures


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_snippets_of_a_page_run_when_pasted(page: Path, tmp_path: Path) -> None:
    failures = failures_of(page.read_text(), tmp_path)

    assert not failures, f"{page.relative_to(ROOT)}\n\n" + "\n\n".join(failures)


# -- the test itself --


def page_of(*blocks: str, info: str = "python") -> str:
    return "# A page\n\n" + "\n\nText.\n\n".join(f"```{info}\n{block}\n```" for block in blocks)


GOOD = """\
import asyncio
async def three():
    await asyncio.sleep(0)
    return 3

value = await three()
for number in range(value):
    assert number < 3"""


def test_good_snippets_have_no_failures(tmp_path: Path) -> None:
    """One that ends within an indented block is complete, and the next one sees its names."""
    assert failures_of(page_of(GOOD, "assert (value, number) == (3, 2)", GOOD), tmp_path) == []


@pytest.mark.parametrize(
    ("planted", "error"),
    [
        ("assert value == 4", "AssertionError"),
        ("print(missing)", "NameError: name 'missing' is not defined"),
        ("async def fail():\n    raise KeyError(value)\n\nawait fail()", "KeyError: 3"),
        ("value = = 3", "SyntaxError: invalid syntax"),
        ("    value = 3", "IndentationError: unexpected indent"),
        ("import asyncio\nasyncio.run(three())", "asyncio.run() cannot be called"),
        ("forgotten = three()\ndel forgotten", "was never awaited"),
    ],
)
def test_a_planted_error_is_found_in_its_snippet_only(planted: str, error: str, tmp_path: Path) -> None:
    page = page_of(GOOD, planted, GOOD)
    (failure,) = failures_of(page, tmp_path)

    assert failure.startswith(f"the snippet on line {snippets_of(page)[1].line} fails:")
    assert error in failure


def test_a_snippet_that_does_not_end_is_found(tmp_path: Path) -> None:
    (failure,) = failures_of(page_of("value = (1,"), tmp_path, timeout=3)

    assert failure.startswith("the snippet on line 4 does not end:")


@pytest.mark.parametrize("info", ["{.python notest}", "{.python nopaste}", "text", ""])
def test_some_blocks_are_not_pasted(info: str) -> None:
    assert snippets_of(page_of("1 / 0", info=info)) == []
    assert len(snippets_of(page_of("1 / 0", info="{.python fixture:store}"))) == 1
