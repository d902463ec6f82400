"""The command: its options, its output, its exit status."""

import asyncio
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as program
from benchmarks.__main__ import command, main, measure
from benchmarks.measure.processes import ProcessFailedError
from benchmarks.measure.progress import Progress
from benchmarks.options import PARTS, parse
from benchmarks.run import Run
from benchmarks.scenarios import floods, footprint, indexes, lookups, mixes, replay
from benchmarks.scenarios.answers import AnswersDifferError
from benchmarks.scenarios.journal import scenario as journal
from benchmarks.scenarios.replay import ReplaysDifferError
from benchmarks.scenarios.servers import scenario
from benchmarks.scenarios.servers.workers import TurnsDifferError
from tests.benchmarks.small_run import small_run


@pytest.fixture
def ready_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the measurements by a run that is ready."""
    run = small_run()

    async def made(options: Any, as_command: str, _: Progress) -> Run:
        return replace(run, seed=options.seed, command=as_command)

    monkeypatch.setattr(program, "measure", made)


@pytest.mark.usefixtures("ready_made")
def test_output(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The results are written and can be read; the answer and the file come last; without altair there is no report."""
    monkeypatch.setattr(program, "find_spec", lambda _: None)
    status = main(["--smoke", "--seed", "5", "--output", str(tmp_path / "out")])
    printed = capsys.readouterr().out.strip().splitlines()
    run = Run.read(tmp_path / "out" / "results.json")

    assert status == 0
    assert (run.seed, run.command) == (5, "nox -s bench -- --smoke --seed 5 --output out")
    assert run == replace(small_run(), seed=5, command=run.command)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["results.json"]
    assert any("No report: it needs altair" in line for line in printed)
    assert any(line.startswith("At 60 sessions the index answers lookups") for line in printed[-5:])
    assert printed[-1].endswith("results.json")


def test_results_are_compact() -> None:
    """Each cell is one line, and there are medians and percentiles only."""
    run = small_run()
    lines = run.to_json().splitlines()

    assert run.peers is not None
    assert run.indexes is not None
    assert run.journal is not None
    cells = [*run.lookups, *run.peers.cells, *run.indexes.cells, *run.journal.reads]
    assert sum('"operation"' in line for line in lines) == len(cells)
    assert len(lines) < 350
    assert max(map(len, lines)) < 1_500


@pytest.mark.parametrize("option", [None, *PARTS])
def test_each_option_adds_its_part(option: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without options there are lookups, a replay and footprints; each option adds one part, `--full` all."""
    calls: list[str] = []

    def recorded(name: str) -> Any:
        async def run(*_: Any, services: bool = False, **__: Any) -> list[Any]:
            calls.append("services" if services else name)
            return []

        return run

    for name, module in {"replay": replay, "footprint": footprint, "mixes": mixes, "floods": floods}.items():
        monkeypatch.setattr(module, "run", recorded(name))
    monkeypatch.setattr(indexes, "run", recorded("indexes"))
    monkeypatch.setattr(journal, "run", recorded("journal"))
    monkeypatch.setattr(lookups, "run", recorded("lookups"))
    monkeypatch.setattr(lookups, "run_peers", recorded("peers"))
    monkeypatch.setattr(scenario, "run", recorded("servers"))
    arguments = ["--smoke", "--output", str(tmp_path), *([f"--{option}"] if option else [])]
    asyncio.run(measure(parse(arguments), "", Progress()))

    first = "services" if option == "services" else "lookups"
    assert calls == [first, "replay", "footprint", *([option] if option and option != "services" else [])]
    assert parse(["--full", "--output", str(tmp_path)]).parts == set(PARTS)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (AnswersDifferError("get: at 30 sessions"), "\nNothing was compared. get: at 30 sessions\n"),
        (ReplaysDifferError("replay: a and b"), "\nNothing was compared. replay: a and b\n"),
        (TurnsDifferError("conversation 0"), "\nNothing was compared. conversation 0\n"),
        (ProcessFailedError("the process failed"), "\nthe process failed\n"),
    ],
)
def test_failure(
    error: Exception, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong answers and failed processes end the run with status 1, a message, and no results."""

    async def failing(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(lookups, "run", failing)

    assert main(["--smoke", "--output", str(tmp_path)]) == 1
    assert capsys.readouterr().err == message
    assert not list(tmp_path.iterdir())


@pytest.fixture
def default_sigint() -> Iterator[None]:
    """Restore the meaning of SIGINT, which shells make background processes and their children ignore."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.usefixtures("default_sigint")
def test_interrupted(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while something is timed ends the run with status 130, one line on stderr and no results."""

    async def interrupted(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()

    monkeypatch.setattr(lookups, "run", interrupted)

    assert main(["--smoke", "--output", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "\nStopped before the end.\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("ready_made")
def test_interrupted_write(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while results are written leaves the file of the run before, and nothing else."""
    (tmp_path / "results.json").write_text("before", encoding="utf-8")

    def interrupted(path: Path, text: str, **_: Any) -> int:
        path.write_bytes(text[:10].encode())
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", interrupted)

    assert main(["--smoke", "--output", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "\nStopped before the end.\n"
    assert [(path.name, path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()] == [
        ("results.json", "before")
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sizes", "many"], "not a list of whole numbers"),
        (["--sizes", "1000,"], "not a list of whole numbers"),
        (["--sizes", "0"], "each from 10 to 10,000,000"),
        (["--sizes", "1000,99999999"], "each from 10 to 10,000,000"),
        (["--sizes", "10,20,30,40,50,60"], "5 sizes at most"),
        (["--trace", "nowhere.gz"], "nowhere.gz: there is no such file"),
        (["--trace", __file__], "not a complete gzip file"),
        (["--output", __file__], "cannot create the directory"),
        (["--seed", "x"], "invalid int value"),
        (["--full", "--smoke"], "not allowed with"),
        (["--fast"], "unrecognized arguments"),
    ],
)
def test_bad_options(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong options are refused at once, with status 2 and a message."""
    with pytest.raises(SystemExit) as caught:
        parse(arguments)

    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_options(tmp_path: Path) -> None:
    """Sizes are sorted and unique; peers have no more than 100,000 sessions; memory is measured at the largest size."""
    output = ["--output", str(tmp_path)]
    default, full = parse(output), parse(["--full", *output])

    assert parse(["--sizes", "5000,1000,1000", *output]).sizes == (1000, 5000)
    assert (default.sizes, default.weighed_sizes) == ((100, 1_000, 10_000, 100_000), [100_000])
    assert not default.parts
    assert (full.sizes[-1], full.peer_size, full.weighed_sizes) == (1_000_000, 100_000, [100_000, 1_000_000])


def test_command_names_no_path() -> None:
    """The command in the results can be typed elsewhere: absolute paths are cut to names."""
    arguments = ["--trace", "/some/where/t.gz", "--output=/tmp/out", "--seed", "2"]

    assert command(arguments) == "nox -s bench -- --trace t.gz --output=out --seed 2"
    assert command([]) == "nox -s bench"
