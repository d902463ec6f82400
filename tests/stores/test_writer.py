"""Writer, without a store and without an event loop."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from sessiondex import ChangeKind, ConflictError, EvictionReason, TenantMismatchError
from sessiondex.clock import to_microseconds
from sessiondex.queries import Expected
from sessiondex.stores.eviction import EvictionPolicy
from tests.support.builders import OTHER_TENANT, START
from tests.support.cores import BACKENDS, Core, Recorder

NOW = to_microseconds(START)
HOUR = timedelta(hours=1)


@pytest.fixture(params=BACKENDS)
def make_backend(request: pytest.FixtureRequest) -> Any:
    return BACKENDS[request.param]


@pytest.fixture
def core(make_backend: Any) -> Core:
    return Core(make_backend)


# -- saving and removing --


def test_a_new_session_has_the_stamp_of_the_clock_and_revision_1(core: Core) -> None:
    prepared = core.prepare()

    assert core.writer.put(prepared) == (NOW, 1) == core.version(prepared.session_id)
    assert core.writer.put(prepared) == (NOW + 1, 2) == core.version(prepared.session_id)


def test_mutations_are_numbered_and_published_in_order(core: Core) -> None:
    """Also to a listener that subscribes later, from then on."""
    first, second = core.prepare(), core.prepare()
    core.writer.put(first)
    late = Recorder()
    core.writer.subscribe(late)
    core.writer.put_many([second, first])
    core.writer.remove([first.session_id, second.session_id], None)

    assert core.recorder.sequences == [1, 2, 3, 4, 5]
    assert late.sequences == [2, 3, 4, 5]
    assert core.writer.last_sequence == 5
    kinds = [ChangeKind.SAVED] * 3 + [ChangeKind.DELETED] * 2
    ids = [one.session_id for one in (first, second, first, first, second)]
    assert core.recorder.kinds == list(zip(kinds, ids, strict=True))
    assert core.recorder.calls == 3


def test_of_two_saves_of_a_session_in_a_batch_only_the_later_is_published(core: Core) -> None:
    first, second = core.prepare(), core.prepare()

    assert core.writer.put_many([first, second, first]) == [(NOW, 1), (NOW + 1, 1), (NOW + 2, 2)]
    assert [(one.session_id, one.stamp, one.revision) for one in core.recorder.mutations] == [
        (second.session_id, NOW + 1, 1),
        (first.session_id, NOW + 2, 2),
    ]


@pytest.mark.parametrize("expected", [Expected(0), Expected(2), Expected(1, "another")], ids=str)
def test_another_version_than_the_expected_one_is_not_replaced(core: Core, expected: Expected) -> None:
    """And takes no stamp."""
    prepared = core.prepare()
    core.writer.put(prepared)
    with pytest.raises(ConflictError):
        core.writer.put(prepared, expected)

    assert core.version(prepared.session_id) == (NOW, 1)
    assert core.recorder.sequences == [1]
    assert core.writer.put(prepared, Expected(1, core.generation(prepared))) == (NOW + 1, 2)


def test_a_generation_outlives_saves_and_touches_but_no_removal(core: Core) -> None:
    """Expecting another one is refused, though the revision is the same; also after a version was restored."""
    prepared = core.prepare()
    core.writer.put(prepared)
    core.writer.touch(prepared.session_id, None)
    first = core.generation(prepared)
    assert core.writer.put(prepared, Expected(1, first), touch=False) == (NOW + 1, 2)
    core.writer.remove([prepared.session_id], None)
    for _ in range(2):
        core.writer.put(prepared)
    with pytest.raises(ConflictError):
        core.writer.put(prepared, Expected(2, first))
    second = core.generation(prepared)
    core.writer.restore([(prepared, NOW + 9, 2)])
    with pytest.raises(ConflictError):
        core.writer.put(prepared, Expected(2, second))

    assert core.writer.put(prepared, Expected(2, core.generation(prepared)))[1] == 3


def test_a_save_without_touch_keeps_the_stamp_of_a_stored_session(core: Core) -> None:
    """A new one gets a stamp, once, also if it is twice in a batch. The next stamp is greater than all."""
    stored, new = core.prepare(), core.prepare()
    core.writer.put(stored)
    other = core.writer.put(core.prepare())

    assert core.writer.put(stored, touch=False) == (NOW, 2)
    versions = core.writer.put_many([stored, new, stored, new], touch=False)
    assert versions == [(NOW, 3), (other[0] + 1, 1), (NOW, 4), (other[0] + 1, 2)]
    assert core.version(stored.session_id) == (NOW, 4)
    assert core.version(new.session_id) == (other[0] + 1, 2)
    assert core.writer.put(stored) == (other[0] + 2, 5)


def test_a_touch_gives_a_new_stamp_and_keeps_the_revision(core: Core) -> None:
    prepared, other = core.prepare(), core.prepare()
    core.writer.put_many([prepared, other])

    assert core.writer.touch(prepared.session_id, None) is True
    assert core.version(prepared.session_id) == (NOW + 2, 1)
    assert core.writer.touch(prepared.session_id, prepared.tenant_id) is True
    assert core.writer.touch(prepared.session_id, OTHER_TENANT) is False
    assert core.writer.touch(UUID(int=0), None) is False
    assert core.version(prepared.session_id) == (NOW + 3, 1)
    touched = [one for one in core.recorder.mutations if one.kind is ChangeKind.TOUCHED]
    assert [(one.session_id, one.stamp, one.revision) for one in touched] == [
        (prepared.session_id, NOW + 2, 1),
        (prepared.session_id, NOW + 3, 1),
    ]
    assert core.recorder.sequences == [1, 2, 3, 4]


def test_a_batch_is_refused_if_one_of_its_sessions_has_another_revision_than_expected(core: Core) -> None:
    """The later of two with one id expects the revision of the earlier."""
    stored, new = core.prepare(), core.prepare()
    core.writer.put(stored)
    with pytest.raises(ConflictError) as caught:
        core.writer.put_many([new, stored, new], [Expected(0), Expected(1), Expected(2)], first=7)
    assert (caught.value.session_id, caught.value.expected, caught.value.actual) == (new.session_id, 2, 1)
    assert any("number 9" in note for note in caught.value.__notes__)
    assert (core.version(stored.session_id), core.version(new.session_id)) == ((NOW, 1), None)

    versions = core.writer.put_many([new, stored, new], [Expected(0), None, Expected(1)])
    assert versions == [(NOW + 1, 1), (NOW + 2, 2), (NOW + 3, 2)]


def test_an_id_of_another_tenant_is_refused_with_the_whole_batch(core: Core) -> None:
    mine, new = core.prepare(), core.prepare()
    core.writer.put(mine)
    theirs = core.prepare(session_id=mine.session_id, tenant_id=OTHER_TENANT)
    with pytest.raises(TenantMismatchError):
        core.writer.put(theirs)
    with pytest.raises(TenantMismatchError) as caught:
        core.writer.put_many([new, theirs], first=7)

    assert any("number 8" in note for note in caught.value.__notes__)
    assert core.version(new.session_id) is None
    assert core.recorder.sequences == [1]


def test_a_removal_counts_sessions_of_the_tenant_once(core: Core) -> None:
    mine, theirs = core.prepare(), core.prepare(tenant_id=OTHER_TENANT)
    core.writer.put_many([mine, theirs])
    ids = [mine.session_id, theirs.session_id, mine.session_id, UUID(int=0)]

    assert core.writer.remove(ids, OTHER_TENANT) == 1
    assert core.writer.remove(ids, None) == 1
    assert core.writer.remove(ids, None) == 0
    assert core.writer.last_sequence == 4


# -- restoring --


def test_restore_moves_taken_stamps_to_the_next_free_microsecond(core: Core) -> None:
    """Stamps are free per tenant. Mutations come in the order of stamps, and later stamps are greater."""
    stored = core.prepare()
    core.writer.put(stored)
    batch = [core.prepare() for _ in range(4)]
    theirs = core.prepare(tenant_id=OTHER_TENANT)
    wanted = [NOW + 2, NOW, NOW, NOW + 9]
    versions = [(one, stamp, 5) for one, stamp in zip(batch, wanted, strict=True)]

    assert core.writer.restore([*versions, (theirs, NOW, 1)]) == 5
    stamps = [core.version(one.session_id) for one in batch]
    assert stamps == [(NOW + 3, 5), (NOW + 1, 5), (NOW + 2, 5), (NOW + 9, 5)]
    assert core.version(theirs.session_id) == (NOW, 1)
    published = [mutation.stamp for mutation in core.recorder.mutations[1:]]
    assert published == sorted(published)
    assert core.writer.put(stored) == (NOW + 10, 2)


def test_restoring_many_equal_stamps_looks_at_each_stamp_once(make_backend: Any) -> None:
    """Not again for each session, which would take quadratic time."""

    class CountingBackend:
        def __init__(self, codec: Any) -> None:
            self.inner, self.looked = make_backend(codec), 0

        def has_stamp(self, tenant_id: UUID, stamp: int) -> bool:
            self.looked += 1
            return bool(self.inner.has_stamp(tenant_id, stamp))

        def __len__(self) -> int:
            return len(self.inner)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

    core = Core(CountingBackend)
    for _ in range(2):
        core.writer.restore([(core.prepare(), NOW, 1) for _ in range(50)])

    assert core.backend.looked == 50 + 100


def test_restore_leaves_later_and_expired_sessions_alone(make_backend: Any) -> None:
    core = Core(make_backend, policy=EvictionPolicy(idle_ttl=HOUR))
    stored, expired = core.prepare(), core.prepare()
    core.writer.put(stored)

    assert core.writer.restore([(stored, NOW, 1), (stored, NOW - 1, 9), (expired, NOW - 3_600_000_001, 1)]) == 0
    assert core.version(stored.session_id) == (NOW, 1)


# -- eviction --


def test_expired_sessions_are_evicted_in_slices(make_backend: Any) -> None:
    """A slice is over when its time or its count is used up. The longest idle session goes first."""
    core = Core(make_backend, policy=EvictionPolicy(idle_ttl=HOUR))
    ids = core.put_new(5)
    core.clock.time = START + HOUR + timedelta(minutes=2, microseconds=1)  # three have expired

    assert core.writer.evict_expired(max_count=10, budget_seconds=-1) is True
    assert len(core.backend) == 4
    assert core.writer.evict_expired(max_count=1, budget_seconds=60) is True
    assert len(core.backend) == 3
    assert core.writer.evict_expired(max_count=10, budget_seconds=60) is False
    evicted = [mutation for mutation in core.recorder.mutations if mutation.kind is ChangeKind.EVICTED]
    assert [(one.session_id, one.reason) for one in evicted] == [(one, EvictionReason.IDLE) for one in ids[:3]]
    assert all(core.backend.to_session(one.stored).session_id == one.session_id for one in evicted)


def test_the_surplus_is_evicted_in_slices(make_backend: Any) -> None:
    """Expired sessions among it are reported as such."""
    core = Core(make_backend, policy=EvictionPolicy(idle_ttl=HOUR, max_sessions=2))
    ids = core.put_new(5)
    core.clock.time = START + HOUR + timedelta(microseconds=1)  # one has expired

    assert [core.writer.evict_surplus(budget_seconds=-1) for _ in range(4)] == [True, True, False, False]
    reasons = [(one.session_id, one.reason) for one in core.recorder.mutations if one.kind is ChangeKind.EVICTED]
    assert reasons == [
        (ids[0], EvictionReason.IDLE),
        (ids[1], EvictionReason.CAP),
        (ids[2], EvictionReason.CAP),
    ]


def test_an_expired_session_is_evicted_before_its_id_is_saved_again(make_backend: Any) -> None:
    core = Core(make_backend, policy=EvictionPolicy(idle_ttl=HOUR))
    [session_id] = core.put_new(1)
    core.clock.move(hours=2)
    theirs = core.prepare(session_id=session_id, tenant_id=OTHER_TENANT)

    assert core.writer.put(theirs, Expected(0))[1] == 1
    assert [kind for kind, _ in core.recorder.kinds] == [ChangeKind.SAVED, ChangeKind.EVICTED, ChangeKind.SAVED]


def test_an_expired_session_is_evicted_and_not_touched(make_backend: Any) -> None:
    core = Core(make_backend, policy=EvictionPolicy(idle_ttl=HOUR))
    [session_id] = core.put_new(1)
    core.clock.move(hours=2)

    assert core.writer.touch(session_id, None) is False
    assert [kind for kind, _ in core.recorder.kinds] == [ChangeKind.SAVED, ChangeKind.EVICTED]


def test_an_erasure_removes_expired_sessions_too_and_evicts_none(make_backend: Any) -> None:
    """It counts those that had not expired."""
    core = Core(make_backend, policy=EvictionPolicy(idle_ttl=HOUR))
    ids = core.put_new(4)
    core.clock.time = START + HOUR + timedelta(minutes=1, microseconds=1)  # two have expired

    assert core.writer.erase(ids[:3]) == 1
    assert core.recorder.kinds[4:] == [(ChangeKind.DELETED, session_id) for session_id in ids[:3]]
    assert [core.version(session_id) is None for session_id in ids] == [True, True, True, False]


# -- interruptions --


def interrupt(part: Any, method: str, calls: Sequence[int]) -> None:
    """Make the calls of these numbers, from 0, raise `KeyboardInterrupt` after they took effect."""
    original, numbers = getattr(part, method), iter(range(1_000))

    def run(*arguments: Any) -> Any:
        result = original(*arguments)
        if next(numbers) in calls:
            raise KeyboardInterrupt
        return result

    setattr(part, method, run)


@pytest.mark.parametrize("call", [0, 1, 2])
def test_an_interrupted_commit_is_finished_at_once_and_published_once(core: Core, call: int) -> None:
    batch = [core.prepare() for _ in range(3)]
    interrupt(core.backend, "apply", [call])
    with pytest.raises(KeyboardInterrupt):
        core.writer.put_many(batch)

    assert [core.version(one.session_id) for one in batch] == [(NOW, 1), (NOW + 1, 1), (NOW + 2, 1)]
    assert (core.recorder.calls, core.recorder.sequences) == (1, [1, 2, 3])
    assert core.events == ["suspend"], "the owner must recover before it goes on"
    core.writer.recover()
    assert core.recorder.calls == 1
    core.backend.check()


def test_a_commit_whose_recovery_is_interrupted_is_finished_by_the_next(core: Core) -> None:
    batch = [core.prepare() for _ in range(3)]
    interrupt(core.backend, "apply", [1])
    interrupt(core.backend, "recover", [0])
    with pytest.raises(KeyboardInterrupt):
        core.writer.put_many(batch)
    assert core.recorder.calls == 0

    for _ in range(2):
        core.writer.recover()
    assert (core.recorder.calls, core.recorder.sequences) == (1, [1, 2, 3])
    assert core.writer.last_sequence == 3
    core.backend.check()
    core.writer.remove([batch[0].session_id], None)
    assert core.recorder.sequences == [1, 2, 3, 4]


def test_a_commit_whose_publication_is_interrupted_reaches_every_listener(core: Core) -> None:
    """A listener that had it already gets it again, and ignores it."""
    second = Recorder()
    interrupt(second, "on_commit", [0])
    core.writer.subscribe(second)
    third = Recorder()
    core.writer.subscribe(third)
    with pytest.raises(KeyboardInterrupt):
        core.writer.put(core.prepare())

    assert [one.sequences for one in (core.recorder, second, third)] == [[1]] * 3
    assert [one.calls for one in (core.recorder, second, third)] == [2, 2, 1]
    assert core.writer.last_sequence == 1


def test_a_commit_is_suspended_while_it_is_applied(core: Core) -> None:
    interrupt(core.backend, "apply", [])
    core.writer.put(core.prepare())

    assert core.events == ["suspend", "resume"]


# -- threads --


def test_several_threads_write_under_a_mutex(make_backend: Any) -> None:
    """No save is lost, stamps are distinct, and sequences have no gap."""
    core, mutex, thread_count, save_count = Core(make_backend), threading.Lock(), 4, 25
    shared, start = core.prepare(), threading.Barrier(thread_count)
    own_sessions = [[core.prepare() for _ in range(save_count)] for _ in range(thread_count)]

    def work(number: int) -> list[tuple[int, int]]:
        start.wait()
        versions = []
        for own in own_sessions[number]:
            with mutex:
                core.writer.recover()
                versions += core.writer.put_many([own, shared])
        return versions

    with ThreadPoolExecutor(thread_count) as pool:
        versions = [version for done in pool.map(work, range(thread_count)) for version in done]

    total = thread_count * save_count
    assert len({stamp for stamp, _ in versions}) == len(versions) == 2 * total
    assert core.version(shared.session_id) == (NOW + 2 * total - 1, total)
    assert core.recorder.sequences == list(range(1, 2 * total + 1))
    assert len(core.backend) == total + 1
    core.backend.check()
