"""The flood: crafted ids collide, and the store does not mind."""

from __future__ import annotations

from benchmarks import flood
from benchmarks.progress import QuietProgress


def test_crafted_ids_differ_and_have_one_hash() -> None:
    ids = flood.crafted(500)

    assert len({id_.bytes for id_ in ids}) == 500
    assert len({hash(id_) for id_ in ids}) == 1


async def test_both_kinds_are_inserted_and_looked_up() -> None:
    found = await flood.run(1, QuietProgress(), count=500)

    assert [one.kind for one in found] == [flood.SESSION, flood.CUSTOMER]
    assert all(one.ids == 500 and one.insert_ratio > 0 and one.look_up_ratio > 0 for one in found)
