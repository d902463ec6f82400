"""The indexes of the session store: which fields each looks at, and that different sessions get different keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sessiondex import Channel, Session, SessionStatus, schema
from sessiondex.clock import to_microseconds
from sessiondex.indexed import indexed_fields
from sessiondex.queries import (
    AgentQuery,
    ChannelQuery,
    CustomerQuery,
    FieldQuery,
    ListQuery,
    ScenarioQuery,
    StepQuery,
    TenantQuery,
    field_query,
)
from sessiondex.stores import table_indexes
from tests.support.builders import AGENT, CUSTOMER, SCENARIO, START, TENANT, IndexedSession, at_step, visit

OTHER: dict[str, Any] = {
    "tenant_id": UUID(int=99),
    "agent_id": UUID(int=99),
    "channel": Channel.VOICE,
    "user_channel_id": "other",
    "customer_profile_id": UUID(int=99),
    "status": SessionStatus.CLOSED,
    "active_scenario_id": UUID(int=99),
    "active_scenario_version": 99,
    "created_at": START + timedelta(microseconds=1),
    "step_history": [visit("other", "pay")],
}
OTHER_STEPS = [visit("other", "pay"), visit("hash-1", "other"), visit(None, "pay")]

ids = st.sampled_from([UUID(int=0), UUID(int=2**128 - 1), UUID(int=1), UUID(bytes=b":" * 16)])
texts = st.text(st.sampled_from("a:\u00e91"), min_size=1, max_size=3)
versions = st.sampled_from([0, 1, 10, 16, 2**63 - 1, -1, 10**5000])


def stored_session() -> Session:
    session: Session = at_step(
        "hash-1", "pay", customer_profile_id=CUSTOMER, cls=IndexedSession, email="Ann@x", order_ids=["1", "2", "1"]
    )
    return session


def keys_of(session: Session) -> dict[str, Any]:
    """Return the index keys of the session, by the name of the index."""
    names = [index.name for index in schema.INDEXES]
    return dict(zip(names, schema.index_keys(vars(session), indexed_fields(type(session))), strict=True))


def test_the_indexes_are_named() -> None:
    assert [index.name for index in schema.EVICTION_INDEXES] == [
        "channel identity",
        "agent and status",
        "customer",
        "tenant and status",
        "step",
        "own fields",
        "activity",
    ]
    assert len({index.code for index in schema.EVICTION_INDEXES}) == len(schema.EVICTION_INDEXES)


def test_an_indexed_store_has_a_storage_for_each_index() -> None:
    found = {declared: (index.name, index.fields) for declared, index in table_indexes.INDEXES.items()}

    assert found == {declared: (declared.name, declared.fields) for declared in schema.EVICTION_INDEXES}
    assert schema.INDEXES[table_indexes.TENANT_POSITION] is schema.TENANT


@pytest.mark.parametrize("field", [name for name in Session.model_fields if name not in OTHER])
def test_a_field_that_no_index_declares(field: str) -> None:
    assert not [index.name for index in schema.EVICTION_INDEXES if field in index.fields]


@pytest.mark.parametrize("field", OTHER)
def test_a_change_of_a_field_changes_the_keys_of_the_indexes_that_declare_it(field: str) -> None:
    session = stored_session()
    before, after = keys_of(session), keys_of(session.model_copy(update={field: OTHER[field]}))
    changed = {name for name in before if before[name] != after[name]}

    assert changed == {index.name for index in schema.INDEXES if field in index.fields}


@pytest.mark.parametrize("step", OTHER_STEPS)
def test_the_last_step_decides(step: Any) -> None:
    session = stored_session()
    before = keys_of(session)["step"]
    history = session.step_history

    assert keys_of(session.model_copy(update={"step_history": [step, *history]}))["step"] == before
    assert keys_of(session.model_copy(update={"step_history": [*history, step]}))["step"] != before


@pytest.mark.parametrize(
    "changes",
    [
        {"status": SessionStatus.IDLE},
        {"step_history": []},
        {"active_scenario_id": None},
        {"active_scenario_version": None},
        {"step_history": [visit(None)]},
    ],
    ids=["idle", "no history", "no scenario", "no version", "no hash"],
)
def test_a_session_that_stands_at_no_step_has_no_key_there(changes: dict[str, Any]) -> None:
    assert keys_of(stored_session().model_copy(update=changes))["step"] is None


def test_a_session_without_a_customer_has_no_key_there() -> None:
    assert keys_of(stored_session().model_copy(update={"customer_profile_id": None}))["customer"] is None


def test_a_session_has_a_key_for_each_item_of_its_indexed_fields() -> None:
    """Each once, after `normalize`, and none of a field that is not indexed or has no item."""
    tenant, (email, orders) = TENANT.bytes, indexed_fields(IndexedSession)
    session = stored_session()

    items = [email.key_of("ann@x"), orders.key_of("1"), orders.key_of("2")]
    assert keys_of(session)["own fields"] == tuple(tenant + item for item in items)
    assert keys_of(session.model_copy(update={"email": None}))["own fields"] == tuple(
        tenant + item for item in items[1:]
    )
    assert keys_of(session.model_copy(update={"email": None, "order_ids": []}))["own fields"] is None
    assert keys_of(at_step())["own fields"] is None


def test_a_store_that_evicts_files_all_sessions_under_one_key() -> None:
    values, indexed = vars(stored_session()), indexed_fields(IndexedSession)

    assert schema.eviction_index_keys(values, indexed) == (*schema.index_keys(values, indexed), schema.ALL_SESSIONS)


# -- queries --


def queries_for(session: Session) -> list[ListQuery]:
    """Return all queries that find the session."""
    status = session.status
    email, orders = indexed_fields(IndexedSession)
    identity = ChannelQuery(TENANT, session.channel, session.user_channel_id)
    open_ones = [] if status == SessionStatus.CLOSED else [identity._replace(is_open=True)]
    return [
        *(identity, *open_ones),
        *(AgentQuery(TENANT, AGENT, status), AgentQuery(TENANT, AGENT)),
        *(CustomerQuery(TENANT, CUSTOMER, status), CustomerQuery(TENANT, CUSTOMER)),
        *(TenantQuery(TENANT, status), TenantQuery(TENANT)),
        *(field_query(TENANT, email, "ann@x"), field_query(TENANT, orders, "1"), field_query(TENANT, orders, "2")),
    ]


@pytest.mark.parametrize("status", SessionStatus)
def test_queries_look_under_the_keys_of_the_session(status: SessionStatus) -> None:
    session = stored_session().model_copy(update={"status": status})
    keys = keys_of(session)
    for query in queries_for(session):
        declaration, query_keys, also = schema.lookup(query)
        filed_under = keys[declaration.name]

        assert set(query_keys) & set(filed_under if isinstance(filed_under, tuple) else [filed_under])
        assert also in {None, keys["tenant and status"]}


def test_a_closed_session_is_not_looked_for_among_the_open_ones() -> None:
    session = stored_session().model_copy(update={"status": SessionStatus.CLOSED})
    query = ChannelQuery(TENANT, session.channel, session.user_channel_id, is_open=True)

    assert keys_of(session)["channel identity"] not in schema.lookup(query).keys


def test_only_a_query_by_customer_and_status_needs_a_second_index() -> None:
    queries = queries_for(stored_session())

    assert [query for query in queries if schema.lookup(query).also is not None] == [
        CustomerQuery(TENANT, CUSTOMER, SessionStatus.ACTIVE)
    ]


def test_a_step_query_looks_under_the_key_of_the_session() -> None:
    content_key, channel, node, created_at = keys_of(stored_session())["step"]

    assert content_key == schema.step_key(StepQuery(TENANT, SCENARIO, 1, "hash-1", None))
    assert content_key.startswith(schema.version_key(ScenarioQuery(TENANT, SCENARIO, 1)))
    assert (channel, node, created_at) == ("webchat", "pay", to_microseconds(START))


steps = st.builds(StepQuery, ids, ids, versions, texts, st.none())


@given(steps, steps)
@example(StepQuery(UUID(int=0), UUID(int=0), 0x1, "1a", None), StepQuery(UUID(int=0), UUID(int=0), 0x11, "a", None))
def test_no_two_steps_have_one_key(one: StepQuery, other: StepQuery) -> None:
    assert (schema.step_key(one) == schema.step_key(other)) == (one == other)


agents = st.builds(AgentQuery, ids, ids, st.sampled_from(SessionStatus))


@given(agents, agents)
def test_no_two_agents_or_states_share_a_key(one: AgentQuery, other: AgentQuery) -> None:
    keys = [set(schema.lookup(query).keys) for query in (one, other)]

    assert bool(keys[0] & keys[1]) == (one == other)


@given(agents, agents)
def test_all_states_of_an_agent_share_keys_with_no_other_agent(one: AgentQuery, other: AgentQuery) -> None:
    keys = [set(schema.lookup(query._replace(status=None)).keys) for query in (one, other)]

    assert [len(found) for found in keys] == [len(SessionStatus)] * 2
    assert bool(keys[0] & keys[1]) == (one[:2] == other[:2])


tenants = st.builds(TenantQuery, ids, st.sampled_from(SessionStatus))


@given(tenants, tenants)
def test_no_two_tenants_or_states_share_a_key(one: TenantQuery, other: TenantQuery) -> None:
    keys = [set(schema.lookup(query).keys) for query in (one, other)]

    assert bool(keys[0] & keys[1]) == (one == other)


items = st.builds(field_query, ids, st.sampled_from(indexed_fields(IndexedSession)), texts)


@given(items, items)
def test_no_two_items_of_fields_share_a_key(one: FieldQuery, other: FieldQuery) -> None:
    assert (schema.lookup(one).keys == schema.lookup(other).keys) == (one == other)


channels = st.sampled_from(Channel) | st.sampled_from(["a", "a:", "closed a", "\u00e9", "\1a"])
identities = st.builds(ChannelQuery, ids, channels, texts, st.booleans())


@given(identities, identities)
def test_no_two_channel_identities_have_one_key(one: ChannelQuery, other: ChannelQuery) -> None:
    """Open and closed sessions are filed apart."""
    keys = []
    for query in (one, other):
        status = SessionStatus.ACTIVE if query.is_open else SessionStatus.CLOSED
        fields = {"tenant_id": query.tenant_id, "channel": query.channel, "user_channel_id": query.user_channel_id}
        keys.append(keys_of(stored_session().model_copy(update={**fields, "status": status}))["channel identity"])

    assert (keys[0] == keys[1]) == (one == other)


def test_a_channel_cannot_look_like_a_closed_one() -> None:
    """Its name may begin like the key of a closed session does."""
    for length in range(1, 65):
        name = ("\3sms" + "x" * 64)[:length]
        rest = name[4:]
        open_key = keys_of(stored_session().model_copy(update={"channel": name, "user_channel_id": "u"}))
        closed = {"channel": Channel.SMS, "user_channel_id": f"{rest}u", "status": SessionStatus.CLOSED}
        closed_key = keys_of(stored_session().model_copy(update=closed))

        assert open_key["channel identity"] != closed_key["channel identity"]
