"""repack: stores sessions that were loaded from a journal in the smaller form, in the background."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from uuid import UUID

from sessiondex.errors import StoreClosedError, WrongLoopError
from sessiondex.stores.backend import P

log: logging.Logger = logging.getLogger("sessiondex")

_SESSIONS_PER_TURN = 50


async def repack(
    plan: Callable[[UUID | None, int], tuple[Sequence[P], UUID | None]],
    rewrite: Callable[[Sequence[P]], None],
    enter: Callable[[], None],
) -> None:
    """Repack all sessions once, some in each turn of the loop, until the store is closed or moves to another loop.

    `plan` plans it for the sessions after one, and returns after which to go on; `rewrite` carries it out.
    """
    after: UUID | None = None
    try:
        while True:
            plans, after = plan(after, _SESSIONS_PER_TURN)
            if plans:
                rewrite(plans)
            if after is None:
                return
            await asyncio.sleep(0)
            enter()
    except (StoreClosedError, WrongLoopError):
        return
    except Exception:  # nothing is lost: sessions can be read in both forms
        log.exception("repacking the sessions of the journal failed; they stay as they are")
