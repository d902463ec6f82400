"""Classes made at run time: the codec keeps those of stored sessions, and no others."""

from __future__ import annotations

import gc
import weakref
from typing import Any
from uuid import UUID

import pytest

from sessiondex import Session
from sessiondex.snapshots.codec import ClassGoneError, Prepared, SnapshotCodec
from tests.support.builders import NotedSession, TaggedSession, make_session
from tests.support.snapshots import ByRoundTrip, make_codec, unpack

BASES = [Session, TaggedSession]


def new_class(base: type[Session] = Session) -> type[Session]:
    return type("Made", (base,), {"__annotations__": {"extra_note": str}, "extra_note": "", "__module__": __name__})


def prepare_new(
    codec: SnapshotCodec[Any], base: type[Session] = Session
) -> tuple[Prepared, weakref.ref[type[Session]]]:
    """Prepare a session of a new class, and keep neither."""
    cls = new_class(base)
    return codec.prepare(make_session(cls)), weakref.ref(cls)


def is_alive(ref: weakref.ref[Any]) -> bool:
    gc.collect()
    return ref() is not None


@pytest.mark.parametrize("base", BASES)
def test_a_class_without_stored_sessions_is_forgotten_when_another_comes(base: type[Session]) -> None:
    """This includes stores that never retain, because they keep JSON."""
    codec = make_codec()
    prepared, cls = prepare_new(codec, base)
    session_id, tenant_id, packed, _, _ = prepared
    codec.to_json(packed, session_id.bytes, tenant_id.bytes, 0, 1)
    prepare_new(codec)

    assert not is_alive(cls)
    with pytest.raises(ClassGoneError):
        unpack(codec, prepared)
    with pytest.raises(LookupError):
        codec.retain(packed)
    codec.release(packed)


@pytest.mark.parametrize("base", BASES)
def test_a_class_is_kept_until_its_last_stored_session_is_gone(base: type[Session]) -> None:
    codec = make_codec()
    prepared, cls = prepare_new(codec, base)
    for _ in range(2):
        codec.retain(prepared.packed)
    codec.release(prepared.packed)
    prepare_new(codec)
    assert is_alive(cls)
    assert type(unpack(codec, prepared)).__name__ == "Made"

    codec.release(prepared.packed)
    prepare_new(codec)
    assert not is_alive(cls)


def test_a_class_that_was_loaded_from_json_is_not_kept() -> None:
    codec = make_codec()

    def load() -> weakref.ref[type[Session]]:
        cls = new_class()
        codec.from_json(cls, 1, make_session(cls).model_dump_json().encode(), 0, 1)
        return weakref.ref(cls)

    cls = load()
    prepare_new(codec)

    assert not is_alive(cls)


def test_many_classes_leave_nothing() -> None:
    codec = make_codec()
    kept = codec.prepare(make_session())
    codec.retain(kept.packed)
    classes = [prepare_new(codec)[1] for _ in range(20)]
    gc.collect()

    assert sum(cls() is not None for cls in classes) <= 1
    assert type(unpack(codec, kept)) is Session


@pytest.mark.parametrize("base", BASES)
def test_a_class_that_was_forgotten_during_a_save_comes_back(base: type[Session]) -> None:
    """The caller of the save holds the session, so the class still exists."""
    codec, cls = make_codec(), new_class(base)
    session = make_session(cls)
    prepared = codec.prepare(session)
    prepare_new(codec)
    codec.retain(prepared.packed)
    prepare_new(codec)

    assert unpack(codec, prepared) == session.model_copy(
        update={name: vars(unpack(codec, prepared))[name] for name in ("last_activity_at", "revision")}
    )
    assert codec.prepare(session).packed[-4:] == prepared.packed[-4:]


def test_numbers_are_never_reused() -> None:
    codec = make_codec()
    suffixes = [prepare_new(codec)[0].packed[-4:] for _ in range(5)]

    assert len(set(suffixes)) == 5


def test_both_forms_of_a_class_count_as_one() -> None:
    """A very long number makes a session of a plain class JSON."""
    codec, cls = make_codec(), new_class()
    plain, as_json = (codec.prepare(make_session(cls, variables={"x": x})) for x in (1, 2**64))
    ref = weakref.ref(cls)
    del cls
    assert plain.packed[-4:] != as_json.packed[-4:]
    codec.retain(as_json.packed)
    prepare_new(codec)
    assert is_alive(ref)

    codec.retain(plain.packed)
    codec.release(as_json.packed)
    prepare_new(codec)
    assert is_alive(ref)


def test_a_recount_replaces_wrong_counts() -> None:
    codec = make_codec()
    (stored, stored_class), (lost, lost_class) = prepare_new(codec), (None, None)
    codec.retain(stored.packed)
    lost, lost_class = prepare_new(codec)
    for _ in range(3):
        codec.retain(lost.packed)
    codec.release(stored.packed)
    codec.recount([stored.packed, stored.packed])
    codec.release(stored.packed)
    prepare_new(codec)

    assert is_alive(stored_class)
    assert not is_alive(lost_class)


def test_several_classes_in_turn() -> None:
    """A class that comes back does not drive out the others."""
    codec = make_codec()
    sessions = [make_session(cls) for cls in (Session, NotedSession, TaggedSession, ByRoundTrip)]
    first = [codec.prepare(session).packed[-4:] for session in sessions]
    for _ in range(3):
        for session, suffix in zip(sessions, first, strict=True):
            prepared = codec.prepare(session)
            assert (prepared.packed[-4:], type(unpack(codec, prepared))) == (suffix, type(session))


def test_the_codec_itself_is_not_kept_by_a_class() -> None:
    """A class may outlive the store."""

    def make() -> weakref.ref[Any]:
        codec = make_codec()
        codec.prepare(make_session(session_id=UUID(int=1)))
        return weakref.ref(codec)

    assert not is_alive(make())
