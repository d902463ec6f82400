"""The command: what it takes, writes and returns."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import services
from benchmarks.__main__ import command, main
from benchmarks.alone import NONE_HOT
from benchmarks.contestants import INDEXED, REFERENCE, STORES
from benchmarks.options import DEFAULT, FULL, SMOKE, parse
from benchmarks.reference import ReferenceScan

ROOT = Path(__file__).parents[2]


class Forgetful(ReferenceScan):
    """Says that there is nothing."""

    async def get(self, *_: object, **__: object) -> None:
        return None


def test_smoke(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A short run prints all tables and writes its results; without altair it says that there is no report."""
    monkeypatch.setitem(sys.modules, "altair", None)
    status = main(["--smoke", "--sizes", "60,30", "--seed", "5", "--output", str(tmp_path / "out")])
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    printed = capsys.readouterr().out

    assert status == 0
    assert (
        results["seed"],
        results["command"],
    ) == (5, "python -m benchmarks --smoke --sizes 60,30 --seed 5 --output out")
    assert {30, 60} == {cell["sessions"] for cell in results["lookup"]}
    assert {cell["operation"] for cell in results["lookup"]} >= services.OPERATIONS.keys()
    assert {"cpu", "cores", "memory_gb", "os"} == results["machine"].keys()
    assert {"python", "sessiondex", "pydantic", "pydantic-core"} == results["versions"].keys()
    assert [replayed["contestant"] for replayed in results["replay"]] == ["indexed", "scan store", "indexed"]
    assert {30, 60} == {cell["sessions"] for cell in results["scale"]["queries"]}
    assert [weighed["variant"] for weighed in results["scale"]["footprints"]] == [INDEXED, NONE_HOT, REFERENCE]
    assert results["contest"]["sessions"] == 60
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["results.json"]
    for title in (
        "No report",
        "Cost of a call",
        "Cost at 60 sessions",
        "What services ask",
        "Conversations replayed",
        "Alone in a process",
        "Among its peers, 60 sessions",
        "Mixes of operations",
        "Ids that collide",
        "Over Redis and Valkey",
        "50 tasks over loopback",
        "Workers that share conversations",
        "Headline figures",
    ):
        assert title in printed


def test_wrong_contestant(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Contestants that answer differently end the run with status 1, a message that names the query, and no results."""
    monkeypatch.setitem(STORES, REFERENCE, lambda clock: Forgetful(clock=clock))
    status = main(["--smoke", "--sizes", "30", "--output", str(tmp_path)])

    assert status == 1
    assert "get: at 30 sessions, indexed and reference scan answer differently" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.fixture
def heeding_signals() -> Iterator[None]:
    """Give SIGINT its usual meaning: shells have what runs in the background ignore it, and so do its children."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.usefixtures("heeding_signals")
def test_interrupted(tmp_path: Path) -> None:
    """Ctrl-C ends a run soon, with status 130, a short message and no traceback."""
    arguments = [sys.executable, "-m", "benchmarks", "--sizes", "50000", "--output", str(tmp_path / "out")]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:  # noqa: S603  # our own command
        while not (tmp_path / "out").exists() and running.poll() is None:
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=30)

    assert running.returncode == 130
    assert errors == "\nStopped before the end.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sizes", "many"], "not a list of whole numbers"),
        (["--sizes", "1000,"], "not a list of whole numbers"),
        (["--sizes", "0"], "each size must be from 10 to 10,000,000"),
        (["--sizes", "1000,99999999"], "each size must be from 10 to 10,000,000"),
        (["--trace", "nowhere.gz"], "nowhere.gz: there is no such file"),
        (["--trace", __file__], "not a complete gzip file"),
        (["--output", __file__], "cannot be made a directory"),
        (["--seed", "x"], "invalid int value"),
        (["--full", "--smoke"], "not allowed with"),
        (["--fast"], "unrecognized arguments"),
    ],
)
def test_bad_options(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be done is refused at once with status 2, and words."""
    with pytest.raises(SystemExit) as caught:
        parse(arguments)

    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_options(tmp_path: Path) -> None:
    """Sizes are sorted and single; without any, the extent of the run says how many."""
    output = ["--smoke", "--output", str(tmp_path)]

    assert parse(["--sizes", "5000,1000,1000", *output]).sizes == (1000, 5000)
    assert parse(output).sizes == SMOKE.sizes
    assert (DEFAULT.sizes[-1], FULL.sizes[-1]) == (100_000, 1_000_000)


def test_command_names_no_path() -> None:
    """What stands in the results can be typed elsewhere: absolute paths are cut down to names."""
    assert (
        command(
            ["--trace", "/some/where/t.gz", "--output=/tmp/out", "--seed", "2"]  # nothing is written there
        )
        == "python -m benchmarks --trace t.gz --output=out --seed 2"
    )
