"""Law 8: only active sessions stand at a step. Law 9: the effect of a `ScopeFilter`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sessiondex.contract import SessionStore
from sessiondex.models import Channel, ScopeFilter, SessionStatus
from sessiondex.testing.builders import START, make_visit
from sessiondex.testing.case import Case, case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.expectations import expect

DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)

ELSEWHERE: dict[str, tuple[str, Callable[[CaseContext], list[dict[str, Any]]]]] = {
    "a-session-that-is-not-active-stands-at-no-step": (
        "A session of any status but active is not found.",
        lambda _: [{"status": status} for status in SessionStatus if status is not SessionStatus.ACTIVE],
    ),
    "a-session-of-another-scenario-or-version-stands-elsewhere": (
        "Scenario and version must both be equal to the arguments.",
        lambda context: [
            {"active_scenario_id": context.other_scenario_id},
            {"active_scenario_id": None},
            {"active_scenario_version": 2},
            {"active_scenario_version": None},
        ],
    ),
    "a-session-stands-at-its-last-step-alone": (
        "Earlier visits do not count. Without a visit, or if the last one has no hash, a session is at no step.",
        lambda _: [
            {"step_history": [make_visit("hash-1"), make_visit("hash-2")]},
            {"step_history": [make_visit("hash-1"), make_visit(None)]},
            {"step_history": []},
        ],
    ),
}


async def _find_users(context: CaseContext, store: SessionStore[Any], scope: ScopeFilter | None = None) -> list[str]:
    sessions = await store.find_sessions_by_step_hash(context.tenant_id, context.scenario_id, 1, "hash-1", scope)
    return [session.user_channel_id for session in sessions]


def _elsewhere_case(name: str, promise: str, others: Callable[[CaseContext], list[dict[str, Any]]]) -> Case:
    async def run(context: CaseContext) -> None:
        store = await context.store()
        await store.save(context.at_step(user_channel_id="here"))
        for fields in others(context):
            await store.save(context.at_step(user_channel_id=f"with {', '.join(fields)}", **fields))
        expect(await _find_users(context, store), ["here"], "users at the step")

    return case(8, name=name, promise=promise)(run)


STANDING = tuple(_elsewhere_case(name, *row) for name, row in ELSEWHERE.items())


@case(8)
async def a_session_leaves_a_step_when_it_moves_on(context: CaseContext) -> None:
    """After a save with a new visit, the session is found at the new step and not at the old one."""
    store, session = await context.store(), context.at_step()
    await store.save(session)
    session.step_history.append(make_visit("hash-2"))
    await store.save(session)
    expect(await _find_users(context, store), [], "users at the step that was left")
    at = context.tenant_id, context.scenario_id, 1
    expect(await store.find_sessions_by_step_hash(*at, "hash-2"), [session], "sessions at the next step")


@case(8)
async def a_step_gives_all_that_stand_there(context: CaseContext) -> None:
    """`find_sessions_by_step_hash` returns every session at the step, newest first, without a limit."""
    store, sessions = (
        await context.store(),
        [context.at_step(user_channel_id=f"user-{number}") for number in range(130)],
    )
    await store.save_many(sessions)
    expect(await _find_users(context, store), [one.user_channel_id for one in reversed(sessions)], "users at the step")


@case(8)
async def versions_and_hashes_do_not_run_into_each_other(context: CaseContext) -> None:
    """Version 1 with hash "2:x" is not version 12 with hash ":x". A missing hash is not the hash "None"."""
    store = await context.store()
    for content_hash in ("2:x", "\u00e9", None):
        await store.save(context.at_step(content_hash))
    at = context.tenant_id, context.scenario_id
    for version, content_hash in ((12, ":x"), (12, "x"), (1, ""), (1, "None"), (1, "e\u0301"), (-1, "2:x")):
        found = await store.find_sessions_by_step_hash(*at, version, content_hash)
        expect(found, [], f"sessions at hash {content_hash!r} of version {version}")
    for content_hash in ("2:x", "\u00e9"):
        found = await store.find_sessions_by_step_hash(*at, 1, content_hash)
        expect(len(found), 1, f"how many sessions are at hash {content_hash!r}")


FOUR: dict[str, dict[str, Any]] = {
    "a": {"channel": Channel.SMS, "name": "pay"},
    "b": {"channel": Channel.SMS, "name": None},
    "c": {"channel": Channel.EMAIL, "name": "ask"},
    "d": {"channel": Channel.EMAIL, "name": "pay"},
}


async def _expect_scopes(context: CaseContext, scopes: list[tuple[dict[str, Any], str]]) -> None:
    store = await context.store()
    for name, fields in FOUR.items():
        await store.save(context.at_step(user_channel_id=name, **fields))
    for scope, expected in scopes:
        expect("".join(await _find_users(context, store, ScopeFilter(**scope))), expected, f"users found with {scope}")


@case(9)
async def a_filter_of_channels(context: CaseContext) -> None:
    """Sessions pass if their channel is included, or none is, and not excluded."""
    await _expect_scopes(
        context,
        [
            ({}, "dcba"),
            ({"include_channels": [Channel.SMS]}, "ba"),
            ({"include_channels": [Channel.SMS, Channel.EMAIL]}, "dcba"),
            ({"include_channels": [Channel.VOICE]}, ""),
            ({"exclude_channels": [Channel.SMS]}, "dc"),
            ({"exclude_channels": []}, "dcba"),
            ({"include_channels": [Channel.SMS], "exclude_channels": [Channel.SMS]}, ""),
        ],
    )


@case(9)
async def a_filter_of_nodes(context: CaseContext) -> None:
    """Sessions pass by the name of their last visit; a step without a name is neither included nor excluded."""
    await _expect_scopes(
        context,
        [
            ({"include_current_nodes": ["pay"]}, "da"),
            ({"exclude_current_nodes": ["pay"]}, "cb"),
            ({"include_current_nodes": ["pay", "ask", "x"], "exclude_current_nodes": ["ask"]}, "da"),
            ({"include_channels": [Channel.EMAIL], "include_current_nodes": ["pay"]}, "d"),
            ({"include_current_nodes": ["greet"]}, ""),
        ],
    )


@case(9)
async def a_filter_of_ages(context: CaseContext) -> None:
    """Ages are whole days since `created_at`, rounded down, and both bounds are inclusive."""
    store, now = await context.store(), datetime.now(UTC)
    for days in (0, 1, 2, 3):
        await store.save(context.at_step(user_channel_id=str(days), created_at=now - (days + 0.5) * DAY))
    ages: list[tuple[dict[str, Any], list[str]]] = [
        ({"min_session_age_days": 1}, ["3", "2", "1"]),
        ({"max_session_age_days": 1}, ["1", "0"]),
        ({"min_session_age_days": 1, "max_session_age_days": 2}, ["2", "1"]),
        ({"min_session_age_days": 2, "max_session_age_days": 2}, ["2"]),
        ({"min_session_age_days": 4}, []),
        ({"max_session_age_days": 10**12}, ["3", "2", "1", "0"]),
    ]
    for bounds, expected in ages:
        expect(await _find_users(context, store, ScopeFilter(**bounds)), expected, f"ages in days found with {bounds}")


@case(9)
async def a_filter_of_channel_node_and_age_at_once(context: CaseContext) -> None:
    """All conditions must hold, and the result is still ordered by last save."""
    store, now = await context.store(), datetime.now(UTC)
    kinds = [(channel, node, days) for days in (0, 1, 2) for channel in ("sms", "email") for node in ("pay", "ask")]
    for channel, node, days in kinds:
        name = f"{channel} {node} {days}"
        created = now - (days + 0.5) * DAY
        await store.save(context.at_step(name=node, channel=channel, user_channel_id=name, created_at=created))
    scopes: list[tuple[dict[str, Any], list[str]]] = [
        (
            {"include_channels": ["sms"], "max_session_age_days": 1},
            ["sms ask 1", "sms pay 1", "sms ask 0", "sms pay 0"],
        ),
        (
            {"exclude_channels": ["sms"], "include_current_nodes": ["pay"], "min_session_age_days": 1},
            ["email pay 2", "email pay 1"],
        ),
        (
            {"exclude_current_nodes": ["pay"], "min_session_age_days": 1, "max_session_age_days": 1},
            ["email ask 1", "sms ask 1"],
        ),
    ]
    for scope, expected in scopes:
        expect(await _find_users(context, store, ScopeFilter(**scope)), expected, f"users found with {scope}")


AGES = {
    "future": -MICROSECOND,
    "new": 0 * DAY,
    "almost 1": DAY - MICROSECOND,
    "1": DAY,
    "almost 2": 2 * DAY - MICROSECOND,
    "2": 2 * DAY,
}


@case(9, "clock")
async def a_filter_of_ages_is_exact(context: CaseContext) -> None:
    """Ages are exact to the microsecond by the store's clock; a session created in the future has a negative age."""
    store = await context.store(clock=context.clock)
    for name, age in AGES.items():
        await store.save(context.at_step(user_channel_id=name, created_at=START - age))
    ages: list[tuple[int | None, int | None, list[str]]] = [
        (None, None, ["2", "almost 2", "1", "almost 1", "new", "future"]),
        (0, None, ["2", "almost 2", "1", "almost 1", "new"]),
        (1, None, ["2", "almost 2", "1"]),
        (None, 0, ["almost 1", "new", "future"]),
        (None, 1, ["almost 2", "1", "almost 1", "new", "future"]),
        (1, 1, ["almost 2", "1"]),
        (0, 0, ["almost 1", "new"]),
    ]
    for low, high, expected in ages:
        scope = ScopeFilter(min_session_age_days=low, max_session_age_days=high)
        expect(await _find_users(context, store, scope), expected, f"ages from {low} to {high} days")


@case(9, "clock")
async def ages_go_by_the_clock_at_the_time_of_the_query(context: CaseContext) -> None:
    """A session gets older without being saved."""
    store = await context.store(clock=context.clock)
    await store.save(context.at_step())
    today = ScopeFilter(max_session_age_days=0)
    expect(await _find_users(context, store, today), ["user-1"], "users of today")
    context.clock.move(days=1)
    expect(await _find_users(context, store, today), [], "users of today, a day later")
