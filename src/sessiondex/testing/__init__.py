"""The conformance kit: checks whether a `SessionStore` keeps the contract.

`check_session_store` runs every case without a test runner. `CASES` lists them, for use with a test runner.
`sessiondex.testing.machine` drives a store and `ScanSessionStore` through the same random operations. It needs
Hypothesis: `pip install "sessiondex[testing]"`.
"""

from sessiondex.testing.builders import START, ManualClock, at_step, every_field, make_session, make_visit
from sessiondex.testing.case import Case, case
from sessiondex.testing.case_context import CAPABILITIES, CaseContext, MakeStore
from sessiondex.testing.cases import CASES
from sessiondex.testing.check import check_session_store
from sessiondex.testing.expectations import ContractViolation, expect, expect_error, expect_increasing
from sessiondex.testing.report import Outcome, Report, Verdict

__all__ = [
    "CAPABILITIES",
    "CASES",
    "START",
    "Case",
    "CaseContext",
    "ContractViolation",
    "MakeStore",
    "ManualClock",
    "Outcome",
    "Report",
    "Verdict",
    "at_step",
    "case",
    "check_session_store",
    "every_field",
    "expect",
    "expect_error",
    "expect_increasing",
    "make_session",
    "make_visit",
]
