"""Law 19: erased is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from sessiondex.changes import ChangeKind
from sessiondex.contract import SessionStore
from sessiondex.models import Session, SessionStatus
from sessiondex.testing.case import Case, case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.cases.all_queries import Marked, expect_in_all_queries
from sessiondex.testing.expectations import expect

HOUR = timedelta(hours=1)
Erase = Callable[[SessionStore[Any], Session], Any]

ERASURES: Mapping[str, tuple[Erase, dict[str, str]]] = {
    "delete_by_tenant": (lambda store, like: store.delete_by_tenant(like.tenant_id), {"tenant_id": "other_tenant_id"}),
    "delete_by_customer": (
        lambda store, like: store.delete_by_customer(like.tenant_id, like.customer_profile_id or like.session_id),
        {"customer_profile_id": "other_customer_id"},
    ),
    "delete_by_channel": (
        lambda store, like: store.delete_by_channel(like.tenant_id, like.channel, like.user_channel_id),
        {"user_channel_id": "other_agent_id"},
    ),
}
"""By operation: its call with the keys of a session, and the field, with its value, of a session that must stay."""


def _make(context: CaseContext, number: int = 0, **fields: Any) -> Session:
    """Return a session that each of the erasures erases, at a step, of one status or another."""
    status = [*SessionStatus][number % len(SessionStatus)]
    like = context.at_step(status=status)
    return Marked(**{**dict(like), "mark": "x", **fields})


def _erasure_case(name: str, erase: Erase, other: dict[str, str]) -> Case:
    async def run(context: CaseContext) -> None:
        store, sessions = await context.store(), [_make(context, number) for number in range(9)]
        await store.save_many(sessions)
        fields = {field: getattr(context, value) for field, value in other.items()}
        if "user_channel_id" in fields:
            fields["user_channel_id"] = str(fields["user_channel_id"])
        theirs = _make(context, tenant_id=context.other_tenant_id)
        stays = [theirs] if "tenant_id" in fields else [_make(context, **fields), theirs]
        for session in stays:
            await store.save(session)
        expect(await erase(store, sessions[0]), len(sessions), f"{name}, of {len(sessions)} sessions")
        for session in sessions:
            expect(await store.get(session.session_id), None, f"get, after {name}")
        for session in stays:
            expect(await store.get(session.session_id), session, f"get of a session of others, after {name}")
        left = [session for session in stays if session.tenant_id == context.tenant_id]
        found = await store.list_by_tenant(context.tenant_id)
        expect(found, left, f"list_by_tenant, after {name}")
        found = await store.list_by_field(context.tenant_id, "mark", "x")
        expect(found, left, f"list_by_field, after {name}")
        if not left:
            await expect_in_all_queries(store, sessions[0], [], f"after {name}")
        await expect_in_all_queries(store, theirs, [theirs], f"of the other tenant, after {name}")
        expect(await erase(store, sessions[0]), 0, f"{name}, when there is nothing left")
        await store.save(sessions[0], expected_revision=0)
        expect(sessions[0].revision, 1, f"the revision of a session that is saved again after {name}")

    case_name = f"{name.replace('_', '-')}-leaves-nothing-of-what-it-erases"
    promise = "No query finds what was erased, its number is returned, and all other sessions stay."
    return case(19, name=case_name, promise=promise)(run)


def _while_it_runs_case(name: str, erase: Erase) -> Case:
    async def run(context: CaseContext) -> None:
        store, sessions = await context.store(), [_make(context) for _ in range(300)]
        await store.load(sessions, batch=100)
        ids = [session.session_id for session in sessions]
        erasing = context.task(erase(store, sessions[0]))
        doomed: list[Session] = []

        async def save_some() -> None:
            while not erasing.done():
                session = _make(context)
                await store.save(session)
                # Some of the first ones are still there, so the erasure has not made its last pass.
                if any(await store.get_many(ids)):
                    doomed.append(session)
                await asyncio.sleep(0)

        saving = context.task(save_some())
        count = await erasing
        await saving
        expect(await store.get_many(ids), [None] * len(ids), f"the sessions that were there before {name}")
        left = [one for one in await store.get_many([session.session_id for session in doomed]) if one is not None]
        expect(left, [], f"the sessions saved while {name} had not erased the first ones")
        expect(count >= len(ids) + len(doomed), True, f"whether {name} counts what was saved while it ran ({count})")

    case_name = f"{name.replace('_', '-')}-erases-what-is-saved-while-it-runs"
    promise = "It repeats until it finds nothing, so sessions that are saved during the erasure go too."
    return case(19, name=case_name, promise=promise)(run)


GONE = tuple(_erasure_case(name, *erasure) for name, erasure in ERASURES.items())
WHILE_IT_RUNS = tuple(_while_it_runs_case(name, erase) for name, (erase, _) in ERASURES.items())


@case(19)
async def an_erasure_is_a_change_of_each_session(context: CaseContext) -> None:
    """Readers of changes see each erased session as deleted, with its last revision and stamp."""
    store = await context.store()
    for name, (erase, _) in ERASURES.items():
        sessions, last = [_make(context, number) for number in range(5)], context.session(user_channel_id="last")
        await store.save_many(sessions)
        await store.save(sessions[0], touch=False)
        changes = store.changes()
        await erase(store, sessions[0])
        await store.save(last)
        found = [await anext(changes) for _ in range(len(sessions) + 1)]
        expected = {
            (ChangeKind.DELETED, one.tenant_id, one.session_id, one.revision, one.last_activity_at) for one in sessions
        }
        described = [(one.kind, one.tenant_id, one.session_id, one.revision, one.stamp) for one in found]
        expect(set(described[:-1]), expected, f"the changes of {name}")
        expect(found[-1].session_id, last.session_id, f"the session of the change after {name}")
        await store.delete(last.session_id)


@case(19, "clock", "idle_ttl", "on_evict")
async def an_erasure_calls_no_on_evict(context: CaseContext) -> None:
    """Expired sessions go too, are not counted, and are not passed to `on_evict`."""
    calls: list[Any] = []
    store = await context.store(
        clock=context.clock, idle_ttl=HOUR, on_evict=lambda session, _: calls.append(session.session_id)
    )
    for name, (erase, _) in ERASURES.items():
        expired, young = [_make(context) for _ in range(5)], [_make(context) for _ in range(2)]
        await store.save_many(expired)
        context.clock.move(minutes=50)
        await store.save_many(young)
        context.clock.move(minutes=11)
        expect(await erase(store, young[0]), len(young), f"{name}, of 2 sessions and 5 that have expired")
        # A count evicts what has expired, and would pass it to `on_evict`.
        expect(await store.count_by_tenant(context.tenant_id), 0, f"count_by_tenant, after {name}")
    await store.aclose()
    expect(calls, [], "the calls of on_evict")
