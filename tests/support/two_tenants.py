"""Build two tenants whose sessions carry a mark in all fields, and find that mark in any result."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID

from sessiondex import PendingMigration, Session
from tests.support.builders import START, NotedSession, make_session, visit
from tests.support.error_text import full_text
from tests.support.fingerprints import fingerprint

SHARED_AGENT, SHARED_CUSTOMER, SHARED_SCENARIO = UUID(int=11), UUID(int=21), UUID(int=31)
"""Ids that mean something to both tenants. To each, only what is its own."""


class MarkedTenant(NamedTuple):
    """A tenant whose texts all contain a mark and whose ids all begin with a number."""

    mark: str
    prefix: int

    def id(self, number: int) -> UUID:
        return UUID(int=(self.prefix << 96) + number)

    @property
    def tenant(self) -> UUID:
        return self.id(1)

    @property
    def traces(self) -> tuple[str, ...]:
        """The traces of the tenant in any text: its mark, and its ids as text, hex, bytes and decimal."""
        some = self.id(0)
        raw = repr(some.bytes)[2:14]
        return self.mark, some.hex[:8], raw, str(some.int)[:26]

    @property
    def raw_traces(self) -> tuple[bytes, ...]:
        """The traces of the tenant in a fingerprint: the same without decimal ids."""
        some = self.id(0)
        return self.mark.encode(), some.hex[:8].encode(), some.bytes[:12]

    def session(self, number: int, cls: type[Session] = Session, **fields: Any) -> Any:
        """Return a session of the tenant with the mark in all its texts; every third has ids that tenants share."""
        is_shared, mark = number % 3 == 0, self.mark
        last = visit(
            "hash-shared" if is_shared else f"hash-{mark}",
            "node-shared" if is_shared else f"node-{mark}",
            step_id=self.id(7_000 + number),
            transition_reason=f"reason-{mark}",
            checkpoint_description=f"description-{mark}",
        )
        pending = PendingMigration(
            target_version=2, anchor_content_hash=f"anchor-{mark}", migration_plan_id=self.id(8), marked_at=START
        )
        return make_session(
            cls,
            **{
                "session_id": self.id(100 + number),
                "tenant_id": self.tenant,
                "agent_id": SHARED_AGENT if is_shared else self.id(2),
                "customer_profile_id": SHARED_CUSTOMER if is_shared else self.id(3),
                "user_channel_id": "user-shared" if is_shared else f"user-{mark}-{number}",
                "active_scenario_id": SHARED_SCENARIO if is_shared else self.id(4),
                "active_step_id": self.id(5),
                "active_scenario_version": 1,
                "step_history": [last],
                "rule_fires": {f"rule-{mark}": 1},
                "rule_last_fire_turn": {f"rule-{mark}": 1},
                "variables": {f"key-{mark}": {"deep": [f"value-{mark}", self.id(6).hex]}},
                "variable_updated_at": {f"key-{mark}": START},
                "scenario_checksum": f"checksum-{mark}",
                "pending_migration": pending,
                **({"note": "note-shared" if is_shared else f"note-{mark}"} if issubclass(cls, NotedSession) else {}),
                **fields,
            },
        )


A, B = MarkedTenant("zeisig", 0xA11CEA11), MarkedTenant("kanarie", 0xB0BACAFE)


def texts_of(answer: Any) -> Iterator[str]:
    """Yield all texts of a result, an error or a log record."""
    if isinstance(answer, BaseException):
        yield full_text(answer)
    elif isinstance(answer, list | tuple):
        for one in answer:
            yield from texts_of(one)
    elif isinstance(answer, Session):
        yield f"{answer!r}\n{answer.model_dump()!r}\n{vars(answer)!r}\n{answer.model_fields_set!r}"
    elif isinstance(answer, logging.LogRecord):
        yield f"{answer.getMessage()}\n{vars(answer)!r}"
    else:
        yield f"{answer!r}\n{answer!s}\n{getattr(answer, '__dict__', None)!r}"


def without(text: str, given: UUID | None) -> str:
    """Return the text without the id that the caller passed, which may be returned."""
    for form in () if given is None else (str(given), given.hex, repr(given.bytes)[2:-1], str(given.int)):
        text = text.replace(form, "")
    return text


def raw_trace_in(answer: Any, marked: MarkedTenant) -> bytes | None:
    """Return a trace of the tenant in the fingerprint of the result: ten times as fast as `trace_in`, less thorough."""
    found = fingerprint(answer)
    return next((trace for trace in marked.raw_traces if trace in found), None)


def trace_in(answer: Any, marked: MarkedTenant, given: UUID | None = None) -> str | None:
    """Return a trace of the tenant in the texts of the result, or `None`."""
    text = "\n".join(without(one, given) for one in texts_of(answer))
    return next((trace for trace in marked.traces if trace in text), None)
