"""Hold a table as text, and format figures with the digits that count."""

from dataclasses import dataclass, field

from benchmarks.measure.timing import Summary

_TIE = 1.05  # a smaller ratio of two medians prints as 1.0, and differs as much from run to run


@dataclass(frozen=True)
class Table:
    """A table of text cells; the first column is text, the others are figures unless `is_prose`.

    `marks` are the cells, by row and column, where another store is faster than the indexed one. Narrow terminals leave
    the `optional` columns out, from the first one on.
    """

    part: str
    title: str
    head: list[str]
    rows: list[list[str]]
    note: str = ""
    marks: set[tuple[int, int]] = field(default_factory=set)
    optional: tuple[int, ...] = ()
    is_prose: bool = False


def duration(microseconds: float | None) -> str:
    """Format microseconds with three digits that count.

    >>> duration(1.234), duration(45.67), duration(12345.6), duration(None)
    ('1.23', '45.7', '12,300', '-')
    """
    if microseconds is None:
        return "-"
    decimals = 2 if microseconds < 10 else 1 if microseconds < 100 else 0
    return f"{float(f'{microseconds:.3g}'):,.{decimals}f}"


def factor(value: float | None) -> str:
    """Format a factor or milliseconds with two digits that count.

    >>> factor(0.123), factor(2.5), factor(31.4), factor(12345.0), factor(None)
    ('0.12', '2.5', '31', '12,000', '-')
    """
    if value is None:
        return "-"
    decimals = 2 if value < 1 else 1 if value < 10 else 0
    return f"{float(f'{value:.2g}'):,.{decimals}f}"


def whole(value: float | None) -> str:
    """Format a whole number.

    >>> whole(12345.6), whole(None)
    ('12,346', '-')
    """
    return "-" if value is None else f"{value:,.0f}"


def medians(*summaries: Summary | None) -> str:
    """Format the medians of several summaries."""
    return " / ".join(duration(summary.median if summary else None) for summary in summaries)


def median_and_p99(summary: Summary | None) -> str:
    """Format the median and the 99th percentile."""
    return f"{duration(summary.median)} / {duration(summary.p99)}" if summary else "-"


def is_index_faster(ratio: float | None) -> bool:
    """Return whether the index is faster, given the other's time over its own; a tie of two digits is not faster."""
    return ratio is not None and ratio >= _TIE


def is_scan_faster(ratio: float | None) -> bool:
    """Return whether the scan, or a peer, is faster than the index; a tie of two digits is not faster."""
    return ratio is not None and 1 / ratio >= _TIE


def verdict(ratio: float | None) -> str:
    """Name the faster one, given the time of the scan over that of the indexed store.

    >>> verdict(20.0), verdict(0.25), verdict(1.04)
    ('index 20x', 'scan 4.0x', 'equal')
    """
    if ratio is None:
        return "-"
    if is_index_faster(ratio):
        return f"index {factor(ratio)}x"
    return f"scan {factor(1 / ratio)}x" if is_scan_faster(ratio) else "equal"
