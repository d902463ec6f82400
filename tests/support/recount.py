"""Recount the sessions and keys of each index, one session at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sessiondex import IndexStats, Session, SessionStatus
from sessiondex.indexed import indexed_fields


def recount(sessions: Iterable[Session]) -> dict[str, IndexStats]:
    """Return the value that `stats().indexes` must have for these sessions."""
    keys: dict[str, list[Any]] = {
        "channel identity": [],
        "agent and status": [],
        "customer": [],
        "tenant and status": [],
        "step": [],
        "own fields": [],
    }
    for session in sessions:
        tenant, scenario, version = session.tenant_id, session.active_scenario_id, session.active_scenario_version
        is_open = session.status != SessionStatus.CLOSED  # open and closed sessions are indexed separately
        keys["channel identity"].append((tenant, session.channel, session.user_channel_id, is_open))
        keys["agent and status"].append((tenant, session.agent_id, session.status))
        keys["tenant and status"].append((tenant, session.status))
        if session.customer_profile_id is not None:
            keys["customer"].append((tenant, session.customer_profile_id))
        content_hash = session.step_history[-1].step_content_hash if session.step_history else None
        if session.status == SessionStatus.ACTIVE and None not in (scenario, version, content_hash):
            keys["step"].append((tenant, scenario, version, content_hash))
        for field in indexed_fields(type(session)):
            items = set(field.keys_of(getattr(session, field.name)))
            keys["own fields"] += [(tenant, key) for key in items]
    return {name: IndexStats(len(entries), len(set(entries))) for name, entries in keys.items()}
