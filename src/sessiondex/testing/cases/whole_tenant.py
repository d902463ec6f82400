"""Lists of a whole tenant, of a channel identity, and of a customer's sessions of one status."""

from __future__ import annotations

from sessiondex.models import Channel, SessionStatus
from sessiondex.testing.case import case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.cases.pages import take
from sessiondex.testing.expectations import expect


@case(2)
async def a_tenants_list_has_all_of_its_sessions(context: CaseContext) -> None:
    """It has the sessions of every agent, customer, channel and status, or of one status alone."""
    store = await context.store()
    sessions = [
        context.session(),
        context.session(agent_id=context.other_agent_id, status=SessionStatus.CLOSED),
        context.session(customer_profile_id=context.customer_id, status=SessionStatus.IDLE),
        context.session(channel=Channel.SMS, user_channel_id="else"),
        context.at_step(status=SessionStatus.PROCESSING),
        context.session(agent_id=context.other_agent_id, status=SessionStatus.CLOSED),
    ]
    for session in sessions:
        await store.save(session)
        await store.save(context.session(tenant_id=context.other_tenant_id, status=session.status))
    tenant = context.tenant_id
    for status in (None, *SessionStatus):
        expected = [session for session in reversed(sessions) if status in {None, session.status}]
        what = f"of status {status}" if status else "of any status"
        expect(await store.list_by_tenant(tenant, status=status), expected, f"list_by_tenant {what}")
        expect(await store.count_by_tenant(tenant, status=status), len(expected), f"count_by_tenant {what}")
        seen = [session async for session in take(20, store.iter_by_tenant(tenant, status=status, page_size=2))]
        expect(seen, expected, f"iter_by_tenant {what}")
    expect(await store.count_by_tenant(context.agent_id), 0, "count_by_tenant of a tenant that has none")


@case(2)
async def a_channels_list_has_sessions_of_any_status(context: CaseContext) -> None:
    """It has the open and the closed sessions of the identity, newest first, and those of no other."""
    store, identity = await context.store(), (context.tenant_id, Channel.WEBCHAT, "user-1")
    sessions = [context.session(status=status) for status in (*SessionStatus, *SessionStatus)]
    for session in sessions:
        await store.save(session)
        for other in ({"user_channel_id": "User-1"}, {"channel": Channel.SMS}, {"channel": "web"}):
            await store.save(context.session(status=session.status, **other))
    sessions[0].status = SessionStatus.CLOSED
    await store.save(sessions[0])
    expected = [sessions[0], *sessions[:0:-1]]
    expect(await store.list_by_channel(*identity), expected, "list_by_channel")
    expect(await store.list_by_channel(*identity, limit=3), expected[:3], "list_by_channel, limit 3")
    expect(await store.count_by_channel(*identity), len(expected), "count_by_channel")
    seen = [session async for session in take(20, store.iter_by_channel(*identity, page_size=3))]
    expect(seen, expected, "iter_by_channel")
    nobody = context.tenant_id, Channel.WEBCHAT, "USER-1"
    expect(await store.list_by_channel(*nobody), [], "list_by_channel of an identity that has none")
    expect(await store.count_by_channel(*nobody), 0, "count_by_channel of an identity that has none")


@case(2)
async def a_customers_list_of_a_status_has_that_status_alone(context: CaseContext) -> None:
    """Lists, iterators and counts of a status have the customer's sessions of that status, with any limit."""
    store, customer = await context.store(), (context.tenant_id, context.customer_id)
    statuses = [*SessionStatus] * 3
    sessions = [context.session(customer_profile_id=context.customer_id, status=status) for status in statuses]
    for session in sessions:
        await store.save(session)
        await store.save(context.session(customer_profile_id=context.other_customer_id, status=session.status))
    moved = sessions[0]
    moved.status = SessionStatus.CLOSED
    await store.save(moved)
    newest = [moved, *sessions[:0:-1]]
    for status in SessionStatus:
        expected = [session for session in newest if session.status is status]
        what = f"of status {status}"
        for limit in (1, 2, 20):
            found = await store.list_by_customer(*customer, status=status, limit=limit)
            expect(found, expected[:limit], f"list_by_customer {what}, limit {limit}")
        expect(await store.count_by_customer(*customer, status=status), len(expected), f"count_by_customer {what}")
        pages = store.iter_by_customer(*customer, status=status, page_size=1)
        expect([session async for session in take(20, pages)], expected, f"iter_by_customer {what}")
    expect(await store.count_by_customer(*customer), len(newest), "count_by_customer of any status")


@case(11)
async def limits_and_defaults_hold_for_tenants_and_channels(context: CaseContext) -> None:
    """Without `limit`, lists by tenant and channel have the 100 newest sessions; a limit of 0 gives none."""
    store, sessions = await context.store(), [context.session() for _ in range(101)]
    await store.save_many(sessions)
    newest = sessions[::-1]
    identity = context.tenant_id, "webchat", "user-1"
    expect(await store.list_by_tenant(context.tenant_id), newest[:100], "list_by_tenant, of 101")
    expect(await store.list_by_channel(*identity), newest[:100], "list_by_channel, of 101")
    for limit in (0, 1, 100, 101, 500):
        found = await store.list_by_tenant(context.tenant_id, limit=limit)
        expect(found, newest[:limit], f"list_by_tenant, limit {limit}")
        found = await store.list_by_channel(*identity, limit=limit)
        expect(found, newest[:limit], f"list_by_channel, limit {limit}")
