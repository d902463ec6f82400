"""The messages of unmet expectations: one line with the expected and the actual value."""

from __future__ import annotations

import pytest

from sessiondex import ScanSessionStore
from sessiondex.testing import CaseContext, ContractViolation, case, expect, expect_error


def test_a_message_names_the_field_that_differs() -> None:
    context = CaseContext(ScanSessionStore)
    session = context.session(turn_count=3)
    with pytest.raises(ContractViolation, match=r"get: turn_count of session .*: expected 3, but it was 4"):
        expect(session.model_copy(update={"turn_count": 4}), session, "get")


def test_a_message_is_short_for_any_difference() -> None:
    with pytest.raises(ContractViolation) as broken:
        expect(["x" * 1_000] * 1_000, [], "what")

    assert len(str(broken.value)) < 300


def test_an_expected_error_must_be_raised_and_of_its_class() -> None:
    with (
        pytest.raises(ContractViolation, match="saving: expected KeyError, but nothing was raised"),
        expect_error(KeyError, "saving"),
    ):
        pass
    with pytest.raises(ContractViolation, match=r"saving: expected KeyError, but it raised OSError\('x'\)"):  # noqa: SIM117  # nested on purpose
        with expect_error(KeyError, "saving"):
            raise OSError("x")
    with pytest.raises(NotImplementedError), expect_error(KeyError, "saving"):
        raise NotImplementedError
    with expect_error(KeyError, "saving") as caught:
        with pytest.raises(LookupError, match="nothing was raised yet"):
            _ = caught.error
        raise KeyError("x")
    assert caught.error.args == ("x",)


def test_a_case_needs_a_promise_and_known_capabilities() -> None:
    async def silent(context: CaseContext) -> None: ...

    with pytest.raises(ValueError, match="silent: a case needs a docstring"):
        case(1)(silent)
    with pytest.raises(ValueError, match="'watch' is not a capability; use some of clock, idle_ttl"):
        case(1, "watch")
