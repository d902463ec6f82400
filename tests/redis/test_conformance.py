"""Run the conformance kit on one server and on a cluster.

On a cluster each tenant has a change feed of its own. So the cases of law 18 are unsupported there, unless the store
adds the tenant.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from sessiondex.stores.redis import RedisSessionStore
from sessiondex.testing import CASES, Case, CaseContext, check_session_store
from tests.support.redis.servers import Cluster, Servers
from tests.support.redis.stores import RedisStores
from tests.support.waiting import HANG_SECONDS

KNOWN_DIVERGENCES: dict[str, str] = {}
"""Cases that the store fails, and the reasons."""

UNSUPPORTED_ON_A_CLUSTER = {
    "a-restore-publishes-what-it-stored",
    "the-changes-of-a-restore-come-in-the-order-of-stamps",
    "a-sequence-that-was-never-reached-is-refused",
    "a-reader-continues-where-another-ended",
    "a-reader-that-missed-changes-gets-an-error",
    "a-waiting-reader-gets-the-next-change",
    "a-second-running-loop-is-refused-changes",
    "a-batch-publishes-one-change-per-session",
    "a-touch-is-a-change",
    "an-erasure-is-a-change-of-each-session",
    "each-change-has-ids-revision-and-stamp",
    "sequences-have-no-gap",
    "calls-that-change-nothing-publish-nothing",
    "an-expiry-is-a-change",
    "an-eviction-by-the-cap-is-a-change",
    "changes-committed-before-the-close-can-still-be-read",
}


LEAVES_CONNECTIONS = "a-paused-loop-may-continue-after-another"
"""It closes a loop without closing the async generators, which `asyncio.run` would do."""


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_the_store_keeps_the_contract(make_redis: RedisStores, servers: Servers, case: Case) -> None:
    """No case fails. On a cluster, exactly the cases that follow all tenants are unsupported."""
    with warnings.catch_warnings():
        if case.name == LEAVES_CONNECTIONS:
            for kind in (ResourceWarning, RuntimeWarning):  # the latter of Python 3.13
                warnings.simplefilter("ignore", kind)
        report = await check_session_store(
            make_redis, cases=[case], known_divergences=KNOWN_DIVERGENCES, timeout=HANG_SECONDS
        )
        if case.name == LEAVES_CONNECTIONS:
            gc.collect()
    unsupported = UNSUPPORTED_ON_A_CLUSTER if isinstance(servers, Cluster) else set()

    assert not report.failures, str(report)
    assert bool(report.unsupported) == (case.name in unsupported), str(report)


class FollowsOneTenant(RedisSessionStore[Any]):
    """Follows the changes of one tenant if the caller names none."""

    followed: UUID

    def changes(self, *, since: int | None = None, tenant_id: UUID | None = None) -> AsyncIterator[Any]:
        return super().changes(since=since, tenant_id=tenant_id or self.followed)


@pytest.mark.parametrize("case", [case for case in CASES if case.name in UNSUPPORTED_ON_A_CLUSTER], ids=str)
async def test_the_changes_of_one_tenant_keep_the_contract(make_redis: RedisStores, case: Case) -> None:
    """They keep it on a cluster too."""

    async def run(_: CaseContext) -> None:
        def make(**options: Any) -> Any:
            store = make_redis(cls=FollowsOneTenant, **options)
            store.followed = context.tenant_id
            return store

        context = CaseContext(make)
        try:
            await case.run(context)
        finally:
            await context.close()

    report = await check_session_store(make_redis, cases=[replace(case, run=run)], timeout=HANG_SECONDS)

    assert not report.failures, str(report)
    assert not report.unsupported, str(report)


def test_the_list_of_unsupported_cases() -> None:
    """It names existing cases only."""
    assert {case.name for case in CASES} >= UNSUPPORTED_ON_A_CLUSTER
