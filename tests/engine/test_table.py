"""The table: plan, then apply."""

from __future__ import annotations

from typing import Any

import pytest

from sessiondex.engine.index import Index
from sessiondex.engine.postings import Postings
from sessiondex.engine.table import Table

FIELDS = ("initial", "length", "text")
INITIAL: Index[Postings[str]] = Index("initial", ("initial", "text"), lambda initial, _: initial, Postings)
LENGTH: Index[Postings[int]] = Index(
    "length", ("text", "length"), lambda _, length: length if length > 1 else None, Postings
)


def word(text: str) -> tuple[str, int, str]:
    return text[0], len(text), text


def table_of(*texts: str) -> Table[str]:
    table: Table[str] = Table(FIELDS, [INITIAL, LENGTH])
    for stamp, text in enumerate(texts):
        put(table, f"{stamp}", stamp, text)
    return table


def put(table: Table[str], key: str, stamp: int, text: str, earlier: str | None = None) -> None:
    earlier_record = None if earlier is None else word(earlier)
    table.apply(table.plan_put(key.encode(), stamp, word(text), text, earlier_record))


def contents(table: Table[str]) -> Any:
    initials = {key: table.index(INITIAL).newest(key, 99) for key in table.index(INITIAL)}
    lengths = {key: table.index(LENGTH).newest(key, 99) for key in table.index(LENGTH)}
    return len(table), initials, lengths


def test_a_value_is_found_by_key_and_by_each_index() -> None:
    table = table_of("pear", "plum", "a")

    assert contents(table) == (3, {"p": [1, 0], "a": [2]}, {4: [1, 0]})
    assert table.values(table.index(INITIAL).newest("p", 9)) == ["plum", "pear"]
    assert table.get(b"0") == (0, b"0", ("p", 4), "pear")
    table._check(word)


def test_planning_changes_nothing() -> None:
    table = table_of("pear")
    before = contents(table)
    table.plan_put(b"0", 5, word("apple"), "apple")
    table.plan_put(b"1", 6, word("apple"), "apple")
    table.plan_remove(b"0")

    assert contents(table) == before
    table._check(word)


@pytest.mark.parametrize("text", ["pea", "quince", "p", "pear"])
@pytest.mark.parametrize("earlier", ["pear", None])
def test_replacing_leaves_no_trace_of_the_old(text: str, earlier: str | None) -> None:
    """With all, some or none of its entries the same, a row is only where its new entries say."""
    table, expected = table_of("pear", "plum"), table_of("other", "plum")
    put(table, "0", 7, text, earlier)
    expected.apply(expected.plan_remove(b"0"))
    put(expected, "0", 7, text)

    assert contents(table) == contents(expected)
    table._check(word)


def test_removing_the_only_row_leaves_nothing() -> None:
    table = table_of("pear")
    table.apply(table.plan_remove(b"0"))

    assert contents(table) == (0, {}, {})
    table._check(word)


def test_removing_what_is_not_there_changes_nothing() -> None:
    table = table_of("pear")
    table.apply(table.plan_remove(b"9"))

    assert contents(table) == contents(table_of("pear"))


def test_a_taken_stamp_is_refused_when_planning() -> None:
    """Stamps identify rows, so a second row with one is refused before anything changes."""
    table = table_of("pear")

    with pytest.raises(ValueError, match="stamp 0 is taken"):
        table.plan_put(b"1", 0, word("plum"), "plum")
    assert contents(table) == contents(table_of("pear"))


def test_an_entry_that_cannot_be_a_key_is_refused_when_planning() -> None:
    def unhashable(text: str, _: int) -> list[str]:
        return [text]

    listed: Index[Postings[Any]] = Index("listed", ("text", "length"), unhashable, Postings)  # type: ignore[arg-type]
    table: Table[str] = Table(FIELDS, [INITIAL, listed])

    with pytest.raises(TypeError, match="unhashable"):
        table.plan_put(b"0", 0, word("pear"), "pear")
    assert len(table) == 0


def test_an_index_that_fails_fails_when_planning() -> None:
    inverse: Index[Postings[float]] = Index("inverse", ("length", "text"), lambda length, _: 1 / length, Postings)
    table: Table[str] = Table(FIELDS, [INITIAL, inverse])
    with pytest.raises(ZeroDivisionError):
        table.plan_put(b"0", 0, ("p", 0, "pear"), "pear")

    assert len(table) == 0
    table._check(word)


def test_entries_stay_where_the_values_that_they_come_from_do() -> None:
    """What has not changed is not computed again."""
    computed: list[int] = []

    def length_entry(length: int, _: str) -> int:
        computed.append(length)
        return length

    index: Index[Postings[int]] = Index("length", ("length", "initial"), length_entry, Postings)
    table: Table[str] = Table(FIELDS, [index])
    put(table, "0", 0, "pear")
    put(table, "0", 1, "plum", "pear")
    put(table, "0", 2, "peach", "plum")

    assert computed == [4, 5]
    assert table.get(b"0") == (2, b"0", (5,), "peach")


def test_rows_are_unlinked_by_what_they_remember() -> None:
    """What a kept value has become since does not matter to taking it out."""
    table: Table[list[str]] = Table(FIELDS, [INITIAL])
    kept = ["pear"]
    table.apply(table.plan_put(b"0", 0, word("pear"), kept))
    kept[0] = "plum"
    table.apply(table.plan_remove(b"0"))

    assert len(table) == 0
    table._check(lambda words: word(words[0]))


def test_an_index_that_was_not_declared_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="length"):
        Table(FIELDS, [INITIAL]).index(LENGTH)


def test_check_names_the_index_that_is_wrong() -> None:
    """The check can fail, and says where."""
    table = table_of("pear", "plum")
    table.index(LENGTH).remove(4, 1)

    with pytest.raises(AssertionError, match="index 'length'"):
        table._check(word)


def test_check_sees_an_entry_that_the_value_does_not_have() -> None:
    table = table_of("pear")

    with pytest.raises(AssertionError, match="belongs under"):
        table._check(lambda text: word(text + "s"))


def test_check_sees_rows_by_key_and_by_stamp_differ() -> None:
    table = table_of("pear")
    del table._by_stamp[0]

    with pytest.raises(AssertionError, match="by key and by stamp"):
        table._check(word)
