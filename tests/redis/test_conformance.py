"""The store keeps the contract, as told by the public kit: each case on one server, and on a cluster.

On a cluster each tenant has a feed of its own: so there the cases of law 18 are told of which tenant to follow the
changes, and without being told they are unsupported.
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
"""Cases that the store fails, and why it may."""

UNSUPPORTED_ON_A_CLUSTER = {
    "a-restore-publishes-what-it-stored",
    "a-sequence-that-was-never-reached-is-refused",
    "a-reader-continues-where-another-ended",
    "a-reader-that-missed-changes-gets-an-error",
    "a-waiting-reader-gets-the-next-change",
    "a-second-running-loop-is-refused-changes",
    "a-batch-publishes-one-change-per-session",
    "each-change-has-ids-revision-and-stamp",
    "sequences-have-no-gap",
    "calls-that-change-nothing-publish-nothing",
    "an-expiry-is-a-change",
    "an-eviction-by-the-cap-is-a-change",
    "changes-committed-before-the-close-can-still-be-read",
}


LEAVES_CONNECTIONS = "a-paused-loop-may-continue-after-another"
"""It closes a loop as nobody does who uses `asyncio.run`: without the end of what is iterated there."""


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_the_store_keeps_the_contract(make_redis: RedisStores, servers: Servers, case: Case) -> None:
    """No case fails; on a cluster those are unsupported that follow the changes of all tenants, and no other."""
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
    """Whose changes are those of one tenant, where none is named."""

    followed: UUID

    def changes(self, *, since: int | None = None, tenant_id: UUID | None = None) -> AsyncIterator[Any]:
        return super().changes(since=since, tenant_id=tenant_id or self.followed)


@pytest.mark.parametrize("case", [case for case in CASES if case.name in UNSUPPORTED_ON_A_CLUSTER], ids=str)
async def test_the_changes_of_one_tenant_keep_the_contract(make_redis: RedisStores, case: Case) -> None:
    """On a cluster as well."""

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


def test_each_that_is_unsupported_is_a_case() -> None:
    """So that the list names none that is gone."""
    assert {case.name for case in CASES} >= UNSUPPORTED_ON_A_CLUSTER
