"""repack: stores sessions that were loaded from a journal in the smaller form, in the background."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from sessiondex.errors import StoreClosedError, WrongLoopError
from sessiondex.stores.backend import P

log: logging.Logger = logging.getLogger("sessiondex")

_SESSIONS_PER_TURN = 50


async def repack(
    keys: bytearray,
    plan: Callable[[Sequence[bytes]], Sequence[P]],
    rewrite: Callable[[Sequence[P]], None],
    enter: Callable[[], None],
) -> None:
    """Repack sessions, some in each turn of the loop, until the store is closed or moves to another loop.

    `keys` are their ids, one after another, in the order in which they were loaded: so neighbours in memory are
    replaced one after another, and the space they leave can be used for something else. Those that are done are
    removed. `plan` plans it, `rewrite` carries it out.
    """
    size = 16 * _SESSIONS_PER_TURN
    # From the end, where removing is cheap.
    try:
        while keys:
            enter()
            some = keys[-size:]
            plans = plan([bytes(some[place : place + 16]) for place in range(0, len(some), 16)])
            if plans:
                rewrite(plans)
            del keys[-size:]
            await asyncio.sleep(0)
    except (StoreClosedError, WrongLoopError):
        return
    except Exception:  # nothing is lost: sessions can be read in both forms
        log.exception("repacking the sessions of the journal failed; they stay as they are")
