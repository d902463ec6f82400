"""Figures in words: with as many digits as count, and tables of them."""

from __future__ import annotations

from typing import NamedTuple


class Shown(NamedTuple):
    """A table, of text."""

    title: str
    head: list[str]
    rows: list[list[str]]


def duration(microseconds: float | None) -> str:
    """Return a duration in µs, with three digits that count.

    >>> duration(1.234), duration(45.67), duration(12345.6), duration(None)
    ('1.23', '45.7', '12,346', '-')
    """
    if microseconds is None:
        return "-"
    decimals = 2 if microseconds < 10 else 1 if microseconds < 100 else 0
    return f"{microseconds:,.{decimals}f}"


def times(factor: float) -> str:
    """Return a factor, with two or three digits that count; all of them of a whole number.

    >>> times(0.123), times(2.5), times(31.4), times(12345), times(3)
    ('0.12', '2.5', '31', '12,345', '3')
    """
    if isinstance(factor, int):
        return f"{factor:,}"
    decimals = 2 if factor < 1 else 1 if factor < 10 else 0
    return f"{factor:,.{decimals}f}"
