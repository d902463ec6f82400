"""The table: plan, then apply."""

from __future__ import annotations

from typing import Any

import pytest

from sessiondex.engine.index import Index
from sessiondex.engine.postings import Postings
from sessiondex.engine.table import Table

INITIAL: Index[str, Postings[str]] = Index("initial", lambda word: word[0], Postings)
LENGTH: Index[str, Postings[int]] = Index("length", lambda word: len(word) if len(word) > 1 else None, Postings)


def table_of(*words: str) -> Table[str, str]:
    table: Table[str, str] = Table([INITIAL, LENGTH])
    for stamp, word in enumerate(words):
        put(table, f"{stamp}", stamp, word)
    return table


def put(table: Table[str, str], key: str, stamp: int, word: str) -> None:
    table.apply(table.plan_put(key.encode(), stamp, word, word))


def contents(table: Table[str, str]) -> Any:
    initials = {key: table.index(INITIAL).newest(key, 99) for key in table.index(INITIAL)}
    lengths = {key: table.index(LENGTH).newest(key, 99) for key in table.index(LENGTH)}
    return len(table), initials, lengths


def test_a_value_is_found_by_key_and_by_each_index() -> None:
    table = table_of("pear", "plum", "a")

    assert contents(table) == (3, {"p": [1, 0], "a": [2]}, {4: [1, 0]})
    assert table.values(table.index(INITIAL).newest("p", 9)) == ["plum", "pear"]
    assert table.get(b"0") == (0, b"0", ("p", 4), "pear")
    table._check(str)


def test_planning_changes_nothing() -> None:
    table = table_of("pear")
    before = contents(table)
    table.plan_put(b"0", 5, "apple", "apple")
    table.plan_put(b"1", 6, "apple", "apple")
    table.plan_remove(b"0")

    assert contents(table) == before
    table._check(str)


@pytest.mark.parametrize("word", ["pea", "quince", "p", "pear"])
def test_replacing_leaves_no_trace_of_the_old(word: str) -> None:
    """With all, some or none of its entries the same, a row is only where its new entries say."""
    table, expected = table_of("pear", "plum"), table_of("other", "plum")
    put(table, "0", 7, word)
    expected.apply(expected.plan_remove(b"0"))
    put(expected, "0", 7, word)

    assert contents(table) == contents(expected)
    table._check(str)


def test_removing_the_only_row_leaves_nothing() -> None:
    table = table_of("pear")
    table.apply(table.plan_remove(b"0"))

    assert contents(table) == (0, {}, {})
    table._check(str)


def test_removing_what_is_not_there_changes_nothing() -> None:
    table = table_of("pear")
    table.apply(table.plan_remove(b"9"))

    assert contents(table) == contents(table_of("pear"))


def test_a_taken_stamp_is_refused_when_planning() -> None:
    """Stamps identify rows, so a second row with one is refused before anything changes."""
    table = table_of("pear")

    with pytest.raises(ValueError, match="stamp 0 is taken"):
        table.plan_put(b"1", 0, "plum", "plum")
    assert contents(table) == contents(table_of("pear"))


def test_an_entry_that_cannot_be_a_key_is_refused_when_planning() -> None:
    listed: Index[str, Postings[Any]] = Index("listed", list, Postings)  # type: ignore[arg-type]
    table: Table[str, str] = Table([INITIAL, listed])

    with pytest.raises(TypeError, match="unhashable"):
        table.plan_put(b"0", 0, "pear", "pear")
    assert len(table) == 0


def test_an_index_that_fails_fails_when_planning() -> None:
    table = table_of("pear")

    with pytest.raises(IndexError):
        table.plan_put(b"1", 1, "", "")
    assert contents(table) == contents(table_of("pear"))
    table._check(str)


def test_rows_are_unlinked_by_what_they_remember() -> None:
    """What a kept value has become since does not matter to taking it out."""
    table: Table[list[str], list[str]] = Table([Index("first", lambda words: words[0], Postings)])
    words = ["pear"]
    table.apply(table.plan_put(b"0", 0, words, words))
    words[0] = "plum"
    table.apply(table.plan_remove(b"0"))

    assert len(table) == 0
    table._check(list)


def test_an_index_that_was_not_declared_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="length"):
        Table([INITIAL]).index(LENGTH)


def test_check_names_the_index_that_is_wrong() -> None:
    """The check can fail, and says where."""
    table = table_of("pear", "plum")
    table.index(LENGTH).remove(4, 1)

    with pytest.raises(AssertionError, match="index 'length'"):
        table._check(str)


def test_check_sees_an_entry_that_the_value_does_not_have() -> None:
    table = table_of("pear")

    with pytest.raises(AssertionError, match="belongs under"):
        table._check(lambda word: word + "s")


def test_check_sees_rows_by_key_and_by_stamp_differ() -> None:
    table = table_of("pear")
    del table._by_stamp[0]

    with pytest.raises(AssertionError, match="by key and by stamp"):
        table._check(str)
