"""The mutants fit the source, the page lists them, and the command tells those that a test finds from the others."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from sessiondex.testing import CASES
from tests.mutants.__main__ import main, survivors_of
from tests.mutants.catalogue import AREAS, LAWS, MUTANTS, Mutant, mutants_of
from tests.mutants.page import PAGE, page_of
from tests.mutants.trial import SAME_IN_OTHER_WORDS, Copy, NoVerdictError

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("mutant", [*MUTANTS, SAME_IN_OTHER_WORDS], ids=lambda mutant: mutant.name)
def test_a_patch_fits_its_file(mutant: Mutant) -> None:
    """At one place: whoever changes the source there has to look at what the patch meant."""
    assert (ROOT / mutant.file).read_text(encoding="utf-8").count(mutant.old) == 1
    assert mutant.new != mutant.old


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_says_what_it_breaks_and_who_finds_it(mutant: Mutant) -> None:
    assert (mutant.law in LAWS) != bool(mutant.promise)
    path, name, case = re.fullmatch(r"(tests/[\w/]+\.py)::(\w+)(?:\[(?:\w+?-)?(.+)\])?", mutant.killer).groups()  # type: ignore[union-attr]  # fails
    assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8")
    if path.endswith("test_conformance.py"):
        assert case in map(str, CASES)


def test_there_are_many_in_each_part_of_the_source_and_no_two_of_one_name() -> None:
    files = [Path(mutant.file).relative_to("src/sessiondex") for mutant in MUTANTS]
    for part in ("engine", "stores"):
        assert sum(file.parts[0] == part for file in files) >= 15
    kept = {"records.py", "packing.py", "copying.py", "json_values.py", "refusals.py"}
    assert sum(file.name in kept for file in files) >= 15
    assert len(files) == len({mutant.name for mutant in MUTANTS}) >= 30


def test_every_law_is_broken() -> None:
    assert {mutant.law for mutant in MUTANTS} >= set(LAWS)


def test_every_file_of_patches_is_read() -> None:
    assert {path.stem for path in (ROOT / "tests" / "mutants").glob("*.toml")} == set(AREAS)
    assert all(mutants_of(area) for area in AREAS)


def test_the_page_is_what_is_written_from_the_patches() -> None:
    """`python -m tests.mutants --page` writes it. The promises tell how many there are."""
    assert PAGE.read_text(encoding="utf-8") == page_of(MUTANTS)
    assert f"): {len(MUTANTS)} mistakes" in (PAGE.parent / "promises.md").read_text(encoding="utf-8")


def test_a_name_that_no_mutant_has_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "no such mutant"])

    assert "no mutant has 'no such mutant' in its name" in capsys.readouterr().err


# -- the command, on a project that is small --

TOY = "def double(number):\n    return number + number\n"
TOY_TESTS = """\
from toy import double

def test_two():
    assert double(2) == 4

def test_three():
    assert double(3) == 6
"""
SQUARED = Mutant(
    name="squared",
    file="src/toy.py",
    old="number + number",
    new="number * number",
    promise="twice",
    killer="tests/test_toy.py::test_three",
)
SAME = replace(SQUARED, name="same", new="2 * number")


@pytest.fixture
def toy(tmp_path: Path) -> Copy:
    """A copy of a project with one function, and two tests of it, of which one is too weak."""
    project, folder = tmp_path / "project", tmp_path / "copy"
    for path, text in (
        ("src/toy.py", TOY),
        ("tests/test_toy.py", TOY_TESTS),
        ("pyproject.toml", "[tool.pytest.ini_options]\n"),
    ):
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)
    folder.mkdir()
    return Copy.of(project, folder, package="toy", suite=["tests"], plugins=["pytest_timeout"])


def test_a_mutant_that_a_test_finds_is_killed_and_one_that_changes_nothing_survives(toy: Copy) -> None:
    """And the copy is afterwards as it was."""
    assert toy.killer_of(SQUARED) == SQUARED.killer
    assert toy.killer_of(SAME) is None
    assert (toy.folder / "src" / "toy.py").read_text() == TOY


def test_another_test_that_finds_a_mutant_is_named(toy: Copy) -> None:
    assert toy.killer_of(replace(SQUARED, killer="tests/test_toy.py::test_two")) == "tests/test_toy.py::test_three"


@pytest.mark.parametrize(
    ("mutant", "reason"),
    [
        (replace(SQUARED, new="number +"), "could not be run"),
        (replace(SQUARED, killer="tests/test_toy.py::test_four"), "could not be run"),
        (replace(SQUARED, old="number"), "is 3 times in src/toy.py"),
    ],
)
def test_what_fails_for_another_reason_is_no_verdict(toy: Copy, mutant: Mutant, reason: str) -> None:
    """A patch after which nothing can be imported has broken the tests, and no promise."""
    with pytest.raises(NoVerdictError, match=reason):
        toy.killer_of(mutant)


def test_a_copy_that_cannot_tell_is_not_trusted(toy: Copy) -> None:
    """One in which a test fails without a mutant, or with a patch of nothing, or whose tests import something else."""
    toy.check([SQUARED.killer], SAME)
    with pytest.raises(NoVerdictError, match="though nothing but words was changed"):
        toy.check([SQUARED.killer], control=SQUARED)
    with toy.mutated(SQUARED), pytest.raises(NoVerdictError, match="fails without any mutant"):
        toy.check([SQUARED.killer], SAME)
    toy.package = "json"
    with pytest.raises(NoVerdictError, match="would import"):
        toy.check([SQUARED.killer], SAME)


def test_one_that_survives_is_reported(toy: Copy, capsys: pytest.CaptureFixture[str]) -> None:
    assert survivors_of(toy, [SQUARED, SAME], SAME) == [SAME]
    said = capsys.readouterr().out
    assert "killed: squared (twice)" in said
    assert "SURVIVED: same (twice)" in said
    assert "1 of 2 killed" in said
