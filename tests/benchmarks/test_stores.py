"""Every store that is compared answers as the library's scan store does."""

from uuid import uuid4

import pytest

from benchmarks.measure.clock import SteppedClock
from benchmarks.measure.progress import Progress
from benchmarks.scenarios import answers
from benchmarks.scenarios.loading import Loaded, load
from benchmarks.scenarios.operations import OPERATIONS, READS, SERVICE_READS, UPDATE, change, once
from benchmarks.scenarios.sessions import Population
from benchmarks.stores.reference import ReferenceScan
from benchmarks.stores.subjects import INDEXED, KINDS, LIVE, REFERENCE, SCAN_STORE, installed_version
from sessiondex import SessionNotFoundError, SessionStatus

NAMES = [name for name in KINDS if installed_version(name) is not None]


async def _changed_a_bit(loaded: Loaded) -> None:
    """Delete some sessions; change others, also their status, and save them."""
    for number, keys in list(loaded.keys.items())[:60]:
        next(iter(loaded.subjects.values())).clock.tick()
        for subject in loaded.subjects.values():
            if number % 5 == 0:
                assert await subject.store.delete(keys.session_id)
                assert not await subject.store.delete(keys.session_id)
                continue
            session = await subject.store.get(keys.session_id)
            assert session is not None
            change(session)
            if number % 3 == 0:
                session.status = SessionStatus.CLOSED
            await subject.store.save(session)


async def test_same_answers() -> None:
    """After saves, changes and deletions, every query gives the same sessions with the same content in order."""
    async with load(NAMES, Population(200, seed=7), Progress()) as loaded:
        await _changed_a_bit(loaded)
        keys = list(loaded.keys.values())[:80]
        expected = await answers.collect(loaded.subjects[SCAN_STORE], keys, READS)

        assert all(any(answer) for answer in expected.values())
        for name, subject in loaded.subjects.items():
            assert expected == await answers.collect(subject, keys, READS), name
        for name in (SCAN_STORE, REFERENCE):
            counts = await answers.collect(loaded.subjects[INDEXED], keys, SERVICE_READS)
            assert counts == await answers.collect(loaded.subjects[name], keys, SERVICE_READS)


async def test_operations_leave_all_sessions() -> None:
    """Timing an operation loses no session: what is deleted is saved again."""
    async with load(NAMES, Population(40, seed=7), Progress()) as loaded:
        for subject in loaded.subjects.values():
            for operation in OPERATIONS:
                assert (await once(operation, subject, loaded.keys[3])).results >= 1
            for keys in loaded.keys.values():
                assert await subject.store.get(keys.session_id)


async def test_isolation_is_as_declared() -> None:
    """A change of a session that was handed out shows in the store if, and only if, it hands out live objects."""
    async with load(NAMES, Population(20, seed=7), Progress()) as loaded:
        for name, subject in loaded.subjects.items():
            session_id = loaded.keys[0].session_id
            session = await subject.store.get(session_id)
            assert session is not None
            session.turn_count = 77
            again = await subject.store.get(session_id)
            assert again is not None
            assert (again.turn_count == 77) == (KINDS[name].hands_out == LIVE)


async def test_update_of_the_reference() -> None:
    """It changes what is stored, and refuses what is not there as the library does."""
    async with load([INDEXED, REFERENCE], Population(20, seed=7), Progress()) as loaded:
        for subject in loaded.subjects.values():
            await once(UPDATE, subject, loaded.keys[3])
            found = await subject.store.get(loaded.keys[3].session_id)
            assert found is not None
            assert found.turn_count == 4
    with pytest.raises(SessionNotFoundError):
        await ReferenceScan(SteppedClock()).update(uuid4(), change)


def test_population_is_repeatable() -> None:
    """The same size and seed give the same sessions and draws; another seed gives others."""
    population, again, other = Population(50, 1), Population(50, 1), Population(50, 2)

    assert list(population) == list(again)
    assert population.draws == again.draws
    assert list(population) != list(other)


def test_standard_session() -> None:
    """It has 1.6 KB as JSON, three step visits, and every field set; one in ten has a pending migration."""
    sessions = list(Population(300, 1))
    fields = {name for session in sessions for name, value in session if value not in (None, [], {}, 0)}

    assert 1_500 < sum(len(session.model_dump_json()) for session in sessions) / len(sessions) < 1_750
    assert {3} == {len(session.step_history) for session in sessions}
    assert fields == set(type(sessions[0]).model_fields) - {"revision"}
    assert 10 < sum(session.pending_migration is not None for session in sessions) < 60
