"""Reading several sessions by id at once."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from sessiondex.testing.builders import every_field
from sessiondex.testing.case import case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.cases.all_queries import Marked
from sessiondex.testing.expectations import expect

_MANY = 1_100


@case(None)
async def get_many_answers_each_id_in_order(context: CaseContext) -> None:
    """The result has what `get` returns for each id, in the given order, also for an id that comes twice."""
    store = await context.store()
    first, second = context.session(**every_field()), context.session(Marked, mark="x")
    await store.save_many([first, second])
    missing, deleted = uuid4(), context.session()
    await store.save(deleted)
    await store.delete(deleted.session_id)
    ids = [second.session_id, missing, first.session_id, second.session_id, deleted.session_id, first.session_id]
    expected = [second, None, first, second, None, first]
    expect(await store.get_many(ids), expected, "get_many")
    expect(await store.get_many(iter(ids)), expected, "get_many of an iterator")
    expect(await store.get_many([]), [], "get_many of nothing")
    found = await store.get_many(ids)
    expect([type(one) for one in found[:1]], [Marked], "the class of what get_many returns")
    expect(found[0] is found[3], False, "whether get_many returns one object twice")


@case(7)
async def get_many_with_a_tenant_finds_that_tenant_alone(context: CaseContext) -> None:
    """A session of another tenant is `None`, as if it did not exist; without a tenant all are found."""
    store, mine = await context.store(), context.session()
    theirs = context.session(tenant_id=context.other_tenant_id)
    await store.save(mine)
    await store.save(theirs)
    ids = [theirs.session_id, mine.session_id, theirs.session_id]
    expect(await store.get_many(ids), [theirs, mine, theirs], "get_many of two tenants")
    expect(await store.get_many(ids, tenant_id=context.tenant_id), [None, mine, None], "get_many with a tenant's id")
    others = await store.get_many(ids, tenant_id=context.other_tenant_id)
    expect(others, [theirs, None, theirs], "get_many with the other tenant's id")
    nobody = await store.get_many(ids, tenant_id=context.agent_id)
    expect(nobody, [None, None, None], "get_many with the id of a tenant that has none")


@case(None)
async def get_many_takes_any_number_of_ids(context: CaseContext) -> None:
    """A thousand ids and more are answered, those of missing sessions among them."""
    store, sessions = await context.store(), [context.session(turn_count=number) for number in range(_MANY)]
    await store.load(sessions[::2])
    found = await store.get_many([session.session_id for session in sessions])
    expected = [session if number % 2 == 0 else None for number, session in enumerate(sessions)]
    expect(found, expected, f"get_many of {_MANY} ids")


@case(17, "clock", "idle_ttl")
async def get_many_sees_nothing_that_has_expired(context: CaseContext) -> None:
    """An expired session is `None`."""
    store = await context.store(clock=context.clock, idle_ttl=timedelta(hours=1))
    old, young = context.session(), context.session()
    await store.save(old)
    context.clock.move(minutes=50)
    await store.save(young)
    context.clock.move(minutes=11)
    expect(await store.get_many([old.session_id, young.session_id]), [None, young], "get_many, when one has expired")
