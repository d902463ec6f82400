"""The list of cases: unique names, promises, and calls of every operation with every argument."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from typing import Any

import pytest

from sessiondex import ScanSessionStore, SessionStore
from sessiondex.reading import SessionReader
from sessiondex.testing import (
    CAPABILITIES,
    CASES,
    case,
    check_session_store,
)
from sessiondex.testing.case import LAW_COUNT


def test_every_case_has_a_unique_name_and_a_promise() -> None:
    assert len({one.name for one in CASES}) == len(CASES)
    for one in CASES:
        assert re.fullmatch("[a-z0-9-]+", one.name), one.name
        assert one.promise.endswith("."), one.name
        assert set(one.needs) <= set(CAPABILITIES)


def test_every_law_has_cases() -> None:
    assert {one.law for one in CASES} == {None, *range(1, LAW_COUNT + 1)}


async def test_every_operation_is_called_with_every_argument_and_options_only_where_they_are_needed() -> None:
    """The store records the options and the arguments that it gets."""
    called: dict[str, set[str]] = {}
    options: set[str] = set()

    class RecordingStore(ScanSessionStore[Any]):
        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            options.update(given)

        def __getattribute__(self, name: str) -> Any:
            method = super().__getattribute__(name)
            if name not in OPERATIONS:
                return method

            def record(*arguments: Any, **named: Any) -> Any:
                bound = inspect.signature(method).bind(*arguments, **named)
                called.setdefault(name, set()).update(bound.arguments)
                return method(*arguments, **named)

            return record

    for one in CASES:
        options.clear()
        report = await check_session_store(RecordingStore, cases=[one])
        assert report.ok, str(report)
        assert options == set(one.needs)
    assert called == OPERATIONS


OPERATIONS = {
    name: {parameter for parameter in inspect.signature(method).parameters if parameter != "self"}
    for cls in (SessionReader, SessionStore)
    for name, method in vars(cls).items()
    if getattr(method, "__isabstractmethod__", False) and not name.startswith("__")
}


def test_importing_the_kit_does_not_import_hypothesis() -> None:
    """Nor a test runner: the cases run anywhere."""
    program = "import sys, sessiondex.testing; print({'hypothesis', 'pytest'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)  # noqa: S603  # a constant command

    assert result.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("declared", "named"),
    [
        (lambda: case(99), "law"),
        (lambda: case(None, "wings"), "needs"),
        (lambda: case(None)(print), "a case must be a coroutine function"),  # type: ignore[arg-type]  # the mistake
    ],
)
def test_an_invalid_declaration_of_a_case_is_refused(declared: Any, named: str) -> None:
    """The error names the argument and the remedy."""
    with pytest.raises(ValueError, match=named):
        declared()
