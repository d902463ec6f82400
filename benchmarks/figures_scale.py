"""The headline figures of scale: what a million sessions may cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from benchmarks.alone import NONE_HOT, Footprint
from benchmarks.contestants import INDEXED
from benchmarks.figure import Figure
from benchmarks.operations import GET
from benchmarks.paired import UNPACK
from benchmarks.scale import Scale
from benchmarks.sessions import UNIFORM
from benchmarks.traffic import SAVES

_AT = 1_000_000
_FROM = 1_000  # sessions: of fewer, lists are shorter, and growth is not only that of the store
_PACKED_AT = 100_000


def scale_figures(scale: Scale) -> Iterator[Figure]:
    """Give the figures of scale; those of sizes that were not run have no value."""
    at = f"at {_AT:,}"
    ours = scale.footprint(INDEXED, _AT)
    weight, collection, gap = (
        (None, None, None) if ours is None else (ours.bytes_per_session, ours.collection, ours.loading.longest)
    )
    yield Figure(f"memory a session, {at}", weight, "B", 3_000, at_most=True)
    yield Figure(f"forced full collection, {at}", collection, "ms", 75, at_most=True)
    yield Figure(f"longest loop gap while loading {_AT:,}", gap, "ms", 50, at_most=True)
    yield from _under_traffic(ours, at)
    for name, settings in ((INDEXED, "default settings"), (NONE_HOT, "none hot")):
        grown = scale.worst_growth(name) if scale.cells.sizes[0] >= _FROM else None
        yield Figure(f"growth of a query ÷ growth of a dict read, {settings}", grown, "x", 1.5, at_most=True)
    yield Figure(
        f"packed get ÷ model_validate_json() and model_copy(), at {_PACKED_AT:,}",
        _packed_read(scale),
        "x",
        1.5,
        at_most=True,
    )


def _under_traffic(ours: Footprint | None, at: str) -> Iterator[Figure]:
    traffic = ours.traffic if ours else []
    rate = f"at {SAVES:,} saves/s, {at}"
    done = min((each.saves_done for each in traffic), default=None)
    yield Figure(f"saves a second, {at}", done, "", SAVES * 0.99, at_most=False)
    p999, longest = _most(each.gaps.p999 for each in traffic), _most(each.gaps.longest for each in traffic)
    yield Figure(f"loop gap p99.9 {rate}", p999, "ms", 10, at_most=True)
    yield Figure(f"longest loop gap {rate}", longest, "ms", 50, at_most=True)


def _packed_read(scale: Scale) -> float | None:
    packed, unpack = (scale.cells.median(_PACKED_AT, GET, UNIFORM, name) for name in (NONE_HOT, UNPACK))
    return None if packed is None or unpack is None else packed / unpack


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
