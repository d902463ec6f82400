"""Law 2: newest first. Law 11: limits. Also the selection of each query."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from sessiondex.models import Channel, SessionStatus
from sessiondex.testing.case import Case, case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.cases.all_queries import LISTS, Query
from sessiondex.testing.expectations import expect


def _order_case(name: str, query: Query) -> Case:
    async def run(context: CaseContext) -> None:
        store, sessions = await context.store(), [context.at_step() for _ in range(40)]
        for session in (*sessions, sessions[3], sessions[0], sessions[20], sessions[3]):
            await store.save(session)
        again = [sessions[3], sessions[20], sessions[0]]
        expected = again + [session for session in reversed(sessions) if session not in again]
        expect(await query(store, sessions[0]), expected, f"{name}, after some were saved again")

    case_name = f"{name.replace(' ', '-').replace('_', '-')}-is-newest-first"
    promise = "The list is ordered by last activity: a session that is saved again comes first."
    return case(2, name=case_name, promise=promise)(run)


NEWEST_FIRST = tuple(_order_case(name, query) for name, query in LISTS.items())


@case(2)
async def get_by_channel_returns_the_most_recent_session(context: CaseContext) -> None:
    """It returns the session of the identity that was saved last, of any status."""
    store, identity = await context.store(), (context.tenant_id, Channel.WEBCHAT, "user-1")
    first, second = context.session(), context.session(status=SessionStatus.CLOSED)
    await store.save(first)
    await store.save(second)
    expect(await store.get_by_channel(*identity), second, "get_by_channel, the last one closed")
    await store.save(first)
    expect(await store.get_by_channel(*identity), first, "get_by_channel, after the first was saved again")


@case(2)
async def deleting_the_newest_session_of_an_identity_reveals_the_one_before(context: CaseContext) -> None:
    """`get_by_channel` then returns the one before it, and `None` after the last."""
    store, identity = await context.store(), (context.tenant_id, Channel.WEBCHAT, "user-1")
    sessions = [context.session() for _ in range(3)]
    for session in sessions:
        await store.save(session)
    for session in reversed(sessions):
        expect(await store.get_by_channel(*identity), session, "get_by_channel")
        await store.delete(session.session_id)
    expect(await store.get_by_channel(*identity), None, "get_by_channel, when all were deleted")


@case(2)
async def identities_are_compared_byte_for_byte(context: CaseContext) -> None:
    """User ids that differ in case, spaces or Unicode form are different identities, and so are channels."""
    store, names = await context.store(), ["user", "User", "user ", "\u00e9", "e\u0301", "a:b", "a", "a}b"]
    for name in names:
        await store.save(context.session(user_channel_id=name))
    await store.save(context.session(user_channel_id="user", channel=Channel.SMS))
    for name in names:
        found: Any = await store.get_by_channel(context.tenant_id, Channel.WEBCHAT, name)
        expect(None if found is None else found.user_channel_id, name, "user_channel_id of what get_by_channel found")
        expect(found.channel, Channel.WEBCHAT, "channel of what get_by_channel found")
    missing = await store.get_by_channel(context.tenant_id, Channel.WEBCHAT, "USER")
    expect(missing, None, "get_by_channel of a name in another case")


@case(2)
async def a_list_of_a_status_has_that_status_alone(context: CaseContext) -> None:
    """`list_by_agent` with a status returns only sessions of that status; without one it returns all."""
    store, sessions = await context.store(), [context.session(status=status) for status in SessionStatus]
    for session in sessions:
        await store.save(session)
    for session in sessions:
        found = await store.list_by_agent(context.tenant_id, context.agent_id, status=session.status)
        expect(found, [session], f"list_by_agent of status {session.status}")
    every = await store.list_by_agent(context.tenant_id, context.agent_id)
    expect(every, sessions[::-1], "list_by_agent, of any status")


@case(2)
async def each_agent_and_each_customer_has_a_list_of_its_own(context: CaseContext) -> None:
    """A list has only sessions of its agent or customer; a session without a customer is in no customer's list."""
    store = await context.store()
    mine = context.session(customer_profile_id=context.customer_id)
    other = context.session(agent_id=context.other_agent_id, customer_profile_id=context.other_customer_id)
    for session in (mine, other, context.session(agent_id=context.other_agent_id)):
        await store.save(session)
    expect(await store.list_by_agent(context.tenant_id, context.agent_id), [mine], "list_by_agent")
    expect(await store.list_by_customer(context.tenant_id, context.customer_id), [mine], "list_by_customer")
    expect(await store.list_by_agent(context.tenant_id, uuid4()), [], "list_by_agent of an agent that has none")
    expect(await store.list_by_customer(context.tenant_id, uuid4()), [], "list_by_customer of one that has none")


@case(11)
async def limits_cut_the_oldest(context: CaseContext) -> None:
    """A list has at most `limit` sessions, the newest."""
    store, sessions = (
        await context.store(),
        [context.session(customer_profile_id=context.customer_id) for _ in range(12)],
    )
    for session in sessions:
        await store.save(session)
    for limit in (1, 5, 12, 99):
        expected = sessions[::-1][:limit]
        by_agent = await store.list_by_agent(context.tenant_id, context.agent_id, limit=limit)
        expect(by_agent, expected, f"list_by_agent, limit {limit}")
        by_customer = await store.list_by_customer(context.tenant_id, context.customer_id, limit=limit)
        expect(by_customer, expected, f"list_by_customer, limit {limit}")


@case(11)
async def a_limit_of_0_gives_an_empty_list(context: CaseContext) -> None:
    """A limit of 0 is valid and gives an empty list."""
    store, tenant_id = await context.store(), context.tenant_id
    await store.save(context.session(customer_profile_id=context.customer_id))
    expect(await store.list_by_agent(tenant_id, context.agent_id, limit=0), [], "list_by_agent, limit 0")
    by_status = await store.list_by_agent(tenant_id, context.agent_id, status=SessionStatus.ACTIVE, limit=0)
    expect(by_status, [], "list_by_agent of a status, limit 0")
    expect(await store.list_by_customer(tenant_id, context.customer_id, limit=0), [], "list_by_customer, limit 0")


@case(11)
async def the_default_limit_is_100(context: CaseContext) -> None:
    """Without `limit`, a list has the 100 newest sessions."""
    store, sessions = (
        await context.store(),
        [context.session(customer_profile_id=context.customer_id) for _ in range(101)],
    )
    for session in sessions:
        await store.save(session)
    expect(await store.list_by_agent(context.tenant_id, context.agent_id), sessions[:0:-1], "list_by_agent, of 101")
    expect(
        await store.list_by_customer(context.tenant_id, context.customer_id),
        sessions[:0:-1],
        "list_by_customer, of 101",
    )
