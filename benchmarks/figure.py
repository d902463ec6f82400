"""A headline figure: a value and its bound."""

from __future__ import annotations

from dataclasses import dataclass

REACHED, MISSED, NOT_RUN = "reached", "missed", "not run"


@dataclass(frozen=True)
class Figure:
    """A figure of one run, and the bound that it is to keep. Keys are uniform unless it says otherwise."""

    name: str
    value: float | None
    unit: str
    bound: float
    at_most: bool

    @property
    def state(self) -> str:
        """Whether the bound was kept: reached, missed or not run."""
        if self.value is None:
            return NOT_RUN
        kept = self.value <= self.bound if self.at_most else self.value >= self.bound
        return REACHED if kept else MISSED

    @property
    def target(self) -> str:
        """The bound in words."""
        return f"{'at most' if self.at_most else 'at least'} {self.bound:,g} {self.unit}".rstrip()
