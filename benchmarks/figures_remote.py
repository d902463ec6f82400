"""The headline figures of the store over a server: what its calls cost beside those of a bare client."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.figure import Figure
from benchmarks.remote.all import DEFAULT, Remote
from benchmarks.remote.rates import BARE, GET, SAVE


def remote_figures(remote: Remote) -> Iterator[Figure]:
    """Give the figures; they have no value if there were too few sessions on the server."""
    is_enough = remote.sessions >= DEFAULT.sessions
    for call in (GET, SAVE):
        rate = remote.rate(call) if is_enough else None
        share = None if rate is None or rate.of_bare is None else 100 * rate.of_bare
        name = f"{call} over loopback ÷ {BARE[call]} of the same bytes, {remote.tasks} tasks"
        yield Figure(name, share, "%", 60, at_most=False)
