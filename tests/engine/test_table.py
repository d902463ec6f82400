"""The table: plan, then apply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiondex.engine.index import Index
from sessiondex.engine.postings import Postings, order
from sessiondex.engine.table import Table

FIELDS = ("initial", "length", "text")


def short_lists() -> Postings:
    return Postings(1, 2)


INITIAL: Index[Postings] = Index("initial", ("initial", "text"), lambda initial, _: initial, short_lists)
LENGTH: Index[Postings] = Index(
    "length", ("text", "length"), lambda _, length: b"%d" % length if length > 1 else None, short_lists
)


def word(text: str) -> tuple[bytes, int, str]:
    return text[:1].encode(), len(text), text


def value_of(stamp: int, text: str) -> bytes:
    return f"{stamp} {text}".encode()


def what_of(_: bytes, value: bytes) -> tuple[Any, int, int]:
    stamp, text = value.decode().split(" ", 1)
    return word(text), int(stamp), int(stamp) + 1


def table_of(*texts: str) -> Table:
    table = Table(FIELDS, [INITIAL, LENGTH])
    for stamp, text in enumerate(texts):
        put(table, b"%d" % stamp, stamp, text)
    return table


def put(table: Table, key: bytes, stamp: int, text: str, *, filed_alike: bool = False) -> None:
    table.apply(table.plan_put(key, stamp, stamp + 1, None if filed_alike else word(text), value_of(stamp, text)))


def contents(table: Table) -> Any:
    initials = {key: table.index(INITIAL).newest(key, 99) for key in table.index(INITIAL)}
    lengths = {key: table.index(LENGTH).newest(key, 99) for key in table.index(LENGTH)}
    return dict(table._rows.items()), table.size_of_rows, initials, lengths


def test_a_value_is_found_by_key_and_by_each_index() -> None:
    table = table_of("pear", "plum", "a")
    row = table.row(b"0")
    assert row is not None

    assert contents(table)[2:] == ({b"p": [b"1", b"0"], b"a": [b"2"]}, {b"4": [b"1", b"0"]})
    assert (table.value(row), table.entries(row)) == (b"0 pear", (b"p", b"4"))
    assert len(table) == 3
    assert table.row(b"9") is None
    table._check(what_of)


@given(st.binary(), st.binary(min_size=1), st.binary())
def test_any_bytes_are_kept_whatever_the_entries(value: bytes, initial: bytes, other_value: bytes) -> None:
    """Neither is taken for a part of the other, however they end and begin."""
    table = Table(FIELDS, [INITIAL, LENGTH])
    table.apply(table.plan_put(b"0", 2**63 - 1, 2**63 - 1, (initial, 5, "text"), value))
    row = table.row(b"0")
    assert row is not None
    assert (table.value(row), table.entries(row)) == (value, (initial, b"5"))

    table.replace_value(b"0", other_value)
    row = table.row(b"0")
    assert row is not None
    assert (table.value(row), table.entries(row)) == (other_value, (initial, b"5"))


def test_planning_changes_nothing() -> None:
    table = table_of("pear")
    before = contents(table)
    table.plan_put(b"0", 5, 6, word("apple"), b"5 apple")
    table.plan_put(b"0", 5, 6, None, b"5 plum")
    table.plan_put(b"1", 6, 7, word("apple"), b"6 apple")
    table.plan_remove(b"0")

    assert contents(table) == before
    table._check(what_of)


@pytest.mark.parametrize("text", ["pea", "quince", "p", "pear", "b", ""])
@pytest.mark.parametrize("earlier", ["pear", "a"])
def test_replacing_leaves_no_trace_of_the_old(text: str, earlier: str) -> None:
    """With all, some or none of its entries the same, a row is only where its new entries say."""
    table, expected = table_of(earlier, "plum"), table_of("other", "plum")
    put(table, b"0", 7, text)
    expected.apply(expected.plan_remove(b"0"))
    put(expected, b"0", 7, text)

    assert contents(table) == contents(expected)
    table._check(what_of)


def test_without_a_record_a_row_stays_filed_as_it_is() -> None:
    """Whoever knows that the values are the same need not have entries computed again."""
    table, expected = table_of("pear", "plum", "pea"), table_of("pear", "plum", "pea")
    put(table, b"0", 7, "pace", filed_alike=True)
    put(expected, b"0", 7, "pace")

    assert contents(table) == contents(expected)
    table._check(what_of)


def test_without_a_record_entries_are_not_computed() -> None:
    computed: list[int] = []

    def length_entry(length: int, _: bytes) -> bytes:
        computed.append(length)
        return b"%d" % length

    index: Index[Postings] = Index("length", ("length", "initial"), length_entry, short_lists)
    table = Table(FIELDS, [index])
    put(table, b"0", 0, "pear")
    put(table, b"0", 1, "plum", filed_alike=True)
    put(table, b"0", 2, "peach")

    assert computed == [4, 5]


def test_a_new_row_without_a_record_is_in_no_index() -> None:
    table = table_of()
    put(table, b"0", 0, "pear", filed_alike=True)

    assert len(table) == 1
    assert contents(table)[2:] == ({}, {})


def test_removing_the_only_row_leaves_nothing() -> None:
    table = table_of("pear")
    table.apply(table.plan_remove(b"0"))

    assert contents(table) == ({}, 0, {}, {})
    table._check(what_of)


def test_removing_what_is_not_there_changes_nothing() -> None:
    table = table_of("pear")
    change = table.plan_remove(b"9")
    table.apply(change)

    assert change.old_stamp is None
    assert contents(table) == contents(table_of("pear"))


def test_a_change_tells_what_it_takes_out() -> None:
    table = table_of("pear")
    change = table.plan_remove(b"0")

    assert (change.key, change.old_stamp, change.old_entries) == (b"0", order(0), (b"p", b"4"))
    assert table.plan_put(b"0", 1, 2, word("a"), b"1 a").old_entries == (b"p", b"4")


@pytest.mark.parametrize("value", [None, "text", 5, (b"bytes",)])
def test_a_value_that_is_not_bytes_is_refused_when_planning(value: Any) -> None:
    table = table_of("pear")
    with pytest.raises(TypeError):
        table.plan_put(b"0", 1, 2, word("plum"), value)

    assert contents(table) == contents(table_of("pear"))


def test_an_entry_that_is_not_plain_is_refused_when_planning() -> None:
    odd: Index[Postings] = Index("odd", ("text", "length"), lambda *_: object(), short_lists)
    table = Table(FIELDS, [INITIAL, odd])
    with pytest.raises(ValueError, match="unmarshallable"):
        put(table, b"0", 0, "pear")

    assert (len(table), table.index(INITIAL).entries) == (0, 0)


def test_an_index_that_fails_fails_when_planning() -> None:
    inverse: Index[Postings] = Index("inverse", ("length", "text"), lambda length, _: b"%d" % (1 / length), short_lists)
    table = Table(FIELDS, [INITIAL, inverse])
    with pytest.raises(ZeroDivisionError):
        put(table, b"0", 0, "")

    assert (len(table), table.index(INITIAL).entries) == (0, 0)


@pytest.mark.parametrize("stamp", [-(2**63) - 1, 2**63])
def test_a_stamp_of_more_than_64_bits_is_refused_when_planning(stamp: int) -> None:
    table = table_of("pear")
    with pytest.raises(OverflowError):
        table.plan_put(b"1", stamp, stamp + 1, word("plum"), b"plum")

    assert contents(table) == contents(table_of("pear"))


def test_rows_are_newest_first_in_whatever_order_they_are_asked_for() -> None:
    table = table_of("pear", "plum", "a", "fig")
    put(table, b"1", 2**62, "fig")

    assert table.newest_first([b"0", b"1", b"2", b"3"]) == [b"1", b"3", b"2", b"0"]
    assert table.newest_first(iter([b"2", b"0"])) == [b"2", b"0"]
    assert table.newest_first([]) == []


def test_replacing_a_value_leaves_stamp_and_entries() -> None:
    """As when a session that nobody uses is packed: it is where it was, and takes other space."""
    table = table_of("pear", "plum")
    before = contents(table)[2:]
    table.replace_value(b"0", b"0 pear, and more" * 100)
    row = table.row(b"0")
    assert row is not None

    assert (table.value(row), table.entries(row), row[-8:]) == (b"0 pear, and more" * 100, (b"p", b"4"), order(0))
    assert contents(table)[2:] == before
    assert table.size_of_rows == sum(len(row) for _, row in table._rows.items())
    table._check(lambda key, value: what_of(key, value[:6]))


@pytest.mark.parametrize(
    "plan",
    [
        lambda table: table.plan_remove(b"0"),
        lambda table: table.plan_put(b"0", 7, 8, word("fig"), b"7 fig"),
    ],
)
def test_a_value_may_be_replaced_between_plan_and_apply(plan: Callable[[Table], Any]) -> None:
    """What is planned is to replace or remove the row, whatever it holds by then; bytes are counted as they are."""
    table = table_of("pear", "plum")
    change = plan(table)
    table.replace_value(b"0", b"0 p" * 100)
    table.apply(change)

    assert table.size_of_rows == sum(len(row) for _, row in table._rows.items())
    table._check(what_of)


def test_rows_are_unlinked_by_what_they_remember() -> None:
    """What a kept value has become since does not matter to taking it out."""
    table = table_of("pear")
    table.replace_value(b"0", b"0 fig")
    table.apply(table.plan_remove(b"0"))

    assert contents(table) == ({}, 0, {}, {})


def test_filings_are_told_with_what_they_are_of() -> None:
    table = table_of("pear", "a")

    assert [(index, filing.entries, len(filing)) for index, filing in table.filings()] == [
        (INITIAL, 2, 2),
        (LENGTH, 1, 1),
    ]


def test_an_index_that_was_not_declared_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="length"):
        Table(FIELDS, [INITIAL]).index(LENGTH)


keys = st.sampled_from([b"0", b"1", b"2", b"3"])
texts = st.text("ab", max_size=3)


@given(st.lists(st.tuples(st.sampled_from(["put", "put", "remove", "value"]), keys, texts)))
def test_agrees_with_a_dict(steps: list[tuple[str, bytes, str]]) -> None:
    """Whatever is put, removed and replaced, every index holds what the values say, and the sum of bytes is exact."""
    table, expected = table_of(), dict[bytes, tuple[int, str]]()
    for stamp, (action, key, text) in enumerate(steps):
        if action == "put":
            put(table, key, stamp, text, filed_alike=key in expected and word(expected[key][1]) == word(text))
            expected[key] = stamp, text
        elif action == "remove":
            table.apply(table.plan_remove(key))
            expected.pop(key, None)
        elif key in expected:
            table.replace_value(key, value_of(*expected[key]))
        table._check(what_of)

    assert len(table) == len(expected)
    values = {key: value_of(*stamp_and_text) for key, stamp_and_text in expected.items()}
    assert {key: table.value(row) for key, row in table._rows.items()} == values
    assert table.newest_first(expected) == sorted(expected, key=lambda key: expected[key][0], reverse=True)


def test_check_names_the_index_that_is_wrong() -> None:
    """The check can fail, and says where."""
    table = table_of("pear", "plum")
    table.index(LENGTH).remove(b"4", order(1) + b"1")

    with pytest.raises(AssertionError, match="index 'length'"):
        table._check(what_of)


def test_check_sees_an_entry_that_the_value_does_not_have() -> None:
    table = table_of("pear")
    table.replace_value(b"0", b"0 pears")

    with pytest.raises(AssertionError, match="entries of row"):
        table._check(what_of)


def test_check_sees_a_stamp_that_the_value_does_not_have() -> None:
    table = table_of("pear")
    table.replace_value(b"0", b"1 pear")

    with pytest.raises(AssertionError, match="stamp of row"):
        table._check(what_of)


def test_check_sees_a_wrong_sum_of_bytes() -> None:
    table = table_of("pear")
    table._bytes += 1

    with pytest.raises(AssertionError, match="bytes"):
        table._check(what_of)


def test_check_sees_a_row_that_is_gone() -> None:
    table = table_of("pear", "plum")
    table._bytes -= len(table._rows.shard(b"0").pop(b"0"))

    with pytest.raises(AssertionError, match="index 'initial'"):
        table._check(what_of)
