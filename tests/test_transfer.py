"""Moving all sessions from one store to another."""

from __future__ import annotations

from typing import Any

import pytest

from sessiondex import CopyProgress, InMemorySessionStore, InvalidArgumentError, ScanSessionStore, copy_sessions
from tests.support.builders import at_step
from tests.support.copies import answers, fill
from tests.support.stores import check_indexes


@pytest.mark.parametrize("page_size", [1, 7, 500])
async def test_all_queries_of_the_copy_answer_alike(make_store: Any, page_size: int) -> None:
    """There and back again, with stamps and revisions."""
    source, middle, target = make_store(), ScanSessionStore[Any](), InMemorySessionStore[Any]()
    sessions = await fill(source)
    there = await copy_sessions(source, middle, page_size=page_size)
    back = await copy_sessions(middle, target, page_size=page_size)

    assert CopyProgress(50, 50, None) == there == back
    assert await answers(source, sessions) == await answers(middle, sessions) == await answers(target, sessions)
    check_indexes(target)


async def test_a_copy_that_was_interrupted_goes_on_from_its_cursor(make_store: Any) -> None:
    source, target, seen = make_store(), ScanSessionStore[Any](), list[CopyProgress]()
    sessions = await fill(source)

    def fail_at_the_third(progress: CopyProgress) -> None:
        seen.append(progress)
        if len(seen) == 3:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await copy_sessions(source, target, page_size=10, progress=fail_at_the_third)
    rest = await copy_sessions(source, target, page_size=10, cursor=seen[-1].cursor)

    assert [progress.read for progress in seen] == [10, 20, 30]
    assert 20 == rest.read == rest.restored
    assert await answers(source, sessions) == await answers(target, sessions)


async def test_progress_may_be_a_coroutine_function(make_store: Any) -> None:
    source, seen = make_store(), list[int]()
    await fill(source)

    async def note(progress: CopyProgress) -> None:
        seen.append(progress.restored)

    await copy_sessions(source, ScanSessionStore(), page_size=20, progress=note)

    assert seen == [20, 40, 50]


async def test_a_second_copy_brings_what_was_saved_since(make_store: Any) -> None:
    """And undoes nothing that was saved in the target."""
    source, target = make_store(), ScanSessionStore[Any]()
    first, *_ = sessions = await fill(source)
    await copy_sessions(source, target)
    first.turn_count = 99
    await source.save(first)
    await target.restore([first])
    again = await copy_sessions(source, target)

    assert (again.read, again.restored) == (50, 0)
    assert await answers(source, sessions) == await answers(target, sessions)


async def test_a_store_is_not_copied_into_itself(store: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="target: must be another store"):
        await copy_sessions(store, store)


async def test_a_session_that_comes_twice_is_restored_once(store: Any) -> None:
    """The later of the two."""
    early, late = (at_step(revision=number) for number in (1, 2))
    late.session_id, late.last_activity_at = early.session_id, early.last_activity_at.replace(year=2030)
    count = await store.restore([late, early])

    assert count == 1
    assert late == await store.get(late.session_id)


async def test_wrong_arguments_are_named() -> None:
    wrong: Any = "a store"
    store = ScanSessionStore[Any]()
    for named, call in (
        ("source", copy_sessions(wrong, store)),
        ("target", copy_sessions(store, wrong)),
        ("progress", copy_sessions(store, ScanSessionStore[Any](), progress=wrong)),
    ):
        with pytest.raises(InvalidArgumentError) as error:
            await call

        assert error.value.argument == named
