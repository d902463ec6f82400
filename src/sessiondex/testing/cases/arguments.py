"""Law 11 and all other bad arguments: the error names the argument, and nothing changes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from inspect import isawaitable
from typing import Any
from uuid import uuid4

from sessiondex.errors import InvalidArgumentError
from sessiondex.models import Channel, Session
from sessiondex.testing.case import Case, case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.expectations import expect, expect_error

SURROGATE = "\ud800"
A, B = uuid4(), uuid4()
NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001  # naive on purpose

Bad = tuple[tuple[Any, ...], dict[str, Any], str]


async def _empty_async_iterator() -> AsyncIterator[Any]:
    return
    yield


def _change_nothing(*_: Any) -> None:
    return None


def _make_session() -> Session:
    return Session(tenant_id=A, agent_id=B, channel=Channel.WEBCHAT, user_channel_id="user-1")


def _bad_steps(*content_hash: str) -> list[Bad]:
    bad: list[Bad] = [
        ((None, B, 1, *content_hash), {}, "tenant_id"),
        ((A, "flow", 1, *content_hash), {}, "scenario_id"),
        ((A, B, "1", *content_hash), {}, "scenario_version"),
    ]
    return bad + [((A, B, 1, wrong), {}, "step_content_hash") for wrong in (None, SURROGATE) if content_hash]


def _bad_identities() -> list[Bad]:
    return [
        (("x", Channel.SMS, "u"), {}, "tenant_id"),
        *(((A, channel, "u"), {}, "channel") for channel in ("", "a\0", "x" * 65, SURROGATE, None)),
        *(((A, Channel.SMS, user), {}, "user_channel_id") for user in ("", "a\0", SURROGATE, 5)),
    ]


def _bad_bounds(*keys: Any) -> list[Bad]:
    return [(keys, {name: bound}, name) for name in ("before", "after") for bound in (NAIVE, "2026-03-01")]


def _bad_sizes(*keys: Any) -> list[Bad]:
    return [(keys, {"page_size": size}, "page_size") for size in (0, -1, 1.5)]


BAD: Mapping[str, Callable[[], list[Bad]]] = {
    "get": lambda: [
        ((str(A),), {}, "session_id"),
        ((None,), {}, "session_id"),
        ((A,), {"tenant_id": "x"}, "tenant_id"),
    ],
    "get_many": lambda: [
        *(((things,), {}, "session_ids") for things in (A, "text", None, [None], [A, "text"], _empty_async_iterator())),
        (([A],), {"tenant_id": "x"}, "tenant_id"),
    ],
    "save": lambda: [
        *(
            ((_make_session(),), {"expected_revision": revision}, "expected_revision")
            for revision in (-1, 1.0, "1", True)
        ),
        *(((_make_session(),), {"touch": touch}, "touch") for touch in (None, 1, "no")),
    ],
    "touch": lambda: [((str(A),), {}, "session_id"), ((A,), {"tenant_id": 5}, "tenant_id")],
    "delete": lambda: [((str(A),), {}, "session_id"), ((A,), {"tenant_id": 5}, "tenant_id")],
    "save_many": lambda: [
        *(((things,), {}, "sessions") for things in (_make_session(), "text", None, 5, _empty_async_iterator())),
        *(
            (([_make_session()],), {"expected_revisions": revisions}, "expected_revisions")
            for revisions in ([], [0, 0], 0, "0", [-1], [1.0], {0})
        ),
        (([_make_session()],), {"touch": 0}, "touch"),
    ],
    "delete_many": lambda: [
        *(((things,), {}, "session_ids") for things in (A, "text", None, [None], [A, "text"], _empty_async_iterator())),
        (([A],), {"tenant_id": "x"}, "tenant_id"),
    ],
    "load": lambda: [
        *((([],), {"batch": batch}, "batch") for batch in (0, -1, True, "x", 1.5, None)),
        *(((things,), {}, "sessions") for things in (_make_session(), "text", None)),
    ],
    "get_by_channel": _bad_identities,
    "list_by_agent": lambda: [
        (("x", B), {}, "tenant_id"),
        ((A, "x"), {}, "agent_id"),
        ((A, B), {"status": "asleep"}, "status"),
        *(((A, B), {"limit": limit}, "limit") for limit in (-1, 1.5, True, None)),
        *(((A, B), {"before": before}, "before") for before in (NAIVE, "2026-03-01", 1_700_000_000, NAIVE.date())),
        *(((A, B), {"after": after}, "after") for after in (NAIVE, "2026-03-01")),
    ],
    "list_by_customer": lambda: [
        (("x", B), {}, "tenant_id"),
        ((A, None), {}, "customer_profile_id"),
        ((A, B), {"status": "asleep"}, "status"),
        *(((A, B), {"limit": limit}, "limit") for limit in (-5, "3")),
        *_bad_bounds(A, B),
    ],
    "list_by_channel": lambda: [
        *_bad_identities(),
        *(((A, Channel.SMS, "u"), {"limit": limit}, "limit") for limit in (-5, "3")),
        *_bad_bounds(A, Channel.SMS, "u"),
    ],
    "list_by_tenant": lambda: [
        (("x",), {}, "tenant_id"),
        ((A,), {"status": "asleep"}, "status"),
        *(((A,), {"limit": limit}, "limit") for limit in (-5, "3")),
        *_bad_bounds(A),
    ],
    "iter_by_agent": lambda: [*_bad_sizes(A, B), *_bad_bounds(A, B), ((A, B), {"status": "asleep"}, "status")],
    "iter_by_customer": lambda: [*_bad_sizes(A, B), *_bad_bounds(A, B), ((A, B), {"status": "asleep"}, "status")],
    "iter_by_channel": lambda: [*_bad_sizes(A, Channel.SMS, "u"), *_bad_bounds(A, Channel.SMS, "u")],
    "iter_by_tenant": lambda: [*_bad_sizes(A), *_bad_bounds(A), ((A,), {"status": "asleep"}, "status")],
    "count_by_agent": lambda: [
        (("x", B), {}, "tenant_id"),
        ((A, None), {}, "agent_id"),
        ((A, B), {"status": "lost"}, "status"),
    ],
    "count_by_customer": lambda: [
        ((None, B), {}, "tenant_id"),
        ((A, "x"), {}, "customer_profile_id"),
        ((A, B), {"status": "lost"}, "status"),
    ],
    "count_by_channel": _bad_identities,
    "count_by_tenant": lambda: [((None,), {}, "tenant_id"), ((A,), {"status": "lost"}, "status")],
    "delete_by_tenant": lambda: [((tenant,), {}, "tenant_id") for tenant in (None, str(A))],
    "delete_by_customer": lambda: [((None, B), {}, "tenant_id"), ((A, None), {}, "customer_profile_id")],
    "delete_by_channel": _bad_identities,
    "count_by_step_hash": lambda: _bad_steps("h"),
    "count_steps": _bad_steps,
    "find_sessions_by_step_hash": lambda: [
        *_bad_steps("h"),
        ((A, B, 1, "h", {"max_session_age_days": 1}), {}, "scope_filter"),
    ],
    "update": lambda: [
        ((str(A), _change_nothing), {}, "session_id"),
        *(((A, change), {}, "change") for change in (None, 3)),
        *(((A, _change_nothing), {"attempts": attempts}, "attempts") for attempts in (0, 1.5)),
        ((A, _change_nothing), {"create": _make_session()}, "create"),
        ((A, _change_nothing), {"touch": None}, "touch"),
    ],
    "get_or_create": lambda: [
        (("x", Channel.SMS, "u", _make_session), {}, "tenant_id"),
        ((A, "", "u", _make_session), {}, "channel"),
        ((A, Channel.SMS, "", _make_session), {}, "user_channel_id"),
        ((A, Channel.SMS, "u", _make_session()), {}, "create"),
    ],
    "exclusive": lambda: [
        (("x",), {}, "session_id"),
        *(((A,), {"timeout": timeout}, "timeout") for timeout in (-1, "1", float("nan"))),
    ],
    "changes": lambda: [((), {"since": since}, "since") for since in (-1, "0", 1.0)],
}
"""By operation: positional arguments, named arguments, and the name of the bad one."""


def _refusal_case(operation: str, bad: Callable[[], list[Bad]]) -> Case:
    async def run(context: CaseContext) -> None:
        store, session = await context.store(), context.session()
        await store.save(session)
        for arguments, options, name in bad():
            call = f"{operation} with a bad {name}"
            with expect_error(InvalidArgumentError, call) as caught:
                answer = getattr(store, operation)(*arguments, **options)
                if isawaitable(answer):
                    await answer
            expect(caught.error.argument, name, f"argument of the error of {call}")
        expect(await store.get(session.session_id), session, f"get, after bad calls of {operation}")

    case_name = f"{operation.replace('_', '-')}-refuses-bad-arguments"
    promise = "A bad argument raises `InvalidArgumentError`, which names it, and nothing changes."
    return case(11, name=case_name, promise=promise)(run)


REFUSALS = tuple(_refusal_case(operation, bad) for operation, bad in BAD.items())
