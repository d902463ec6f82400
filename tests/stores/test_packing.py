"""Idle sessions are packed, and nobody can tell: laws 3, 5, 6 and 10 through packing."""

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
from sessiondex.testing import strategies as some
from tests.support.builders import (
    AGENT,
    CUSTOMER,
    OTHER_AGENT,
    OTHER_TENANT,
    SCENARIO,
    TENANT,
    NotedSession,
    TaggedSession,
    at_step,
    make_session,
    visit,
)
from tests.support.exact_values import exact
from tests.support.mutable_containers import CLASSES, containers, session_with_everything, spoil
from tests.support.stores import check_indexes
from tests.support.unusual_sessions import ODD


async def save_twice(store: InMemorySessionStore, session: Any) -> None:
    for _ in range(2):
        await store.save(session)


async def make_hot(store: InMemorySessionStore, session: Any) -> None:
    """Save the session until the store keeps it live."""
    await save_twice(store, session)
    assert is_hot(store, session)


async def drive_out(store: InMemorySessionStore) -> None:
    """Use so many others that all that were hot are packed."""
    before = set(store._hot)
    for _ in range(store._hot.bound):
        await make_hot(store, make_session(tenant_id=OTHER_TENANT))
    assert not before & set(store._hot)


def is_hot(store: InMemorySessionStore, session: Any) -> bool:
    return session.session_id.bytes in store._hot


QUERIES: list[Callable[[Any, Any], Any]] = [
    lambda store, session: store.get(session.session_id),
    lambda store, session: store.get(session.session_id, tenant_id=session.tenant_id),
    lambda store, session: store.get_by_channel(session.tenant_id, session.channel, session.user_channel_id),
    lambda store, session: store.list_by_agent(session.tenant_id, session.agent_id),
    lambda store, session: store.list_by_agent(session.tenant_id, session.agent_id, status=session.status),
    lambda store, session: store.list_by_customer(session.tenant_id, session.customer_profile_id),
    lambda store, session: store.find_sessions_by_step_hash(session.tenant_id, SCENARIO, 1, "hash-1"),
]


async def asked(query: Callable[[Any, Any], Any], store: Any, session: Any) -> Any:
    answer = await query(store, session)
    return answer[0] if isinstance(answer, list) else answer


# -- no visible difference --


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
async def test_hot_or_packed_makes_no_visible_difference(make_indexed: Any, make: Callable[[], Any]) -> None:
    """Content, classes of every part, extra fields, and which fields count as set: the same in all states."""
    store, session = make_indexed(cache_size=1), make()
    await store.save(session)
    first = await store.get(session.session_id)
    assert not is_hot(store, session)
    found = [first, await store.get(session.session_id), await store.get(session.session_id)]
    assert is_hot(store, session)
    await make_hot(store, session)
    hot_by_saving = await store.get(session.session_id)
    await drive_out(store)
    packed = await store.get(session.session_id)

    assert first == found[1] == found[2]
    assert hot_by_saving == packed == session
    for read in (*found, hot_by_saving, packed):
        assert type(read) is type(session)
        read.__dict__.update(last_activity_at=session.last_activity_at, revision=session.revision)
        assert exact(read) == exact(packed)
        assert read.model_fields_set == packed.model_fields_set == set(type(session).model_fields)
        assert read.model_extra == session.model_extra


@pytest.mark.parametrize("make", [ODD["complete"], ODD["long way"], ODD["extra fields"]])
@pytest.mark.parametrize("through", [copy.copy, copy.deepcopy, lambda found: pickle.loads(pickle.dumps(found))])  # noqa: S301  # our own
async def test_what_a_store_gave_can_be_copied_and_pickled(
    make_indexed: Any, make: Callable[[], Any], through: Callable[[Any], Any]
) -> None:
    """Sessions and their visits, hot or packed, are ordinary models."""
    store, session = make_indexed(cache_size=1), make()
    await make_hot(store, session)
    hot = await store.get(session.session_id)
    await drive_out(store)
    packed = await store.get(session.session_id)

    for found in (hot, packed):
        again = through(found)
        assert exact(again) == exact(found)
        assert again.model_fields_set == found.model_fields_set
        assert [v.model_fields_set for v in again.step_history] == [v.model_fields_set for v in found.step_history]
        await store.save(again)
        assert await store.get(session.session_id) == again


async def test_a_tenant_sees_no_other_tenants_session_hot_or_packed(make_indexed: Any) -> None:
    store, session = make_indexed(cache_size=1), make_session()
    await make_hot(store, session)
    for _ in range(2):
        assert await store.get(session.session_id, tenant_id=OTHER_TENANT) is None
        assert not await store.delete(session.session_id, tenant_id=OTHER_TENANT)
        with pytest.raises(TenantMismatchError):
            await store.save(make_session(session_id=session.session_id, tenant_id=OTHER_TENANT))
        with pytest.raises(TenantMismatchError):
            await store.save_many([make_session(session_id=session.session_id, tenant_id=OTHER_TENANT)])
        assert await store.get(session.session_id, tenant_id=TENANT) == session
        await drive_out(store)


@given(st.lists(st.integers(0, 5).flatmap(lambda n: some.sessions(UUID(int=n))), max_size=5), st.integers(0, 3))
def test_whatever_is_accepted_comes_back_through_packing(sessions: list[Session], cache_size: int) -> None:
    """As `save` left it, whether it was saved, read or driven out since."""
    store: InMemorySessionStore = InMemorySessionStore(cache_size=cache_size)

    async def use() -> None:
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

    asyncio.run(use())
    check_indexes(store)


# -- what is hot --


@pytest.mark.parametrize("use", ["save", "get", "get_by_channel", "list_by_agent"])
async def test_a_session_becomes_hot_with_its_second_use(make_indexed: Any, use: str) -> None:
    """So what is written once, or read once, leaves no live object behind."""
    store, session = make_indexed(cache_size=10), at_step()
    uses: dict[str, Callable[[], Any]] = {
        "save": lambda: store.save(session),
        "get": lambda: store.get(session.session_id),
        "get_by_channel": lambda: store.get_by_channel(TENANT, Channel.WEBCHAT, "user-1"),
        "list_by_agent": lambda: store.list_by_agent(TENANT, AGENT),
    }
    await store.save_many([session])
    await uses[use]()
    assert not is_hot(store, session)
    await uses[use]()
    assert is_hot(store, session)


async def test_a_turn_of_a_conversation_makes_no_session_hot(make_indexed: Any) -> None:
    """It reads once and saves once."""
    store, session = make_indexed(cache_size=10), make_session()
    await store.load([session])
    await store.save(await store.get(session.session_id))

    assert not is_hot(store, session)


async def test_a_walk_over_many_does_not_drive_out_the_busy(make_indexed: Any) -> None:
    store, busy = make_indexed(cache_size=2), [make_session(agent_id=OTHER_AGENT) for _ in range(2)]
    await store.load([at_step() for _ in range(250)])
    for session in busy:
        await make_hot(store, session)
    await store.list_by_agent(TENANT, AGENT, limit=250)
    for session in await store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-1"):
        await store.get(session.session_id)

    assert all(is_hot(store, session) for session in busy)


async def test_the_longest_unused_is_packed_first(make_indexed: Any) -> None:
    """Reading, saving and being found in a list count as use."""
    store = make_indexed(cache_size=4)
    sessions = [make_session(user_channel_id=f"user-{n}", customer_profile_id=UUID(int=n)) for n in range(4)]
    for session in reversed(sessions):
        await make_hot(store, session)
    await store.get(sessions[0].session_id)
    await store.save(sessions[1])
    await store.get_by_channel(TENANT, Channel.WEBCHAT, "user-2")
    await store.list_by_customer(TENANT, UUID(int=3))
    newcomers = [make_session(agent_id=OTHER_AGENT) for _ in range(3)]
    order = []
    for newcomer in newcomers:
        await make_hot(store, newcomer)
        order.append([is_hot(store, session) for session in sessions])

    assert order == [[False, True, True, True], [False, False, True, True], [False, False, False, True]]


async def test_a_hot_session_that_a_list_had_found_packed_drives_out_no_other(make_indexed: Any) -> None:
    """It is used again there, but needs no room: it has become hot meanwhile."""
    store, sessions, other = make_indexed(cache_size=2), [at_step() for _ in range(101)], make_session()
    await store.save_many(sessions)
    await make_hot(store, other)
    listing = asyncio.ensure_future(store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-1"))
    await asyncio.sleep(0)
    for _ in range(2):
        await store.get(sessions[0].session_id)
    assert (is_hot(store, sessions[0]), listing.done()) == (True, False)
    await listing

    assert is_hot(store, other)


async def test_what_is_packed_already_is_not_packed_again(make_indexed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that became hot by reading, or went the long way, is driven out for nothing."""
    store, read, tagged = make_indexed(cache_size=2), make_session(), make_session(TaggedSession, tags={"a"})
    await store.save_many([read])
    for _ in range(2):
        await store.get(read.session_id)
    await make_hot(store, tagged)
    assert is_hot(store, read)
    packed: list[UUID] = []
    pack = store._records.pack

    def recorded(snapshot: Any) -> Any:
        packed.append(snapshot.session_id)
        return pack(snapshot)

    monkeypatch.setattr(store._records, "pack", recorded)
    await drive_out(store)

    assert not {read.session_id, tagged.session_id} & set(packed)
    assert [exact(await store.get(session.session_id)) for session in (read, tagged)] == [exact(read), exact(tagged)]


async def test_hot_sessions_of_a_class_share_what_all_of_them_have(make_indexed: Any) -> None:
    """Which fields are set takes more memory than most sessions: it is kept once, however they became hot."""
    store, saved, read = make_indexed(cache_size=10), make_session(), make_session()
    await make_hot(store, saved)
    await store.save_many([read])
    for _ in range(2):
        await store.get(read.session_id)
    hot = [store._hot.peek(session.session_id.bytes) for session in (saved, read)]

    assert hot[0].__pydantic_fields_set__ is hot[1].__pydantic_fields_set__


async def test_a_bound_of_nothing_keeps_nothing_live(make_indexed: Any) -> None:
    store, session = make_indexed(cache_size=0), at_step(customer_profile_id=CUSTOMER)
    for _ in range(3):
        await store.save(session)
        for query in QUERIES:
            assert await asked(query, store, session) == session

    assert (store.stats().cached_sessions, list(store._hot), dict(store._read._now)) == (0, [], {})


# -- eviction --


@pytest.mark.parametrize("cls", [Session, NotedSession, TaggedSession])
async def test_saved_while_hot_then_driven_out_a_session_is_as_saved_last(
    make_indexed: Any, cls: type[Session]
) -> None:
    store, session = make_indexed(cache_size=1), at_step(cls=cls, customer_profile_id=CUSTOMER)
    await make_hot(store, session)
    session.variables["n"] = 1
    session.agent_id = OTHER_AGENT
    session.step_history.append(visit("hash-1", "again"))
    await store.save(session)
    for query in QUERIES:
        assert exact(await asked(query, store, session)) == exact(session)

    await drive_out(store)
    for query in QUERIES:
        assert exact(await asked(query, store, session)) == exact(session)
    assert await store.list_by_agent(TENANT, AGENT) == []


@pytest.mark.parametrize("cls", [Session, TaggedSession])
async def test_hot_by_reading_then_saved_then_driven_out_a_session_is_as_saved_last(
    make_indexed: Any, cls: type[Session]
) -> None:
    """What was packed when it became hot is not what it is now."""
    store, session = make_indexed(cache_size=1), make_session(cls)
    await store.save_many([session])
    for _ in range(2):
        await store.get(session.session_id)
    assert is_hot(store, session)
    session.variables["n"] = 1
    await store.save(session)
    assert (await store.get(session.session_id)).variables == {"n": 1}

    await drive_out(store)
    assert (await store.get(session.session_id)).variables == {"n": 1}


@pytest.mark.parametrize("delete", ["delete", "delete_many"])
async def test_deleted_while_hot_a_session_is_gone(make_indexed: Any, delete: str) -> None:
    store, session = make_indexed(cache_size=1), at_step(customer_profile_id=CUSTOMER)
    await make_hot(store, session)
    if delete == "delete":
        assert await store.delete(session.session_id)
    else:
        assert await store.delete_many([session.session_id]) == 1

    assert [await query(store, session) for query in QUERIES] == [None, None, None, [], [], [], []]
    assert store.stats().cached_sessions == 0
    session.variables["again"] = True
    await store.save(session)
    assert await store.get(session.session_id) == session


async def test_saved_in_bulk_while_hot_a_session_is_as_saved_last(make_indexed: Any) -> None:
    store, session = make_indexed(cache_size=2), at_step(customer_profile_id=CUSTOMER)
    await make_hot(store, session)
    session.variables["n"] = 1
    session.agent_id = OTHER_AGENT
    await store.save_many([session])
    for query in QUERIES:
        assert exact(await asked(query, store, session)) == exact(session)

    await drive_out(store)
    assert (await store.get(session.session_id)).variables == {"n": 1}


async def test_what_becomes_hot_or_is_driven_out_while_a_batch_is_checked_is_as_saved_last(make_indexed: Any) -> None:
    """Readers do not wait for writers: by the time a batch is written, what it replaces may be kept otherwise."""
    store = make_indexed(cache_size=1)
    hot, packed, *others = [make_session() for _ in range(62)]
    await store.save(packed)
    await make_hot(store, hot)
    hot.variables["n"] = packed.variables["n"] = 1
    saving = asyncio.ensure_future(store.save_many([hot, packed, *others]))
    await asyncio.sleep(0)
    for _ in range(3):
        assert (await store.get(packed.session_id)).variables == {}
    assert (is_hot(store, hot), is_hot(store, packed), saving.done()) == (False, True, False)
    assert len(await saving) == 62

    assert await store.get(hot.session_id) == hot
    assert await store.get(packed.session_id) == packed
    assert store.stats().packed_bytes == sum(len(row) for _, row in store._table._rows.items())


async def test_a_session_may_change_its_class(make_indexed: Any) -> None:
    """Last write wins, also over one that is hot."""
    store, plain = make_indexed(cache_size=1), make_session()
    tagged = make_session(TaggedSession, session_id=plain.session_id, tags={"a"})
    await make_hot(store, plain)
    await store.save(tagged)
    assert exact(await store.get(plain.session_id)) == exact(tagged)
    await drive_out(store)
    assert exact(await store.get(plain.session_id)) == exact(tagged)
    await store.save(plain)
    assert exact(await store.get(plain.session_id)) == exact(plain)


async def test_a_refused_save_leaves_a_hot_session_as_it_was(make_indexed: Any) -> None:
    store, session = make_indexed(cache_size=1), make_session()
    await make_hot(store, session)
    saved = session.model_copy(deep=True)
    session.variables["x"] = float("nan")
    with pytest.raises(InvalidSessionError):
        await store.save(session)
    assert exact(await store.get(session.session_id)) == exact(saved)

    await drive_out(store)
    assert exact(await store.get(session.session_id)) == exact(saved)


uses = st.lists(
    st.tuples(st.sampled_from(["save", "get", "list", "bulk", "delete"]), st.integers(0, 5)), min_size=1, max_size=40
)


@given(uses, st.integers(0, 3))
def test_the_bound_holds_always(uses: list[tuple[str, int]], cache_size: int) -> None:
    store: InMemorySessionStore = InMemorySessionStore(cache_size=cache_size)
    sessions = [make_session() for _ in range(6)]
    calls: dict[str, Callable[[Session], Any]] = {
        "save": store.save,
        "get": lambda session: store.get(session.session_id),
        "list": lambda session: store.list_by_agent(session.tenant_id, session.agent_id),
        "bulk": lambda session: store.save_many([session, *sessions[:2]]),
        "delete": lambda session: store.delete(session.session_id),
    }

    async def use() -> None:
        for call, number in uses:
            await calls[call](sessions[number])
            assert len(store._hot) <= cache_size
            check_indexes(store)

    asyncio.run(use())


# -- isolation --


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("by", ["saving", "bulk"])
async def test_every_read_is_an_object_of_its_own(make_indexed: Any, cls: type[Session], by: str) -> None:
    """The first, packed, the second, which becomes hot, and the third share nothing mutable, nor with the store."""
    store, session = make_indexed(cache_size=2), session_with_everything(cls)
    await (store.save(session) if by == "saving" else store.save_many([session]))
    reads = [await store.get(session.session_id) for _ in range(4)]
    assert is_hot(store, session)
    kept = store._hot.peek(session.session_id.bytes)

    found = [session, kept, *reads]
    parts = [{id(part) for part in (*containers(one), vars(one), one.__pydantic_fields_set__)} for one in found]
    assert all(not mine & other for n, mine in enumerate(parts) for other in parts[n + 1 :])
    for read in reads:
        assert exact(read) == exact(session)
        assert spoil(read) >= 11
        read.__pydantic_fields_set__.clear()
        again = await store.get(session.session_id)
        assert exact(again) == exact(session)
        assert again.model_fields_set == set(cls.model_fields)


@pytest.mark.parametrize("cls", CLASSES)
async def test_what_was_spoilt_is_not_packed(make_indexed: Any, cls: type[Session]) -> None:
    """What the caller has of a hot session does not find its way into the packed one."""
    store, session = make_indexed(cache_size=1), session_with_everything(cls)
    await make_hot(store, session)
    expected = exact(session)
    spoil(await store.get(session.session_id))
    spoil(session)
    await drive_out(store)

    assert exact(await store.get(session.session_id)) == expected


# -- long lists --


@pytest.mark.parametrize("cache_size", [0, 2, 10_000])
async def test_a_long_list_stays_as_it_was_found_whatever_is_written_meanwhile(
    make_indexed: Any, cache_size: int
) -> None:
    """Between its slices sessions are changed, deleted, saved in bulk, and made hot: it has what there was."""
    store, sessions = make_indexed(cache_size=cache_size), [at_step() for _ in range(350)]
    await store.save_many(sessions)
    for session in sessions[::50]:
        await save_twice(store, session)
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
        await store.save(some[0])
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
    assert len(await store.list_by_agent(TENANT, OTHER_AGENT, limit=350)) == turns * 10
    assert store.stats().cached_sessions <= cache_size


@pytest.mark.parametrize("meanwhile", ["saved", "deleted", "deleted and saved", "read"])
async def test_what_a_long_list_found_does_not_become_hot_if_it_is_not_what_is_stored(
    make_indexed: Any, meanwhile: str
) -> None:
    """A session that was read before it was listed is used again there, but what was found may be of the past."""
    store, sessions = make_indexed(cache_size=1_000), [at_step() for _ in range(150)]
    await store.save_many(sessions)
    last, before = sessions[0], exact(sessions[0])
    await store.get(last.session_id)
    listing = asyncio.ensure_future(store.list_by_agent(TENANT, AGENT, limit=150))
    await asyncio.sleep(0)
    if meanwhile.startswith("deleted"):
        await store.delete(last.session_id)
    if meanwhile.endswith("saved"):
        last.variables["n"] = 1
        await store.save(last)
    if meanwhile == "read":
        await store.get(last.session_id)
        assert is_hot(store, last)

    assert exact((await listing)[-1]) == before
    found = await store.get(last.session_id)
    assert found is None if meanwhile == "deleted" else exact(found) == exact(last)
    check_indexes(store)


# -- validators that change their mind --


class Mood:
    """A validator that accepts so many times, and then no more."""

    def __init__(self) -> None:
        self.left = math.inf

    def __call__(self, value: str) -> str:
        self.left -= 1
        if self.left < 0:
            raise ValueError(f"not today: {value}")
        return value


def moody(mood: Mood) -> type[Session]:
    class Moody(Session):
        word: Annotated[str, AfterValidator(mood)] = ""

    return Moody


async def test_a_session_that_no_longer_loads_says_so_and_harms_no_other(make_indexed: Any) -> None:
    """The error names the class, and no content; what is hot is still read; deleting and replacing work."""
    store, mood = make_indexed(cache_size=2), Mood()
    one, other = (make_session(moody(mood), word="hunter2", user_channel_id=f"user-{n}") for n in range(2))
    plain = make_session(user_channel_id="user-2")
    for session in (one, other, plain):
        await store.save(session)
    await make_hot(store, other)
    mood.left = 0
    with pytest.raises(InvalidSessionError, match="Moody does not load what it accepted") as error:
        await store.get(one.session_id)

    assert (error.value.field, error.value.__cause__, "hunter2" in str(error.value)) == (None, None, False)
    with pytest.raises(InvalidSessionError, match="does not load"):
        await store.get_by_channel(TENANT, Channel.WEBCHAT, "user-0")
    with pytest.raises(InvalidSessionError, match="does not load"):
        await store.list_by_agent(TENANT, AGENT)
    assert await store.get(other.session_id) == other
    assert await store.get(plain.session_id) == plain
    assert await store.list_by_agent(TENANT, AGENT, limit=2) == [other, plain]
    await store.save(make_session(session_id=one.session_id, user_channel_id="user-0"))
    assert (await store.get_by_channel(TENANT, Channel.WEBCHAT, "user-0")).session_id == one.session_id
    assert await store.delete(other.session_id)


async def test_a_session_that_does_not_load_today_may_tomorrow(make_indexed: Any) -> None:
    """A failed read changes nothing."""
    store, mood = make_indexed(cache_size=1), Mood()
    session = make_session(moody(mood), word="x")
    await store.save(session)
    mood.left = 1
    assert await store.get(session.session_id) == session
    for _ in range(3):
        with pytest.raises(InvalidSessionError, match="does not load"):
            await store.get(session.session_id)
    assert not is_hot(store, session)

    mood.left = math.inf
    assert await store.get(session.session_id) == session


async def test_a_hot_session_is_driven_out_whatever_its_validators_say(make_indexed: Any) -> None:
    """To make room for another must not depend on them: it was packed when it was checked."""
    store, mood = make_indexed(cache_size=1), Mood()
    session, other = make_session(moody(mood), word="x"), make_session()
    await make_hot(store, session)
    mood.left = 0
    await make_hot(store, other)
    assert (is_hot(store, session), is_hot(store, other)) == (False, True)

    mood.left = math.inf
    assert await store.get(session.session_id) == session


# -- the store's own check --


@pytest.mark.parametrize(
    ("spoil_it", "reason"),
    [
        (lambda store, _hot, _packed, one: store._hot.put(b"x" * 16, one), "hot sessions that are not stored"),
        (lambda store, _hot, packed, one: store._hot.put(packed, one), "hot and packed"),
        (lambda store, hot, _packed, _one: store._hot.discard(hot), "hot or packed"),
        (lambda store, hot, _packed, _one: vars(store._hot.peek(hot)).update(agent_id=OTHER_AGENT), "entries of row"),
        (lambda store, hot, _packed, _one: vars(store._hot.peek(hot)).update(session_id=OTHER_AGENT), "key of a"),
        (lambda store, hot, _packed, one: store._table.replace_value(hot, store._records.pack(one)), "hot and packed"),
        (lambda store, _hot, packed, one: store._table.replace_value(packed, store._records.pack(one)), "key of a"),
    ],
)
async def test_check_sees_what_is_wrong(spoil_it: Callable[..., None], reason: str) -> None:
    """The check can fail: for what is hot, what is packed, and what is both."""
    store: InMemorySessionStore = InMemorySessionStore(cache_size=1)
    hot, packed = make_session(), make_session()
    await make_hot(store, hot)
    await store.save(packed)
    check_indexes(store)
    hot.variables["changed"] = True
    spoil_it(store, hot.session_id.bytes, packed.session_id.bytes, hot)

    with pytest.raises(AssertionError, match=reason):
        check_indexes(store)


async def test_check_sees_more_hot_sessions_than_there_should_be() -> None:
    store: InMemorySessionStore = InMemorySessionStore(cache_size=1)
    sessions = [make_session() for _ in range(2)]
    await store.save_many(sessions)
    for session in sessions:
        store._hot.put(session.session_id.bytes, session)

    with pytest.raises(AssertionError, match="beyond their bound: found 1"):
        check_indexes(store)
