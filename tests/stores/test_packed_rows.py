"""Packed rows: sessions come back equal whether they are cached or packed, and long lists stay as they were found."""

from __future__ import annotations

import asyncio
import copy
import math
import pickle
from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator

from sessiondex import Channel, InMemorySessionStore, InvalidSessionError, Session, TenantMismatchError
from sessiondex.testing import strategies
from tests.support.builders import AGENT, OTHER_AGENT, SCENARIO, TENANT, at_step, make_session
from tests.support.cached_sessions import cache, replace_in_cache, save_and_cache
from tests.support.exact_values import exact
from tests.support.mutable_containers import CLASSES, session_with_everything, spoil
from tests.support.stores import check_indexes, is_cached, size_of_rows
from tests.support.unusual_sessions import ODD

# -- what comes back --


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
async def test_an_unusual_session_is_read_cached_and_packed(make_indexed: Any, make: Callable[[], Any]) -> None:
    """Contents, classes of all parts, extra fields and set fields are the same."""
    store, session = make_indexed(cache_size=1), make()
    await store.save(session)
    found = [await store.get(session.session_id) for _ in range(3)]
    assert is_cached(store, session)
    await replace_in_cache(store, session)
    found.append(await store.get(session.session_id))

    for read in found:
        assert read == session
        assert type(read) is type(session)
        assert exact(read) == exact(found[0])
        assert read.model_fields_set == set(type(session).model_fields)
        assert read.model_extra == session.model_extra


@pytest.mark.parametrize("make", [ODD["complete"], ODD["long way"], ODD["extra fields"]])
@pytest.mark.parametrize("through", [copy.copy, copy.deepcopy, lambda found: pickle.loads(pickle.dumps(found))])  # noqa: S301  # our own
async def test_a_session_from_a_store_is_copied_or_pickled(
    make_indexed: Any, make: Callable[[], Any], through: Callable[[Any], Any]
) -> None:
    """It is an ordinary model, and can be saved again."""
    store, session = make_indexed(cache_size=1), make()
    await save_and_cache(store, session)
    cached = await store.get(session.session_id)
    await replace_in_cache(store, session)
    packed = await store.get(session.session_id)

    for found in (cached, packed):
        again = through(found)
        assert exact(again) == exact(found)
        assert again.model_fields_set == found.model_fields_set
        assert [v.model_fields_set for v in again.step_history] == [v.model_fields_set for v in found.step_history]
        await store.save(again)
        assert await store.get(session.session_id) == again


sessions_of_few_ids = st.lists(st.integers(0, 5).flatmap(lambda n: strategies.sessions(UUID(int=n))), max_size=5)


@given(sessions_of_few_ids, st.integers(0, 3))
def test_any_accepted_session_comes_back_as_save_left_it(sessions: list[Session], cache_size: int) -> None:
    store: InMemorySessionStore = InMemorySessionStore(cache_size=cache_size)

    async def run() -> None:
        expected = {}
        for session in sessions:
            try:
                for _ in range(2):
                    await store.save(session)
            except TenantMismatchError:
                continue
            expected[session.session_id] = exact(session)
            for other in [*expected, *expected]:
                assert exact(await store.get(other)) == expected[other]

    asyncio.run(run())
    check_indexes(store)


@pytest.mark.parametrize("cls", CLASSES)
async def test_changes_of_the_caller_do_not_reach_the_row(make_indexed: Any, cls: type[Session]) -> None:
    store, session = make_indexed(cache_size=1), session_with_everything(cls)
    await save_and_cache(store, session)
    expected = exact(session)
    spoil(await store.get(session.session_id))
    spoil(session)
    await replace_in_cache(store, session)

    assert exact(await store.get(session.session_id)) == expected


# -- long lists and batches, while other tasks work --


@pytest.mark.usefixtures("short_slices")
async def test_sessions_are_read_while_a_batch_is_prepared(make_indexed: Any) -> None:
    """Readers see the versions before the batch, and all new ones after it."""
    store = make_indexed(cache_size=1)
    cached, packed, *others = [make_session() for _ in range(62)]
    await store.save(packed)
    await save_and_cache(store, cached)
    cached.variables["n"] = packed.variables["n"] = 1
    saving = asyncio.ensure_future(store.save_many([cached, packed, *others]))
    await asyncio.sleep(0)
    for _ in range(3):
        assert (await store.get(packed.session_id)).variables == {}
    assert (is_cached(store, cached), is_cached(store, packed), saving.done()) == (False, True, False)
    assert len(await saving) == 62

    assert await store.get(cached.session_id) == cached
    assert await store.get(packed.session_id) == packed
    assert store.stats().packed_bytes == size_of_rows(store)


@pytest.mark.usefixtures("short_slices")
@pytest.mark.parametrize("cache_size", [0, 2, 10_000])
async def test_other_tasks_work_while_a_long_list_is_read(make_indexed: Any, cache_size: int) -> None:
    """Between its slices sessions are changed, deleted, saved in bulk and cached; the list is that of its beginning."""
    store, sessions = make_indexed(cache_size=cache_size), [at_step() for _ in range(350)]
    await store.save_many(sessions)
    for session in sessions[::50]:
        for _ in range(2):
            await store.get(session.session_id)
    expected = [exact(found) for found in await store.list_by_agent(TENANT, AGENT, limit=350)]
    listing = asyncio.ensure_future(store.list_by_agent(TENANT, AGENT, limit=350))
    finding = asyncio.ensure_future(store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-1"))
    turns = 0
    while not (listing.done() and finding.done()):
        await asyncio.sleep(0)
        some = sessions[turns * 20 : turns * 20 + 20]
        for session in some[:10]:
            session.variables["changed"] = turns
            session.agent_id = OTHER_AGENT
        if some:
            await store.save(some[0])
            await store.save_many(some[1:10])
            await store.delete_many([session.session_id for session in some[10:15]])
            await store.delete(some[15].session_id)
        for session in some[16:]:
            for _ in range(3):
                await store.get(session.session_id)
        turns += 1

    assert turns >= 4
    assert [exact(found) for found in listing.result()] == expected
    assert [exact(found) for found in finding.result()] == expected
    assert store.stats().cached_sessions <= cache_size


@pytest.mark.usefixtures("short_slices")
@pytest.mark.parametrize("change", ["save", "delete", "delete and save", "read"])
async def test_a_session_is_changed_after_a_list_found_it(make_indexed: Any, change: str) -> None:
    """The list has the version that it found; the cache never gets a version that is no longer stored."""
    store, sessions = make_indexed(cache_size=1_000), [at_step() for _ in range(150)]
    await store.save_many(sessions)
    last, before = sessions[0], exact(sessions[0])
    await store.get(last.session_id)
    listing = asyncio.ensure_future(store.list_by_agent(TENANT, AGENT, limit=150))
    await asyncio.sleep(0)
    assert not listing.done()
    if "delete" in change:
        await store.delete(last.session_id)
    if "save" in change:
        last.variables["n"] = 1
        await store.save(last)
    if change == "read":
        await cache(store, last)

    assert exact((await listing)[-1]) == before
    found = await store.get(last.session_id)
    assert found is None if change == "delete" else exact(found) == exact(last)
    check_indexes(store)


# -- validators that change their verdict --


class Quota:
    """A validator that accepts so many times, and then no more."""

    def __init__(self) -> None:
        self.left = math.inf

    def __call__(self, value: str) -> str:
        self.left -= 1
        if self.left < 0:
            raise ValueError(f"not today: {value}")
        return value


def with_quota(quota: Quota) -> type[Session]:
    class Limited(Session):
        word: Annotated[str, AfterValidator(quota)] = ""

    return Limited


async def test_a_session_that_no_longer_loads(make_indexed: Any) -> None:
    """The error names the class and no content. Cached sessions are still read; deleting and replacing work."""
    store, quota = make_indexed(cache_size=2), Quota()
    one, other = (make_session(with_quota(quota), word="hunter2", user_channel_id=f"user-{n}") for n in range(2))
    plain = make_session(user_channel_id="user-2")
    for session in (one, other, plain):
        await store.save(session)
    await cache(store, other)
    quota.left = 0
    with pytest.raises(InvalidSessionError, match="Limited does not load what it accepted") as error:
        await store.get(one.session_id)

    assert (error.value.field, "hunter2" in str(error.value)) == ("word", False)
    with pytest.raises(InvalidSessionError, match="does not load"):
        await store.get_by_channel(TENANT, Channel.WEBCHAT, "user-0")
    with pytest.raises(InvalidSessionError, match="does not load"):
        await store.list_by_agent(TENANT, AGENT)
    assert await store.get(other.session_id) == other
    assert await store.list_by_agent(TENANT, AGENT, limit=2) == [plain, other]
    await store.save(make_session(session_id=one.session_id, user_channel_id="user-0"))
    assert (await store.get_by_channel(TENANT, Channel.WEBCHAT, "user-0")).session_id == one.session_id
    assert await store.delete(other.session_id)


async def test_a_session_that_does_not_load_today_may_tomorrow(make_indexed: Any) -> None:
    """A failed read changes nothing."""
    store, quota = make_indexed(cache_size=1), Quota()
    session = make_session(with_quota(quota), word="x")
    await store.save(session)
    quota.left = 1
    assert await store.get(session.session_id) == session
    for _ in range(3):
        with pytest.raises(InvalidSessionError, match="does not load"):
            await store.get(session.session_id)
    assert not is_cached(store, session)

    quota.left = math.inf
    assert await store.get(session.session_id) == session


async def test_a_cached_session_that_no_longer_loads_is_evicted_from_the_cache(make_indexed: Any) -> None:
    """Making room does not depend on its validators: it is packed already."""
    store, quota = make_indexed(cache_size=1), Quota()
    session, other = make_session(with_quota(quota), word="x"), make_session()
    await save_and_cache(store, session)
    quota.left = 0
    await save_and_cache(store, other)
    assert (is_cached(store, session), is_cached(store, other)) == (False, True)

    quota.left = math.inf
    assert await store.get(session.session_id) == session
