"""A copy of the project, in which mutants are tried.

What a mutant does not change has to pass, or else a failure says nothing of it. So before any is tried, every killer
passes on the copy as it is, and on the copy with a patch that changes nothing. Of pytest's exit codes only 1 says that
a test failed; whatever else goes wrong is no verdict.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copy2, copytree, ignore_patterns
from typing import Any

from tests.mutants.catalogue import Mutant

# The suite but for long searches, and for the test that every patch fits, which none of them passes.
FAST_SUITE = (
    "tests",
    "--ignore=tests/benchmarks",
    "--ignore=tests/test_mutants.py",
    "-m",
    "not no_cover",
)

# Those that the project's settings and marks need. To find and load all that are installed takes half of a run.
PLUGINS = ("pytest_asyncio.plugin", "pytest_cov.plugin", "pytest_markdown_docs.plugin", "pytest_timeout")

SAME_IN_OTHER_WORDS = Mutant(
    name="the same in other words",
    file="src/sessiondex/engine/postings.py",
    old="        return self._entries\n",
    new="        entries = self._entries\n        return entries\n",
    promise="nothing",
    killer="none",
)

_PASSED, _FAILED = 0, 1  # exit codes of pytest; the others are of runs that were not to the end
_TEST_SECONDS, _RUN_SECONDS = 60, 1_200


class NoVerdictError(Exception):
    """A run that says nothing of any mutant."""


@dataclass
class Copy:
    """A copy of the project: `folder` is where it is, `package` what its tests import, from `src`.

    `suite` are pytest's arguments for all that is quick, `plugins` are what its tests need, of which one keeps time.
    Nothing outside the folder is changed. The caller applies one mutant at a time.
    """

    folder: Path
    package: str = "sessiondex"
    suite: Sequence[str] = FAST_SUITE
    plugins: Sequence[str] = PLUGINS
    _is_suite_sound: bool = field(default=False, init=False)

    @classmethod
    def of(cls, root: Path, folder: Path, **options: Any) -> Copy:
        """Copy what there is in `root` but for what is hidden or was built; the options are those of the class."""
        for part in root.iterdir():
            if part.is_dir() and part.name in {"src", "tests", "docs", "benchmarks"}:
                copytree(part, folder / part.name, ignore=ignore_patterns("__pycache__"))
            elif part.suffix in {".md", ".py", ".toml", ".yml"}:
                copy2(part, folder)
        return cls(folder, **options)

    def check(self, killers: Sequence[str], control: Mutant) -> None:
        """Raise `NoVerdictError` unless this can tell a mutant from what is none, by these tests."""
        imported = self._python("-c", f"import {self.package}; print({self.package}.__file__)").stdout.strip()
        if not Path(imported).is_relative_to(self.folder):
            raise NoVerdictError(f"tests in the copy would import {imported or 'nothing'}")
        if failed := self.first_failure(killers):
            raise NoVerdictError(f"{failed} fails without any mutant")
        with self.mutated(control):
            if failed := self.first_failure(killers):
                raise NoVerdictError(f"{failed} fails though nothing but words was changed")

    def killer_of(self, mutant: Mutant) -> str | None:
        """Return the test that fails with the mutant: the one that it names, else any. `None` if it survives."""
        with self.mutated(mutant):
            failed = self.first_failure([mutant.killer])
        if failed is not None:
            return mutant.killer
        if not self._is_suite_sound and (failed := self.first_failure(self.suite)):
            raise NoVerdictError(f"{failed} fails without any mutant")
        self._is_suite_sound = True
        with self.mutated(mutant):
            return self.first_failure(self.suite)

    @contextmanager
    def mutated(self, mutant: Mutant) -> Iterator[None]:
        """Have the mutant in the copy while this is open."""
        file = self.folder / mutant.file
        source = file.read_text(encoding="utf-8")
        if source.count(mutant.old) != 1:
            raise NoVerdictError(f"what {mutant.name!r} changes is {source.count(mutant.old)} times in {mutant.file}")
        file.write_text(source.replace(mutant.old, mutant.new), encoding="utf-8")
        try:
            yield
        finally:
            file.write_text(source, encoding="utf-8")

    def first_failure(self, tests: Sequence[str]) -> str | None:
        """Run the tests up to the first that fails, and return its name; `None` if all pass."""
        plugins = [f"-p{plugin}" for plugin in ("no:cacheprovider", *self.plugins)]
        options = ("-x", "-q", "--tb=no", "-rfE", f"--timeout={_TEST_SECONDS}")
        done = self._python("-m", "pytest", *plugins, *options, *tests)
        if done.returncode == _PASSED:
            return None
        if done.returncode != _FAILED:
            others = f" and {len(tests) - 1} others" if len(tests) > 1 else ""
            said = f"{done.stdout[-2_000:]}{done.stderr[-2_000:]}"
            raise NoVerdictError(f"{tests[0]}{others} could not be run\n\n{said}")
        found = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", done.stdout, re.MULTILINE)
        return found[1] if found else "a test"

    def _python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SESSIONDEX_")}
        environment |= {
            "PYTHONPATH": str(self.folder / "src"),
            # A patch may leave a file as long as it was, within the second: Python would go on with what it compiled.
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "CI": "1",  # by which Hypothesis tries the same examples each time
        }
        try:
            return subprocess.run(  # noqa: S603  # our own command
                [sys.executable, *arguments],
                cwd=self.folder,
                env=environment,
                capture_output=True,
                encoding="utf-8",
                timeout=_RUN_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise NoVerdictError(f"{' '.join(arguments)} did not come to an end") from None
