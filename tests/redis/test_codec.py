"""Encode sessions as values, and decode rows. The codec keeps no class alive that was created at run time."""

from __future__ import annotations

import gc
from typing import Any
from weakref import ref

import pytest

from sessiondex import (
    InvalidArgumentError,
    InvalidSessionError,
    Session,
    StoreUnavailableError,
    UnreadableSessionError,
)
from sessiondex.clock import to_datetime
from sessiondex.stores.redis.codec import EncodedSession, SessionCodec
from sessiondex.stores.redis.keys import unpack_lists
from tests.support.builders import CUSTOMER, OTHER_TENANT, TENANT, NotedSession, TaggedSession, at_step, make_session

HEAD_SIZE = 32


def row_of(encoded: EncodedSession, stamp: int = 7, revision: int = 3) -> bytes:
    """Return the row as the server packs it, see `lua/rows.lua`."""
    numbers = ((stamp, 8), (revision, 8), (1, 8), (encoded.index_size, 4), (encoded.schema_version, 4))
    return b"".join(number.to_bytes(size, "big") for number, size in numbers) + encoded.data


@pytest.mark.parametrize("cls", [Session, NotedSession, TaggedSession])
def test_a_decoded_session_is_equal(cls: type[Session]) -> None:
    """It has the stamp and the revision of the row, and all of its fields count as set."""
    codec = SessionCodec[Any]([], "host:1")
    session = at_step(cls=cls, customer_profile_id=CUSTOMER)
    found = codec.decode(row_of(codec.encode(session)), TENANT)
    expected = session.model_copy(update={"last_activity_at": to_datetime(7), "revision": 3})

    assert (type(found), found) == (cls, expected)
    assert found.model_fields_set == set(cls.model_fields)


def test_the_index_keys_are_in_front_of_the_value() -> None:
    codec = SessionCodec[Any]([], "host:1")
    encoded = codec.encode(make_session())
    packed = encoded.data[: encoded.index_size]

    assert packed[0] == 0  # at no step
    assert sorted(name[:2] for name in unpack_lists(packed)) == [b"a:", b"c:", b"w:"]
    assert encoded.data[encoded.index_size :].startswith(b"sessiondex.Session\0{")


def test_a_row_of_another_tenant_is_withheld() -> None:
    codec = SessionCodec[Any]([], "host:1")
    row = row_of(codec.encode(make_session()))
    with pytest.raises(StoreUnavailableError, match="host:1: it answered with a session of another tenant"):
        codec.decode(row, OTHER_TENANT)


def make_class(name: str, session_type: str | None = None) -> type[Session]:
    fixed = {} if session_type is None else {"session_type": session_type}
    return type(name, (Session,), {"__module__": __name__, "__annotations__": {"note": str}, "note": "x", **fixed})


def test_a_class_that_nothing_uses_any_more_is_collected() -> None:
    """Its rows cannot be read then; the error names the type. Classes given in `session_classes` stay."""
    codec = SessionCodec[Any]([make_class("Given", "given")], "host:1")
    cls = make_class("Created", "created")
    row, gone = row_of(codec.encode(make_session(cls))), ref(cls)
    assert type(codec.decode(row, TENANT)) is cls
    del cls
    codec.encode(make_session(NotedSession))  # a new class: the codec forgets those that are unused
    gc.collect()

    assert gone() is None
    with pytest.raises(UnreadableSessionError, match=r"of type created, version 1: no class of this store") as error:
        codec.decode(row, TENANT)
    assert error.value.session_id is not None
    assert type(codec.decode(row.replace(b"created\0", b"given\0"), TENANT)).__name__ == "Given"


def test_two_known_classes_with_one_type_are_refused() -> None:
    """Before anything is stored: one would be read as the other."""
    first, second = make_class("First", "note"), make_class("Second", "note")
    codec = SessionCodec[Any]([first], "host:1")
    with pytest.raises(InvalidSessionError, match=r"Second and First of .* both have the type 'note'"):
        codec.encode(make_session(second))
    with pytest.raises(InvalidArgumentError, match="session_classes: Second and First"):
        SessionCodec[Any]([first, second], "host:1")
