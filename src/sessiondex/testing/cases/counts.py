"""Law 16: counts equal the lengths of the lists."""

from __future__ import annotations

from sessiondex.models import SessionStatus
from sessiondex.testing.builders import make_visit
from sessiondex.testing.case import case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.expectations import expect


@case(16)
async def count_by_agent_is_the_length_of_the_list(context: CaseContext) -> None:
    """`count_by_agent` equals the length of the full list, in total and by status, after saves, moves and deletes."""
    store, sessions = await context.store(), [context.session() for _ in range(110)]
    for session in sessions:
        await store.save(session)
    for session in sessions[:20]:
        session.status = SessionStatus.IDLE
        await store.save(session)
    for session in sessions[:5]:
        await store.delete(session.session_id)
    await store.save(context.session(tenant_id=context.other_tenant_id))
    identity = context.tenant_id, context.agent_id
    expect(await store.count_by_agent(*identity), 105, "count_by_agent")
    for status, count in ((SessionStatus.ACTIVE, 90), (SessionStatus.IDLE, 15), (SessionStatus.CLOSED, 0)):
        expect(await store.count_by_agent(*identity, status=status), count, f"count_by_agent of status {status}")
    nobody = await store.count_by_agent(context.tenant_id, context.other_agent_id)
    expect(nobody, 0, "count_by_agent of an agent that has none")


@case(16)
async def count_by_customer_is_the_length_of_the_list(context: CaseContext) -> None:
    """`count_by_customer` equals the length of the full list, after saves, moves and deletes, or 0 without sessions."""
    store, sessions = (
        await context.store(),
        [context.session(customer_profile_id=context.customer_id) for _ in range(9)],
    )
    for session in sessions:
        await store.save(session)
    sessions[0].customer_profile_id = context.other_customer_id
    sessions[1].customer_profile_id = None
    for session in sessions[:2]:
        await store.save(session)
    await store.delete(sessions[2].session_id)
    expect(await store.count_by_customer(context.tenant_id, context.customer_id), 6, "count_by_customer")
    expect(
        await store.count_by_customer(context.tenant_id, context.other_customer_id), 1, "count_by_customer of another"
    )
    other = await store.count_by_customer(context.other_tenant_id, context.customer_id)
    expect(other, 0, "count_by_customer of another tenant")


@case(16)
async def count_by_step_hash_is_the_length_of_the_list(context: CaseContext) -> None:
    """`count_by_step_hash` counts the active sessions that are at the step now."""
    store, sessions = await context.store(), [context.at_step() for _ in range(5)]
    for session in (*sessions, context.at_step(status=SessionStatus.IDLE)):
        await store.save(session)
    sessions[0].step_history.append(make_visit("hash-2"))
    await store.save(sessions[0])
    for key, count in (("hash-1", 4), ("hash-2", 1), ("hash-3", 0), ("earlier", 0)):
        found = await store.count_by_step_hash(context.tenant_id, context.scenario_id, 1, key)
        expect(found, count, f"count_by_step_hash of {key}")


@case(16)
async def count_steps_has_every_step_of_the_version(context: CaseContext) -> None:
    """`count_steps` has each hash at which an active session is, and no other."""
    store = await context.store()
    for content_hash, count in (("a", 3), ("b", 2), ("", 1), ("\u00e9:", 1)):
        for _ in range(count):
            await store.save(context.at_step(content_hash))
    for other in (
        context.at_step("a", active_scenario_version=2),
        context.at_step("a", active_scenario_id=context.other_scenario_id),
        context.at_step("a", tenant_id=context.other_tenant_id),
        context.at_step("a", status=SessionStatus.IDLE),
        context.at_step(None),
    ):
        await store.save(other)
    moving = context.at_step("left")
    await store.save(moving)
    moving.step_history.append(make_visit("b"))
    await store.save(moving)
    steps = {version: await store.count_steps(context.tenant_id, context.scenario_id, version) for version in (1, 2, 3)}
    expect(steps, {1: {"a": 3, "b": 3, "": 1, "\u00e9:": 1}, 2: {"a": 1}, 3: {}}, "count_steps, by version")


@case(3)
async def changing_a_result_of_count_steps_changes_no_other(context: CaseContext) -> None:
    """The result of `count_steps` belongs to the caller."""
    store = await context.store()
    await store.save(context.at_step("a"))
    (await store.count_steps(context.tenant_id, context.scenario_id, 1)).clear()
    again = await store.count_steps(context.tenant_id, context.scenario_id, 1)
    expect(again, {"a": 1}, "count_steps, after an earlier answer was cleared")
