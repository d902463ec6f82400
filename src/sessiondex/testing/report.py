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
    those that it has. `str` of a report is one line for each case that did not pass, and the counts.

    >>> import asyncio
    >>> from sessiondex import ScanSessionStore
    >>> from sessiondex.testing import CASES, check_session_store
    >>> report = asyncio.run(check_session_store(ScanSessionStore, cases=CASES[:3]))
    >>> report.ok, report.failures
    (True, ())
    >>> print(report)
    3 cases: 3 passed, 0 failed, 0 diverge, 0 unsupported
    capabilities: clock
    """

    outcomes: tuple[Outcome, ...]
    capabilities: tuple[str, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether no case failed, but for the known divergences."""
        return not self.failures

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
        lines = [str(outcome) for outcome in self.outcomes if outcome.verdict is not Verdict.PASSED]
        counts = Counter(outcome.verdict for outcome in self.outcomes)
        lines.append(
            f"{len(self.outcomes)} cases: {counts[Verdict.PASSED]} passed, {counts[Verdict.FAILED]} failed, "
            f"{counts[Verdict.DIVERGES]} diverge, {counts[Verdict.UNSUPPORTED]} unsupported"
        )
        if self.capabilities or self.missing:
            lines.append(f"capabilities: {', '.join(self.capabilities) or 'none'}")
            lines += [f"  without {name}: {reason}" for name, reason in self.missing.items()]
        return "\n".join(lines)
