"""What came of checking a store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sessiondex.testing.case import Case


class Verdict(StrEnum):
    """What came of a case."""

    PASSED = "passed"
    FAILED = "failed"
    DIVERGES = "diverges"
    """It failed, as was known and written down beforehand."""
    UNSUPPORTED = "unsupported"
    """The store does not have what the case is about."""


@dataclass(frozen=True)
class Outcome:
    """What came of one case. `reason` is empty if it passed; `error` is what was raised, if anything was."""

    case: Case
    verdict: Verdict
    reason: str = ""
    error: BaseException | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """Return one line."""
        law = f" (law {self.case.law})" if self.case.law else ""
        reason = f": {' '.join(self.reason.split())}" if self.reason else ""
        return f"{self.verdict:<11}  {self.case.name}{law}{reason}"


@dataclass(frozen=True)
class Report:
    """What came of all cases, in their order.

    `missing` has the capabilities that the store does not have, of those that the cases needed, and why; `capabilities`
    those that it has. `str` of a report has a line for each reason why cases are unsupported, and for each case that
    diverges or failed, and the counts.

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
        """Whether no case failed, but for the known divergences, and any passed."""
        return not self.failures and any(outcome.verdict is Verdict.PASSED for outcome in self.outcomes)

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """The cases that failed."""
        return tuple(outcome for outcome in self.outcomes if outcome.verdict is Verdict.FAILED)

    @property
    def unsupported(self) -> tuple[Outcome, ...]:
        """The cases that the store could not be held to."""
        return tuple(outcome for outcome in self.outcomes if outcome.verdict is Verdict.UNSUPPORTED)

    def __str__(self) -> str:
        """Return a line for each case that did not pass, the counts, and the capabilities."""
        # What failed comes last, where it is seen first.
        lines = _grouped(self.unsupported)
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


def _grouped(unsupported: tuple[Outcome, ...]) -> list[str]:
    """Return a line for each reason why cases are unsupported."""
    names: dict[str, list[str]] = {}
    for outcome in unsupported:
        names.setdefault(" ".join(outcome.reason.split()), []).append(outcome.case.name)
    return [f"{Verdict.UNSUPPORTED:<11}  {', '.join(cases)}: {reason}" for reason, cases in names.items()]
