"""The commands of the package: `python -m sessiondex` and `python -m sessiondex.example`."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from importlib.metadata import version

import httpx
import pytest

from tests.support.waiting import HANG_SECONDS


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # our own command
        [sys.executable, *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_the_package_says_what_can_be_run(arguments: list[str]) -> None:
    done = run("-m", "sessiondex", *arguments)

    assert (done.returncode, done.stderr) == (0, "")
    assert "python -m sessiondex.example" in done.stdout
    assert "https://sessiondex.github.io/sessiondex/" in done.stdout


def test_the_package_says_its_version() -> None:
    assert run("-m", "sessiondex", "--version").stdout == f"sessiondex {version('sessiondex')}\n"


@pytest.mark.parametrize("module", ["sessiondex", "sessiondex.example"])
def test_unknown_arguments_are_refused_with_the_usage(module: str) -> None:
    done = run("-m", module, "--color")

    assert done.returncode == 2
    assert f"usage: python -m {module} " in done.stderr
    assert "unrecognized arguments: --color" in done.stderr


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://ann:s3cret@host", "there are memory://, redis://"),
        ("redis://ann:s3cret@host/x", "number of a database"),
    ],
)
def test_a_store_that_cannot_be_is_refused_before_the_start(url: str, words: str) -> None:
    done = run("-m", "sessiondex.example", SESSIONS=url)

    assert done.returncode == 2
    assert words in done.stderr
    assert "s3cret" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("missing", ["fastapi", "uvicorn"])
def test_without_the_extra_the_service_says_what_to_install(missing: str) -> None:
    program = f"import runpy, sys; sys.modules[{missing!r}] = None; "
    started = run("-c", program + "runpy.run_module('sessiondex.example', run_name='__main__')")
    imported = run("-c", program + "import sessiondex.example")

    hint = 'the example service needs FastAPI and uvicorn: pip install "sessiondex[example]"'
    assert (started.returncode, started.stderr) == (1, f"{hint}\n")
    assert imported.stderr.splitlines()[-1] == f"ModuleNotFoundError: {hint}"


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
