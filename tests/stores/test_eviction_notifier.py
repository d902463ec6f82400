"""EvictionNotifier and EvictionPolicy, without a store."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from sessiondex import ChangeKind, EvictionReason, InvalidArgumentError
from sessiondex.stores.commit import Commit, Mutation
from sessiondex.stores.eviction import EvictionNotifier, EvictionPolicy
from tests.support.builders import TENANT
from tests.support.waiting import until


def evictions(sequence: int, *stored: str) -> Commit[str]:
    reason = EvictionReason.IDLE
    kind = ChangeKind.EVICTED
    return Commit(sequence, [Mutation(kind, UUID(int=1), TENANT, 1, 1, one, reason) for one in stored])


async def test_each_evicted_session_is_passed_on_once_and_in_order() -> None:
    seen: list[Any] = []
    notifier = EvictionNotifier[str](lambda session, reason: seen.append((session, reason)), str.upper)
    notifier.on_commit(evictions(1, "a", "b"))
    notifier.on_commit(evictions(1, "a", "b", "c"))
    notifier.schedule()
    notifier.schedule()
    assert seen == [], "never within the call"
    await notifier.drain()

    assert seen == [(name, EvictionReason.IDLE) for name in "ABC"]


async def test_a_repeated_commit_is_ignored_after_its_callbacks_ran() -> None:
    seen: list[str] = []
    notifier = EvictionNotifier[str](lambda session, _: seen.append(session), str)
    notifier.on_commit(evictions(1, "a"))
    await notifier.drain()
    notifier.on_commit(evictions(1, "a"))
    await notifier.drain()

    assert seen == ["a"]


async def test_saves_and_deletes_are_not_passed_on() -> None:
    notifier = EvictionNotifier[str](lambda *_: pytest.fail("nothing was evicted"), str)
    mutations = [Mutation(kind, UUID(int=1), TENANT, 1, 1, "x") for kind in (ChangeKind.SAVED, ChangeKind.DELETED)]
    notifier.on_commit(Commit(1, mutations))

    assert len(notifier) == 0


async def test_an_error_of_the_callback_stops_nothing(caplog: Any) -> None:
    seen: list[str] = []

    async def fail_once(session: str, _: Any) -> None:
        seen.append(session)
        if session == "a":
            raise ValueError

    notifier = EvictionNotifier[str](fail_once, str)
    notifier.on_commit(evictions(1, "a", "b"))
    await notifier.drain()

    assert seen == ["a", "b"]
    assert "on_evict raised an error" in caplog.text


async def test_a_callback_that_drains_from_a_task_of_its_own_does_not_wait_for_itself() -> None:
    async def drain(*_: Any) -> None:
        await asyncio.create_task(notifier.drain())

    notifier = EvictionNotifier[str](drain, str)
    notifier.on_commit(evictions(1, "a"))
    await notifier.drain()

    assert len(notifier) == 0


def test_a_callback_cut_off_by_the_end_of_its_loop_is_repeated_in_the_next() -> None:
    seen: list[str] = []

    async def hang_once(session: str, _: Any) -> None:
        seen.append(session)
        if len(seen) == 1:
            await asyncio.Event().wait()

    notifier = EvictionNotifier[str](hang_once, str)

    async def begin() -> None:
        notifier.on_commit(evictions(1, "a", "b"))
        notifier.schedule()
        await until(lambda: seen)

    async def go_on() -> None:
        notifier.start_over()
        await notifier.drain()

    asyncio.run(begin())
    asyncio.run(go_on())

    assert seen == ["a", "a", "b"]


@pytest.mark.parametrize(
    ("options", "name"),
    [({"idle_ttl": timedelta(0)}, "idle_ttl"), ({"max_sessions": 0}, "max_sessions"), ({"on_evict": 1}, "on_evict")],
)
def test_a_policy_that_cannot_be_kept_is_refused(options: Any, name: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        EvictionPolicy(**options)

    assert caught.value.argument == name


def test_a_loop_that_stood_still_runs_no_callback_beside_the_next_one() -> None:
    seen: list[str] = []
    gates: list[asyncio.Event] = []

    async def wait(session: str, _: Any) -> None:
        seen.append(session)
        gates.append(asyncio.Event())
        await gates[-1].wait()

    notifier = EvictionNotifier[str](wait, str)
    loop = asyncio.new_event_loop()

    async def begin() -> None:
        notifier.on_commit(evictions(1, "a", "b"))
        notifier.schedule()
        await until(lambda: seen)

    async def go_on() -> None:
        gates[0].set()
        for _ in range(5):
            await asyncio.sleep(0)

    loop.run_until_complete(begin())
    notifier.start_over()  # as the store does in the next loop
    loop.run_until_complete(go_on())
    loop.close()

    assert (seen, len(notifier)) == (["a"], 1)
