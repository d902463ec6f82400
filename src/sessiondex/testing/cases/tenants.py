"""Law 7: tenants are walls."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sessiondex.errors import SessionNotFoundError, TenantMismatchError
from sessiondex.testing.case import Case, case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.cases.all_queries import COUNTS, LISTS, SINGLE, Query
from sessiondex.testing.expectations import expect, expect_error


def _tenant_case(name: str, query: Query) -> Case:
    async def run(context: CaseContext) -> None:
        store, mine, theirs = (
            await context.store(),
            context.at_step(),
            context.at_step(tenant_id=context.other_tenant_id),
        )
        stranger = theirs.model_copy(update={"tenant_id": UUID(int=context.tenant_id.int ^ 1)})
        await store.save(mine)
        await store.save(theirs)
        for session in (mine, theirs):
            answer = await query(store, session)
            found = 1 if name in COUNTS else session if name in SINGLE else [session]
            expect(answer, found, f"{name}, of a tenant that has one like another tenant's")
        nothing: Any = 0 if name in COUNTS else None if name in SINGLE else []
        expect(await query(store, stranger), nothing, f"{name}, of a tenant that has none")

    case_name = f"{name.replace(' ', '-').replace('_', '-')}-sees-one-tenant"
    promise = "Another tenant's session with the same agent, customer, identity and step is not in the result."
    return case(7, name=case_name, promise=promise)(run)


SCOPED = tuple(_tenant_case(name, query) for name, query in {**SINGLE, **LISTS, **COUNTS}.items() if name != "get")


@case(7)
async def get_or_create_sees_one_tenant(context: CaseContext) -> None:
    """Another tenant's session of the same identity is ignored: a new one is created."""
    store, theirs = await context.store(), context.session(tenant_id=context.other_tenant_id)
    await store.save(theirs)
    identity = context.tenant_id, theirs.channel, theirs.user_channel_id
    mine = context.session()
    found, was_created = await store.get_or_create(*identity, lambda: mine)
    expect((found, was_created), (mine, True), "get_or_create, where another tenant has such a session")
    expect(await store.get(theirs.session_id), theirs, "get of the other tenant's session, after that")


@case(7)
async def get_with_another_tenant_finds_nothing(context: CaseContext) -> None:
    """`get` with another tenant's id returns `None`, as if the session did not exist."""
    store, session = await context.store(), context.session()
    await store.save(session)
    other = await store.get(session.session_id, tenant_id=context.other_tenant_id)
    expect(other, None, "get with another tenant's id")
    expect(await store.get(session.session_id, tenant_id=context.tenant_id), session, "get with its own tenant's id")


@case(7)
async def delete_with_another_tenant_deletes_nothing(context: CaseContext) -> None:
    """`delete` with another tenant's id returns `False`, and the session stays."""
    store, session = await context.store(), context.session()
    await store.save(session)
    deleted = await store.delete(session.session_id, tenant_id=context.other_tenant_id)
    expect(deleted, False, "delete with another tenant's id")
    expect(await store.get(session.session_id), session, "get, after that")
    expect(await store.delete(session.session_id, tenant_id=context.tenant_id), True, "delete with its own tenant's id")
    expect(await store.get(session.session_id), None, "get, after it was deleted")


@case(7)
async def delete_many_with_a_tenant_leaves_other_tenants_alone(context: CaseContext) -> None:
    """`delete_many` with a tenant's id deletes and counts only that tenant's sessions."""
    store, mine, theirs = await context.store(), context.session(), context.session(tenant_id=context.other_tenant_id)
    await store.save(mine)
    await store.save(theirs)
    count = await store.delete_many([mine.session_id, theirs.session_id], tenant_id=context.tenant_id)
    expect(count, 1, "delete_many with a tenant's id")
    expect(await store.get(mine.session_id), None, "get of that tenant's session")
    expect(await store.get(theirs.session_id), theirs, "get of the other tenant's session")


@case(7)
async def update_with_another_tenant_finds_nothing(context: CaseContext) -> None:
    """`update` raises `SessionNotFoundError` and does not call the change."""
    store, session = await context.store(), context.session()
    await store.save(session)
    called: list[Any] = []
    with expect_error(SessionNotFoundError, "update with another tenant's id"):
        await store.update(session.session_id, called.append, tenant_id=context.other_tenant_id)
    expect(called, [], "arguments of the calls of the change")


@case(7)
async def an_id_of_another_tenant_is_refused(context: CaseContext) -> None:
    """`save` raises `TenantMismatchError`, and both sessions stay as they are."""
    store, theirs = await context.store(), context.session(tenant_id=context.other_tenant_id)
    await store.save(theirs)
    mine = context.session(session_id=theirs.session_id)
    before = mine.model_copy(deep=True)
    for revision in (None, 0, 1):
        with expect_error(TenantMismatchError, f"saving under another tenant's id, expecting revision {revision}"):
            await store.save(mine, expected_revision=revision)
    expect(mine, before, "the session that was refused")
    expect(await store.get(theirs.session_id), theirs, "get of the other tenant's session")
    expect(await store.list_by_agent(context.tenant_id, context.agent_id), [], "list_by_agent")


@case(7)
async def a_refusal_reveals_nothing_of_the_other_tenant(context: CaseContext) -> None:
    """The error contains the given session id and no value of the other tenant's session."""
    store = await context.store()
    theirs = context.session(
        tenant_id=context.other_tenant_id, agent_id=context.other_agent_id, user_channel_id="user-of-theirs"
    )
    await store.save(theirs)
    with expect_error(TenantMismatchError, "saving under another tenant's id") as caught:
        await store.save(context.session(session_id=theirs.session_id))
    text = f"{caught.error!s} {caught.error!r} {vars(caught.error)}"
    secrets = [str(context.other_tenant_id), str(context.other_agent_id), "user-of-theirs"]
    expect([secret for secret in secrets if secret in text], [], "values of the other tenant in the error")
    expect(caught.error.session_id, theirs.session_id, "session_id of the error")


@case(7)
async def an_id_is_free_for_any_tenant_once_it_was_deleted(context: CaseContext) -> None:
    """After a delete, any tenant may save under the id."""
    store, session = await context.store(), context.session()
    await store.save(session)
    await store.delete(session.session_id)
    session.tenant_id = context.other_tenant_id
    await store.save(session)
    expect(await store.get(session.session_id, tenant_id=context.other_tenant_id), session, "get with the new tenant")
    expect(await store.get(session.session_id, tenant_id=context.tenant_id), None, "get with the tenant of before")
