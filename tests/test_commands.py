"""The commands of the package: `python -m sessiondex` and `python -m sessiondex.example`."""

from __future__ import annotations

import re
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

import sessiondex

EXAMPLE = "sessiondex.example"
FILES = {"sessiondex": "__main__.py", EXAMPLE: "example.py"}
HINT = 'the example service needs FastAPI and uvicorn: pip install "sessiondex[example]"'


class Ended(NamedTuple):
    """What a command left behind: its exit status, or the message it ended with, and its output."""

    status: object
    out: str
    err: str


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run a module as `python -m` does, in this process."""

    def run(module: str, *arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", [module, *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(Path(sessiondex.__file__).with_name(FILES[module])), run_name="__main__")
        return Ended(ended.value.code, *capsys.readouterr())

    return run


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_the_package_says_what_can_be_run(run: Callable[..., Ended], arguments: list[str]) -> None:
    ended = run("sessiondex", *arguments)

    assert (ended.status, ended.err) == (0, "")
    assert "python -m sessiondex.example" in ended.out
    assert "https://sessiondex.github.io/sessiondex/" in ended.out


def test_the_package_says_its_version(run: Callable[..., Ended]) -> None:
    assert run("sessiondex", "--version") == (0, f"sessiondex {version('sessiondex')}\n", "")


@pytest.mark.parametrize("module", ["sessiondex", EXAMPLE])
def test_unknown_arguments_are_refused_with_the_usage(run: Callable[..., Ended], module: str) -> None:
    ended = run(module, "--color")

    assert ended.status == 2
    assert f"usage: python -m {module} " in ended.err
    assert "unrecognized arguments: --color" in ended.err


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://ann:s3cret@host", "there are memory://, sqlite://, redis://"),
        ("redis://ann:s3cret@host/x", "number of a database"),
    ],
)
def test_a_store_that_cannot_be_is_refused_before_the_start(
    run: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, url: str, words: str
) -> None:
    monkeypatch.setenv("SESSIONS", url)
    ended = run(EXAMPLE)

    assert ended.status == 2
    assert "error: SESSIONS: url: " in ended.err
    assert words in ended.err
    assert "s3cret" not in ended.err


def test_a_journal_without_file_locks_is_refused_before_the_start(
    run: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows."""
    monkeypatch.setattr("sessiondex.stores.sqlite.journal.IS_SUPPORTED", False)
    monkeypatch.setenv("SESSIONS", "sqlite:///sessions.db")
    ended = run(EXAMPLE)

    assert ended.status == 2
    assert "error: SESSIONS: SQLiteJournal needs file locks" in ended.err


@pytest.mark.parametrize("missing", ["fastapi", "uvicorn"])
def test_without_the_extra_the_service_says_what_to_install(
    run: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, EXAMPLE, raising=False)

    assert run(EXAMPLE).status == HINT
    with pytest.raises(ModuleNotFoundError, match=re.escape(HINT)):
        import_module(EXAMPLE)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to another process")
def test_the_service_starts_answers_and_ends_by_ctrl_c() -> None:
    command = [sys.executable, "-m", "sessiondex.example", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603  # our own command
        assert process.stderr is not None
        try:
            # uvicorn names the port that it was given.
            (url,) = next(filter(None, (re.findall(r"running on (\S+)", line) for line in process.stderr)))
            assert "memory://" in httpx.get(url).text
        finally:
            process.send_signal(signal.SIGINT)
        rest = process.stderr.read()

    assert process.returncode in {0, -signal.SIGINT}
    assert "Traceback" not in rest
