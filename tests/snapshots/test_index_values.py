"""What is read from a document at first is what the whole session says."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from sessiondex import Session, schema
from sessiondex.snapshots.codec import SnapshotCodec
from sessiondex.snapshots.session_types import SessionTypes
from sessiondex.testing import strategies
from tests.support.sizes import search_size

STAMP = 1_700_000_000_000_000


def make_codec() -> SnapshotCodec[Any]:
    return SnapshotCodec(schema.eviction_index_keys, types=SessionTypes())


@settings(max_examples=search_size(1_000), deadline=None, database=None)
@given(session=st.uuids().flatmap(strategies.sessions))
def test_a_document_has_the_keys_and_the_contents_of_its_session(session: Session) -> None:
    """Of any class, as JSON and repacked, by the codec that made it and by another."""
    for other in (None, make_codec()):
        codec = make_codec()
        reader = other or codec
        prepared = codec.prepare(session)
        assert prepared.document is not None
        reader.prepare(session)  # so that it knows the class
        stored = reader.prepare_stored(prepared.document)
        assert (stored.session_id, stored.tenant_id, stored.index_keys) == (
            prepared.session_id,
            prepared.tenant_id,
            prepared.index_keys,
        )
        expected = unpacked(codec, prepared, prepared.packed)
        assert unpacked(reader, stored, stored.packed) == expected
        repacked = reader.repack(stored.packed)
        assert repacked is None or unpacked(reader, stored, repacked) == expected


def unpacked(codec: SnapshotCodec[Any], ids: Any, packed: bytes) -> Any:
    return codec.unpack(packed, ids.session_id.bytes, ids.tenant_id.bytes, STAMP, 3)


def test_plain_classes_are_not_read_whole() -> None:
    """Or loading would take three times as long."""
    codec = make_codec()
    session = Session(tenant_id=UUID(int=1), agent_id=UUID(int=2), channel="telegram", user_channel_id="é")
    document = codec.prepare(session).document
    assert document is not None
    broken = document._replace(data=document.data.replace(b'"turn_count":0', b'"turn_count":"x"'))

    stored = codec.prepare_stored(broken)

    assert stored.index_keys == codec.prepare(session).index_keys
