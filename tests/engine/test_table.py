"""The table: plan, then apply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiondex.engine.postings import encode_sortable
from sessiondex.engine.table import IndexKeys, Row, RowHead, Table
from tests.engine.tables import (
    HIGHEST,
    INITIAL,
    KEYS,
    LENGTH,
    LOWEST,
    OTHER_OWNER,
    OWNER,
    contents,
    expected_keys,
    index_keys_of,
    key_of,
    put,
    row_of,
    table_of,
)


def test_a_row_is_found_by_key_and_by_each_index() -> None:
    table = table_of("pear", "plum", "a")
    row = row_of(table, KEYS[0])

    assert table.storage(INITIAL).newest(b"p", 9) == [KEYS[1], KEYS[0]]
    assert sorted(table.storage(LENGTH).select(b"4")) == [KEYS[0], KEYS[1]]
    assert table.head(row) == RowHead(key=KEYS[0], owner=OWNER, stamp=0, revision=1, generation=(1).to_bytes(8))
    assert (table.value(row), table.index_keys(row)) == (b"pear", (b"p", (b"4", "p", "r", ord("p"))))
    assert len(table) == 3
    assert table.row(key_of(9)) is None
    assert table.head_of_key(key_of(9)) is None
    table.check(expected_keys)


@given(
    st.binary(),
    st.none() | st.binary(),
    st.none() | st.tuples(st.binary(), st.none() | st.text(), st.none() | st.text(), st.integers(LOWEST, HIGHEST)),
    st.integers(LOWEST, HIGHEST),
    st.integers(0, 2**64 - 1),
)
def test_a_row_returns_its_parts(value: bytes, initial: bytes | None, length: Any, stamp: int, revision: int) -> None:
    """Any bytes can be a value or an index key: neither is mistaken for a part of the other."""
    table = Table([INITIAL, LENGTH])
    table.apply(table.plan_put(KEYS[1], OTHER_OWNER, stamp, revision, (initial, length), value))
    row = row_of(table, KEYS[1])

    assert table.head(row) == RowHead(KEYS[1], OTHER_OWNER, stamp, revision, (1).to_bytes(8))
    assert table.head_of_key(KEYS[1]) == table.head(row)
    assert (table.value(row), table.index_keys(row)) == (value, (initial, length))
    assert table.size_of_rows == len(row)
    table.check(lambda _: (initial, length))


def generation_of(table: Table, key: bytes) -> bytes:
    return table.head(row_of(table, key)).generation


def test_a_row_keeps_the_generation_of_the_first_until_its_key_has_none() -> None:
    """Another row of the key, or one that does not follow from it, gets another generation, also with its stamp."""
    table = table_of("pear")
    first = generation_of(table, KEYS[0])
    for stamp in (5, 3):
        put(table, KEYS[0], stamp, "plum")
        table.apply(table.plan_stamp(KEYS[0], stamp + 1))
        assert generation_of(table, KEYS[0]) == first
    table.apply(table.plan_put(KEYS[0], OWNER, 4, 1, index_keys_of("plum"), b"plum", is_unrelated=True))
    second = generation_of(table, KEYS[0])
    table.apply(table.plan_remove(KEYS[0]))
    put(table, KEYS[0], 4, "plum")

    assert len({first, second, generation_of(table, KEYS[0])}) == 3


def test_another_stamp_changes_nothing_else_of_a_row() -> None:
    table = table_of("pear", "plum", "a")
    before = row_of(table, KEYS[0])
    table.apply(table.plan_stamp(KEYS[0], 9))
    after = row_of(table, KEYS[0])

    assert contents(table) == {KEYS[0]: (9, "pear"), KEYS[1]: (1, "plum"), KEYS[2]: (2, "a")}
    assert table.storage(INITIAL).newest(b"p", 9) == [KEYS[0], KEYS[1]]
    assert table.head(after) == table.head(before)._replace(stamp=9)
    assert (table.value(after), table.index_keys(after)) == (table.value(before), table.index_keys(before))


def test_a_missing_row_gets_no_other_stamp() -> None:
    with pytest.raises(KeyError):
        table_of("pear").plan_stamp(KEYS[1], 9)


@pytest.mark.parametrize("stamp", [LOWEST - 1, HIGHEST + 1])
def test_a_stamp_out_of_range_is_refused_when_planning(stamp: int) -> None:
    table = table_of("pear")
    with pytest.raises(OverflowError):
        table.plan_stamp(KEYS[0], stamp)

    assert contents(table) == {KEYS[0]: (0, "pear")}


def test_planning_changes_nothing() -> None:
    table = table_of("pear")
    table.plan_stamp(KEYS[0], 5)
    table.plan_put(KEYS[0], OWNER, 5, 6, index_keys_of("apple"), b"apple")
    table.plan_put(KEYS[1], OWNER, 6, 7, index_keys_of("apple"), b"apple")
    table.plan_remove(KEYS[0])

    assert contents(table) == {KEYS[0]: (0, "pear")}


@pytest.mark.parametrize("text", ["pea", "quince", "p", "pear", "poor", "b", ""])
@pytest.mark.parametrize("earlier", ["pear", "a", ""])
def test_replacing_leaves_no_trace_of_the_old_row(text: str, earlier: str) -> None:
    """With all, some or none of its index keys the same, a row is only where its new index keys say."""
    table = table_of(earlier, "plum")
    put(table, KEYS[0], 7, text)

    assert contents(table) == {KEYS[0]: (7, text), KEYS[1]: (1, "plum")}
    assert len(table.storage(LENGTH).select(b"4")) == 1 + (len(text) == 4)


@pytest.mark.parametrize("texts", [("pear",), ("pear", "plum", "pine", "plot")])
def test_removing_a_row_leaves_no_trace_of_it(texts: tuple[str, ...]) -> None:
    table = table_of(*texts)
    for number in range(len(texts)):
        table.apply(table.plan_remove(key_of(number)))
        assert key_of(number) not in contents(table)

    assert (len(table), table.size_of_rows) == (0, 0)
    assert [(len(storage), storage.posting_count) for _, storage in table.storages()] == [(0, 0)] * 2


def test_removing_a_missing_row_changes_nothing() -> None:
    table = table_of("pear")
    change = table.plan_remove(KEYS[1])
    table.apply(change)

    assert (change.old, change.new) == (None, None)
    assert contents(table) == {KEYS[0]: (0, "pear")}


def test_a_change_has_both_rows_with_their_index_keys() -> None:
    table = table_of("pear")
    old = row_of(table, KEYS[0])
    replacing = table.plan_put(KEYS[0], OWNER, 1, 2, index_keys_of("a"), b"a")
    adding = table.plan_put(KEYS[1], OWNER, 1, 2, index_keys_of("a"), b"a")
    removing = table.plan_remove(KEYS[0])
    nowhere = (None, None)

    assert tuple(replacing) == (KEYS[0], old, replacing.new, index_keys_of("pear"), index_keys_of("a"))
    assert tuple(adding) == (KEYS[1], None, adding.new, nowhere, index_keys_of("a"))
    assert tuple(removing) == (KEYS[0], old, None, index_keys_of("pear"), nowhere)
    table.apply(replacing)
    assert table.row(KEYS[0]) == replacing.new


def test_the_same_index_keys_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A save that changes no index key compares bytes."""
    table = table_of("pear")
    monkeypatch.setattr(Table, "index_keys", None)
    change = table.plan_put(KEYS[0], OWNER, 1, 2, index_keys_of("pear"), b"pear")

    assert change.old_keys == change.new_keys == index_keys_of("pear")


@given(st.tuples(st.none() | st.binary(max_size=3), st.none()), st.tuples(st.none() | st.binary(max_size=3), st.none()))
def test_index_keys_of_the_old_row_are_never_mistaken(old_keys: IndexKeys, new_keys: IndexKeys) -> None:
    """However the old value continues its index keys."""
    table = Table([INITIAL, LENGTH])
    table.apply(table.plan_put(KEYS[0], OWNER, 1, 1, old_keys, b"N0\x00\x00"))

    assert table.plan_put(KEYS[0], OWNER, 2, 2, new_keys, b"").old_keys == old_keys


class Unmarshallable(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("difference", "error"),
    [
        ({"value": None}, TypeError),
        ({"value": "text"}, TypeError),
        ({"value": 5}, TypeError),
        ({"key": b"short"}, ValueError),
        ({"owner": b"of more than 16 bytes"}, ValueError),
        ({"index_keys": (object(), None)}, ValueError),
        ({"index_keys": (b"p", (b"4", Unmarshallable("p"), "r", 0))}, ValueError),
        ({"index_keys": (b"p",)}, ValueError),
        ({"stamp": LOWEST - 1}, OverflowError),
        ({"stamp": HIGHEST + 1}, OverflowError),
        ({"revision": -1}, OverflowError),
        ({"revision": 2**64}, OverflowError),
    ],
)
def test_a_row_that_cannot_be_made_is_refused_when_planning(difference: dict[str, Any], error: type[Exception]) -> None:
    table = table_of("pear")
    arguments: dict[str, Any] = {
        "key": KEYS[0],
        "owner": OWNER,
        "stamp": 1,
        "revision": 2,
        "index_keys": index_keys_of("plum"),
        "value": b"plum",
    }
    with pytest.raises(error):
        table.plan_put(**{**arguments, **difference})

    assert contents(table) == {KEYS[0]: (0, "pear")}


def test_rows_are_newest_first_in_any_order_of_keys() -> None:
    table = table_of("pear", "plum", "a", "fig")
    put(table, KEYS[1], 2**62, "fig")
    table.apply(table.plan_put(KEYS[2], OWNER, -5, 1, index_keys_of("a"), b"a"))

    assert [table.head(row).key for row in table.newest_first(KEYS)] == [KEYS[1], KEYS[3], KEYS[0], KEYS[2]]
    assert table.newest_first(iter([KEYS[2], KEYS[0]])) == [row_of(table, KEYS[0]), row_of(table, KEYS[2])]
    assert table.newest_first([]) == []


@pytest.mark.parametrize(("cutoff", "expected"), [(0, [3, 2, 1, 0]), (2, [3, 2]), (4, []), (-1, [3, 2, 1, 0])])
def test_rows_before_the_cutoff_are_left_out(cutoff: int, expected: list[int]) -> None:
    """A row that is stamped with the cutoff itself is not before it."""
    table = table_of("pear", "plum", "a", "fig")

    assert [table.head(row).stamp for row in table.newest_first(KEYS, cutoff)] == expected


def test_the_newest_of_missing_rows_are_a_key_error() -> None:
    with pytest.raises(KeyError):
        table_of("pear").newest_first([KEYS[0], KEYS[1]])


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_list_each_row_once(limit: int) -> None:
    table = table_of(*["pear"] * 7)
    rows: list[Row] = []
    while page := table.page(table.head(rows[-1]).key if rows else None, limit):
        assert len(page) <= limit
        rows += page

    assert sorted(rows) == [row_of(table, key_of(number)) for number in range(7)]


def test_storages_are_listed_with_their_indexes() -> None:
    table = table_of("pear", "a")

    assert [(index, storage.posting_count, len(storage)) for index, storage in table.storages()] == [
        (INITIAL, 2, 2),
        (LENGTH, 1, 1),
    ]


def test_an_index_that_was_not_declared_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="length"):
        Table([INITIAL]).storage(LENGTH)


def test_a_table_without_indexes_keeps_rows() -> None:
    table = Table([])
    table.apply(table.plan_put(KEYS[0], OWNER, 1, 1, (), b"value"))
    table.rebuild()
    table.check(lambda _: ())

    assert table.value(row_of(table, KEYS[0])) == b"value"


texts = st.text("ab", max_size=3)


@given(st.lists(st.tuples(st.sampled_from(["put", "put", "stamp", "remove", "rebuild"]), st.sampled_from(KEYS), texts)))
def test_agrees_with_a_dict(steps: list[tuple[str, bytes, str]]) -> None:
    """After each step, every index holds what the rows say, and the sum of bytes is exact."""
    table, expected = table_of(), dict[bytes, tuple[int, str]]()
    for stamp, (action, key, text) in enumerate(steps):
        if action == "put":
            put(table, key, stamp, text)
            expected[key] = stamp, text
        elif action == "stamp" and key in expected:
            table.apply(table.plan_stamp(key, stamp))
            expected[key] = stamp, expected[key][1]
        elif action == "remove":
            table.apply(table.plan_remove(key))
            expected.pop(key, None)
        else:
            table.rebuild()
        assert contents(table) == expected

    newest_first = sorted(expected, key=lambda key: expected[key][0], reverse=True)
    assert [table.head(row).key for row in table.newest_first(expected)] == newest_first


def test_rebuilding_keeps_the_storages() -> None:
    """A reader that fetched a storage before need not fetch it again."""
    table = table_of("pear", "plum")
    initials = table.storage(INITIAL)
    initials.remove(b"p", encode_sortable(0) + KEYS[0])
    table.rebuild()

    assert table.storage(INITIAL) is initials
    assert initials.newest(b"p", 9) == [KEYS[1], KEYS[0]]


@pytest.mark.parametrize(
    ("damage", "where"),
    [
        (lambda table: table.storage(INITIAL).remove(b"p", encode_sortable(1) + KEYS[1]), "index 'initial'"),
        (lambda table: table.storage(LENGTH).add((b"4", "x", "y", 0), encode_sortable(1) + KEYS[1]), "index 'length'"),
        (lambda table: setattr(table, "_size_of_rows", 7), "bytes of all rows"),
        (lambda table: table._rows.shard(KEYS[0]).update({KEYS[0]: row_of(table, KEYS[1])}), "key of row"),
    ],
)
def test_check_names_the_part_that_is_wrong(damage: Callable[[Table], Any], where: str) -> None:
    table = table_of("pear", "plum")
    damage(table)

    with pytest.raises(AssertionError, match=where):
        table.check(expected_keys)


def test_check_finds_index_keys_that_the_value_does_not_have() -> None:
    with pytest.raises(AssertionError, match="index keys of row"):
        table_of("pear").check(lambda _: (b"p", None))


def test_check_finds_a_row_that_is_gone() -> None:
    table = table_of("pear", "plum")
    table._size_of_rows -= len(table._rows.shard(KEYS[0]).pop(KEYS[0]))

    with pytest.raises(AssertionError, match="index 'initial'"):
        table.check(expected_keys)
