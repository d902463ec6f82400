"""Where sessions are filed: entries that nobody can take for others, and records that are told apart."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sessiondex import Channel, Session, SessionStatus, schema
from sessiondex.testing import strategies as some
from tests.support.builders import START, TENANT, at_step, make_session, visit

ids = st.sampled_from([bytes(16), b"\xff" * 16, b"\0" * 15 + b"\1", b":" * 16])


@given(some.sessions(UUID(int=1)), st.sampled_from(sorted(some.changes)), st.data())
def test_same_records_are_told_without_making_them(session: Session, field: str, data: st.DataObject) -> None:
    """Whatever is changed: exactly when the records are equal."""
    other = session.model_copy(deep=True)
    assert schema.has_same_record(session, other)
    setattr(other, field, data.draw(some.changes[field]))

    assert schema.has_same_record(session, other) == (schema.record_of(session) == schema.record_of(other))


OTHER: dict[str, Any] = {
    "tenant_id": UUID(int=99),
    "agent_id": UUID(int=99),
    "channel": Channel.VOICE,
    "user_channel_id": "other",
    "customer_profile_id": UUID(int=99),
    "status": SessionStatus.IDLE,
    "active_scenario_id": UUID(int=99),
    "active_scenario_version": 99,
    "created_at": START.replace(microsecond=1),
    "step_history": [visit("other", "pay")],
}


@pytest.mark.parametrize("field", OTHER)
def test_a_change_of_what_an_index_looks_at_is_another_record(field: str) -> None:
    session = at_step()
    other = session.model_copy(update={field: OTHER[field]})

    assert not schema.has_same_record(session, other)
    assert schema.record_of(session) != schema.record_of(other)


@pytest.mark.parametrize("last", [visit("other", "pay"), visit("hash-1", "other"), visit(None, "pay")])
def test_another_last_step_is_another_record_and_another_first_is_not(last: Any) -> None:
    session = at_step(step_history=[visit("hash-1", "pay")])
    assert not schema.has_same_record(session, at_step_like(session, [*session.step_history, last]))
    assert not schema.has_same_record(session, at_step_like(session, []))
    assert schema.has_same_record(session, at_step_like(session, [last, *session.step_history]))


def at_step_like(session: Session, history: list[Any]) -> Session:
    return session.model_copy(update={"step_history": history})


def test_every_index_looks_at_fields_of_the_record() -> None:
    assert len(schema.record_of(make_session())) == len(schema.FIELDS) == len(set(schema.FIELDS))
    for index in schema.INDEXES:
        assert set(index.fields) <= set(schema.FIELDS)
        assert len(index.fields) >= 2
    assert len({index.name for index in schema.INDEXES}) == len(schema.INDEXES)


texts = st.text(st.sampled_from("a:\0\u00e91"), min_size=1, max_size=3)
identities = st.tuples(ids, st.sampled_from(Channel), texts, st.booleans())


@given(identities, identities)
def test_no_two_channel_identities_have_one_entry(one: Any, other: Any) -> None:
    entries = [schema.channel_entry(*identity, is_open=is_open) for *identity, is_open in (one, other)]
    assert (entries[0] == entries[1]) == (one == other)


steps = st.tuples(ids, ids, st.sampled_from([0, 1, 10, 16, 2**63 - 1, 10**5000]), texts)


@given(steps, steps)
@example((bytes(16), bytes(16), 0x1, "1a"), (bytes(16), bytes(16), 0x11, "a"))
def test_no_two_steps_have_one_key(one: Any, other: Any) -> None:
    assert (schema.step_key(*one) == schema.step_key(*other)) == (one == other)


places = st.tuples(ids, ids, st.sampled_from(SessionStatus))


@given(places, places)
def test_no_two_agents_have_one_entry(one: Any, other: Any) -> None:
    assert (schema.agent_entry(*one[:2]) == schema.agent_entry(*other[:2])) == (one[:2] == other[:2])
    assert (schema.customer_entry(*one[:2]) == schema.customer_entry(*other[:2])) == (one[:2] == other[:2])
    assert (schema.agent_entry(*one) == schema.agent_entry(*other)) == (one == other)


def test_an_owner_is_told_by_all_of_its_id() -> None:
    session = make_session()
    record = dict(zip(schema.FIELDS, schema.record_of(session), strict=True))
    entries = tuple(index.entry(*[record[name] for name in index.fields]) for index in schema.INDEXES)

    assert schema.belongs_to(entries, TENANT.bytes)
    for bit in (0, 64, 127):
        assert not schema.belongs_to(entries, UUID(int=TENANT.int ^ 1 << bit).bytes)
