"""The report of a check: a verdict for each case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sessiondex.testing.case import Case


class Verdict(StrEnum):
    """The verdict on a case."""

    PASSED = "passed"
    FAILED = "failed"
    DIVERGES = "diverges"
    """It failed, and `known_divergences` gives the reason."""
    UNSUPPORTED = "unsupported"
    """The store lacks a capability or an operation that the case needs."""


@dataclass(frozen=True)
class Outcome:
    """The result of one case. `reason` is empty if it passed; `error` is the exception that it raised, if any."""

    case: Case
    verdict: Verdict
    reason: str = ""
    error: BaseException | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """Return the outcome as one line."""
        law = f" (law {self.case.law})" if self.case.law else ""
        reason = f": {' '.join(self.reason.split())}" if self.reason else ""
        return f"{self.verdict:<11}  {self.case.name}{law}{reason}"


@dataclass(frozen=True)
class Report:
    """The outcomes of all cases, in the order in which they ran.

    `capabilities` lists those that the cases needed and the store has, `missing` the others with the reason.
    `str(report)` lists unsupported cases by reason, then the cases that diverge or failed, then the counts.

    >>> import asyncio
    >>> from sessiondex import ScanSessionStore
    >>> from sessiondex.testing import CASES, check_session_store
    >>> report = asyncio.run(check_session_store(ScanSessionStore, cases=CASES[:4]))
    >>> report.ok, report.failures
    (True, ())
    >>> print(report)
    4 cases: 4 passed, 0 failed, 0 diverge, 0 unsupported
    capabilities: clock
    """

    outcomes: tuple[Outcome, ...]
    capabilities: tuple[str, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """True if at least one case passed and none failed, except for known divergences."""
        return not self.failures and any(outcome.verdict is Verdict.PASSED for outcome in self.outcomes)

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """The cases that failed."""
        return tuple(outcome for outcome in self.outcomes if outcome.verdict is Verdict.FAILED)

    @property
    def unsupported(self) -> tuple[Outcome, ...]:
        """The cases that could not be run, because the store lacks a capability or an operation."""
        return tuple(outcome for outcome in self.outcomes if outcome.verdict is Verdict.UNSUPPORTED)

    def __str__(self) -> str:
        """Return a line for each case that did not pass, the counts, and the capabilities."""
        # Failures come last: in a terminal the end is what one sees first.
        lines = _group_by_reason(self.unsupported)
        lines += [str(outcome) for outcome in self.outcomes if outcome.verdict is Verdict.DIVERGES]
        lines += map(str, self.failures)
        counts = Counter(outcome.verdict for outcome in self.outcomes)
        lines.append(
            f"{len(self.outcomes)} cases: {counts[Verdict.PASSED]} passed, {counts[Verdict.FAILED]} failed, "
            f"{counts[Verdict.DIVERGES]} diverge, {counts[Verdict.UNSUPPORTED]} unsupported"
        )
        if self.capabilities or self.missing:
            lines.append(f"capabilities: {', '.join(self.capabilities) or 'none'}")
            lines += [f"  without {name}: {reason}" for name, reason in self.missing.items()]
        return "\n".join(lines)


def _group_by_reason(unsupported: tuple[Outcome, ...]) -> list[str]:
    """Return a line for each reason why cases are unsupported."""
    names: dict[str, list[str]] = {}
    for outcome in unsupported:
        names.setdefault(" ".join(outcome.reason.split()), []).append(outcome.case.name)
    return [f"{Verdict.UNSUPPORTED:<11}  {', '.join(cases)}: {reason}" for reason, cases in names.items()]
