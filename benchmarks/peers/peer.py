"""What a peer is: the methods of a session store, and what a table must say about whoever stands behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from benchmarks.clock import SteppedClock
from sessiondex import Channel, ScopeFilter, Session, SessionStatus

COPIES = "copies"
LIVE = "live references"
"""The objects that the peer holds. Whoever changes one has changed what is stored, before any save."""

_MICROSECOND = timedelta(microseconds=1)


class PeerStore(Protocol):
    """The part of the contract that is timed. Nobody checks arguments here."""

    async def get(self, session_id: UUID, *, tenant_id: UUID | None = None) -> Session | None:
        """Return the session with this id."""

    async def save(self, session: Session) -> UUID:
        """Stamp the session and store it."""

    async def delete(self, session_id: UUID, *, tenant_id: UUID | None = None) -> bool:
        """Forget the session; say whether there was one."""

    async def get_by_channel(self, tenant_id: UUID, channel: Channel, user_channel_id: str) -> Session | None:
        """Return the most recently active session of this channel identity."""

    async def list_by_agent(
        self, tenant_id: UUID, agent_id: UUID, *, status: SessionStatus | None = None, limit: int = 100
    ) -> list[Session]:
        """Return the agent's sessions, newest first."""

    async def list_by_customer(self, tenant_id: UUID, customer_profile_id: UUID, *, limit: int = 100) -> list[Session]:
        """Return the customer's sessions, newest first."""

    async def find_sessions_by_step_hash(
        self,
        tenant_id: UUID,
        scenario_id: UUID,
        scenario_version: int,
        step_content_hash: str,
        scope_filter: ScopeFilter | None = None,
    ) -> list[Session]:
        """Return the active sessions at this step, newest first."""


@dataclass(frozen=True)
class Peer:
    """A peer, as it is declared. `version` says `None` where the peer is not installed; `make` is then not called."""

    name: str
    version: Callable[[], str | None]
    hands_out: str
    make: Callable[[SteppedClock], PeerStore]
    remark: str = ""
    cannot: Mapping[str, str] = field(default_factory=dict)

    def described(self) -> Description:
        """Return what the table says about this peer."""
        return Description(self.name, self.version(), self.hands_out, self.remark, dict(self.cannot))


@dataclass(frozen=True)
class Description:
    """What a table says about a peer."""

    name: str
    version: str | None
    """`None` if it is not installed: then there are no cells of it."""
    hands_out: str
    """Copies, or live references."""
    remark: str
    """How it is used here, and what that costs, in one line."""
    cannot: dict[str, str]
    """The operations that it cannot do, each with the reason in one line: there are no cells of these."""


class Stamps:
    """Gives the instants of saves: the clock's, unless that stands still or goes back."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._last = datetime.min.replace(tzinfo=clock().tzinfo)

    def stamp(self, session: Session) -> datetime:
        """Set the session's last activity to an instant later than all before, and return it."""
        now = self._clock()
        self._last = now if now > self._last else self._last + _MICROSECOND
        session.__dict__["last_activity_at"] = self._last  # an assignment would be validated, and cost more
        return self._last
