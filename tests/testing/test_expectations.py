"""What cases say of a store: a line that tells what was expected, and what came."""

from __future__ import annotations

import pytest

from sessiondex import ScanSessionStore
from sessiondex.testing import CaseContext, ContractViolation, case, expect, expect_error


def test_what_differs_in_a_session_is_named() -> None:
    context = CaseContext(ScanSessionStore)
    session = context.session(turn_count=3)
    with pytest.raises(ContractViolation, match=r"get: of session .*, turn_count should be 3, but it was 4"):
        expect(session.model_copy(update={"turn_count": 4}), session, "get")


def test_a_message_is_a_line_however_much_differs() -> None:
    with pytest.raises(ContractViolation) as broken:
        expect(["x" * 1_000] * 1_000, [], "what")

    assert len(str(broken.value)) < 300


def test_an_expected_error_must_come_and_be_of_its_kind() -> None:
    with (
        pytest.raises(ContractViolation, match="saving: expected KeyError, but nothing was raised"),
        expect_error(KeyError, "saving"),
    ):
        pass
    with pytest.raises(ContractViolation, match=r"saving: expected KeyError, but it raised OSError\('x'\)"):  # noqa: SIM117  # one within the other
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
    with pytest.raises(ValueError, match="'watch' is no capability; take some of clock, idle_ttl"):
        case(1, "watch")
