"""Faceted postings: a query reads only the lists that it asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sessiondex.engine.faceted import Facet, FacetedKey, FacetedPostings, FacetFilter
from sessiondex.engine.postings import Postings, encode_sortable


def posting_of(row: int) -> bytes:
    """Return a posting with a stamp, which does not matter here, and the number of the row as key."""
    return encode_sortable(-row) + bytes([row])


def postings_of(*index_keys: FacetedKey, postings_per_chunk: int = 2) -> FacetedPostings:
    postings = FacetedPostings(1, postings_per_chunk)
    for row, index_key in enumerate(index_keys):
        postings.add(index_key, posting_of(row))
    return postings


def selected(postings: FacetedPostings, key: bytes = b"step", **wanted: Any) -> list[int]:
    return sorted(row for (row,) in postings.select(key, **wanted))


INDEX_KEYS: list[FacetedKey] = [
    (b"step", "sms", "pay", -5),
    (b"step", "api", "pay", 7),
    (b"step", "sms", "ask", 7),
    (b"other", "sms", "pay", 7),
    (b"step", "sms", None, 9),
]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, [0, 1, 2, 4]),
        ({"outer": FacetFilter({"sms", "fax"})}, [0, 2, 4]),
        ({"outer": FacetFilter(None, {"sms"})}, [1]),
        ({"outer": FacetFilter({"sms", "api"}, {"api"})}, [0, 2, 4]),
        ({"outer": FacetFilter(set())}, []),
        ({"outer": FacetFilter(["sms", "sms"])}, [0, 2, 4]),
        ({"inner": FacetFilter({"pay"})}, [0, 1]),
        ({"inner": FacetFilter(None, {"pay"})}, [2, 4]),
        ({"inner": FacetFilter({None})}, [4]),
        ({"low": 7, "high": 7}, [1, 2]),
        ({"low": -5, "high": 8}, [0, 1, 2]),
        ({"high": -6}, []),
        ({"low": 8}, [4]),
        ({"low": -(10**30), "high": 10**30}, [0, 1, 2, 4]),
        ({"outer": FacetFilter({"sms"}), "inner": FacetFilter({"pay"}), "low": -9}, [0]),
    ],
)
def test_selects_by_facets_and_rank(wanted: dict[str, Any], expected: list[int]) -> None:
    """Facets choose, and ranks bound with both ends included."""
    assert selected(postings_of(*INDEX_KEYS), **wanted) == expected


class Unwalked(dict[Facet, int]):
    """Allows look-ups, and no iteration."""

    def __iter__(self) -> Any:
        raise AssertionError("walked over")


def test_values_that_are_named_are_looked_up() -> None:
    """Ten nodes cost ten look-ups, even among a million."""
    present = Unwalked(a=1, b=2, c=3)

    assert sorted(str(value) for value in FacetFilter({"a", "b", "z"}, {"b"}).matching(present)) == ["a"]


def test_a_key_is_another_than_a_longer_one() -> None:
    assert selected(postings_of(*INDEX_KEYS), b"other") == [3]
    assert selected(postings_of(*INDEX_KEYS), b"othe") == []


def inner_facets(postings: FacetedPostings, key: bytes, outer: str) -> dict[Facet, bytes]:
    return postings._inner[postings._outer[key][outer]]


def is_empty(postings: FacetedPostings) -> bool:
    parts = (postings._outer, postings._inner, postings._groups, postings._counts, list(postings._postings))
    return not any(parts) and postings.posting_count == len(postings) == 0


def test_nothing_stays_behind() -> None:
    """When the last row is removed, its facets, its key and its group are removed as well."""
    postings = postings_of(*INDEX_KEYS)
    keys = []
    for row, index_key in enumerate(INDEX_KEYS):
        postings.remove(index_key, posting_of(row))
        keys.append(len(postings))

    assert keys == [2, 2, 2, 1, 0]
    assert is_empty(postings)


def test_clearing_removes_everything() -> None:
    postings = postings_of(*INDEX_KEYS)
    postings.clear()
    assert is_empty(postings)

    postings.add(INDEX_KEYS[0], posting_of(0))
    postings.check([(INDEX_KEYS[0], posting_of(0))])


def test_facets_are_removed_with_their_last_row() -> None:
    postings = postings_of(*INDEX_KEYS, (b"step", "sms", "pay", 0))
    postings.remove(INDEX_KEYS[0], posting_of(0))
    assert "pay" in inner_facets(postings, b"step", "sms")

    postings.remove((b"step", "sms", "pay", 0), posting_of(5))
    assert "pay" not in inner_facets(postings, b"step", "sms")
    postings.check([(index_key, posting_of(row)) for row, index_key in enumerate(INDEX_KEYS) if row])


def test_asking_for_missing_facets_does_not_create_them() -> None:
    postings = postings_of(*INDEX_KEYS)

    assert selected(postings, outer=FacetFilter({"fax", "sms"}), inner=FacetFilter({"bye", "ask"})) == [2]
    postings.check([(index_key, posting_of(row)) for row, index_key in enumerate(INDEX_KEYS)])


def test_rows_and_keys_are_counted() -> None:
    postings = postings_of(*INDEX_KEYS)

    assert (postings.posting_count, len(postings)) == (5, 2)


def test_reading_a_missing_key_creates_nothing() -> None:
    postings = postings_of()

    assert postings.select(b"step") == []
    assert postings.count(b"step") == 0
    assert is_empty(postings)


def test_lists_with_other_facets_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among many on one channel, a query for another channel reads only its own posting list."""
    many: list[FacetedKey] = [(b"step", "whatsapp", f"node-{number}", 0) for number in range(200)]
    postings = postings_of(*many, (b"step", "sms", "pay", 0))
    read: list[bytes] = []
    between: Callable[..., list[bytes]] = Postings.between

    def recorded(self: Postings, key: bytes, low: int | None, high: int | None) -> list[bytes]:
        read.append(key)
        return between(self, key, low, high)

    monkeypatch.setattr(Postings, "between", recorded)

    assert selected(postings, outer=FacetFilter({"sms"})) == [200]
    assert selected(postings, inner=FacetFilter({"node-7"})) == [7]
    assert len(read) == 2
    assert read[0].endswith(b"=pay")
    assert read[1].endswith(b"=node-7")


def test_a_new_stamp_does_not_move_a_row() -> None:
    """Rows are in the order of their rank, which a save does not change."""
    postings = postings_of(*INDEX_KEYS)
    postings.move(INDEX_KEYS[0], posting_of(0), encode_sortable(99) + b"\0")
    postings.check([(index_key, encode_sortable(1) + bytes([row])) for row, index_key in enumerate(INDEX_KEYS)])

    postings.remove(INDEX_KEYS[0], encode_sortable(99) + b"\0")
    assert selected(postings) == [1, 2, 4]


# The bytes with which one key or facet could be mistaken for another.
keys = st.text("=:,01", max_size=4).map(str.encode)
facets = st.none() | st.text("=:,01", max_size=3)


@given(st.lists(st.tuples(keys, facets, facets), unique=True, max_size=8))
@example([(b"k", "a", "b"), (b"k", "a=b", None), (b"k", None, "a=b"), (b"k=a", "b", None), (b"k=a=b", None, None)])
@example([(b"k", None, "a"), (b"k=a", None, None), (b"k", "a", None)])
@example([(b"k", "", None), (b"k", None, ""), (b"k", None, None), (b"k", "", "")])
def test_keys_and_facets_are_never_mistaken_for_others(places: list[tuple[bytes, Facet, Facet]]) -> None:
    postings = postings_of(*[(*place, 0) for place in places])

    for row, (key, outer, inner) in enumerate(places):
        assert selected(postings, key, outer=FacetFilter([outer]), inner=FacetFilter([inner])) == [row]
        assert selected(postings, key) == [other for other, place in enumerate(places) if place[0] == key]


index_keys = st.tuples(
    st.sampled_from([b"a", b"b"]),
    st.sampled_from(["c", "d", None]),
    st.sampled_from(["e", None]),
    st.integers(-3, 3) | st.sampled_from([-(2**63), 2**63 - 1]),
)
filters = st.builds(
    FacetFilter,
    st.none() | st.sets(st.sampled_from(["c", "e", "z", None])),
    st.sets(st.sampled_from(["c", "e", "z", None])),
)
bounds = st.none() | st.integers(-4, 4)


@given(
    st.lists(index_keys, max_size=30),
    st.sampled_from([2, 3, 99]),
    st.tuples(filters, filters, bounds, bounds),
    st.data(),
)
def test_agrees_with_a_list(
    added: list[FacetedKey],
    postings_per_chunk: int,
    wanted: tuple[FacetFilter, FacetFilter, int | None, int | None],
    data: st.DataObject,
) -> None:
    """Selecting is the same as filtering a list of index keys, also after removing some."""
    outer, inner, low, high = wanted
    postings, filed = postings_of(*added, postings_per_chunk=postings_per_chunk), dict(enumerate(added))
    for row in data.draw(st.lists(st.sampled_from(sorted(filed)), unique=True)) if filed else []:
        postings.remove(filed.pop(row), posting_of(row))
    postings.check([(index_key, posting_of(row)) for row, index_key in filed.items()])

    expected = [
        row
        for row, (key, outer_facet, inner_facet, rank) in sorted(filed.items())
        if key == b"a"
        and (outer.include is None or outer_facet in outer.include)
        and outer_facet not in outer.exclude
        and (inner.include is None or inner_facet in inner.include)
        and inner_facet not in inner.exclude
        and (low is None or low <= rank)
        and (high is None or rank <= high)
    ]
    assert selected(postings, b"a", outer=outer, inner=inner, low=low, high=high) == expected
    assert postings.posting_count == len(filed)
    assert len(postings) == len({key for key, *_ in filed.values()})


@pytest.mark.parametrize(("at", "wrong"), [(0, b"z"), (1, "z"), (2, "z"), (3, 99)])
def test_check_finds_a_difference_in_any_part(at: int, wrong: Any) -> None:
    """The check can fail: for the key, each facet, and the rank."""
    first: Any = list(INDEX_KEYS[0])
    first[at] = wrong
    expected = [(index_key, posting_of(row)) for row, index_key in enumerate([tuple(first), *INDEX_KEYS[1:]])]

    with pytest.raises(AssertionError):
        postings_of(*INDEX_KEYS).check(expected)


@pytest.mark.parametrize(
    "damage",
    [
        lambda postings: postings._outer[b"step"].update(voice=b""),
        lambda postings: inner_facets(postings, b"step", "sms").update(bye=b""),
        lambda postings: inner_facets(postings, b"step", "sms").pop("ask"),
        lambda postings: inner_facets(postings, b"step", "sms").update(ask=b"the key of another list"),
        lambda postings: postings._outer.pop(b"other"),
        lambda postings: postings._inner.popitem(),
    ],
)
def test_check_finds_facets_that_are_not_those_of_the_rows(damage: Any) -> None:
    """Without these, or with others, a query would not find the rows, or find them twice."""
    postings = postings_of(*INDEX_KEYS)
    damage(postings)

    with pytest.raises(AssertionError, match="facets by key"):
        postings.check([(index_key, posting_of(row)) for row, index_key in enumerate(INDEX_KEYS)])


def test_keys_are_counted_by_group() -> None:
    """The caller gets a copy of the counts. A group without rows is removed."""
    postings = FacetedPostings(1, group_size=1)
    index_keys: list[FacetedKey] = [
        (b"xa", "sms", "pay", 1),
        (b"xa", "sms", "ask", 2),
        (b"xb", None, None, 3),
        (b"y", "", "", 4),
    ]
    for number, index_key in enumerate(index_keys):
        postings.add(index_key, encode_sortable(number) + b"%d" % number)
    postings.counts(b"x").clear()

    assert postings.counts(b"x") == {b"a": 2, b"b": 1}
    assert postings.counts(b"y") == {b"": 1}
    assert postings.counts(b"z") == {}
    assert [postings.count(key) for key in (b"xa", b"xb", b"xc", b"y", b"z")] == [2, 1, 0, 1, 0]
    for number, index_key in enumerate(index_keys):
        postings.remove(index_key, encode_sortable(number) + b"%d" % number)
    assert is_empty(postings)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda postings: postings._counts.update({b"xa": 2}), "counts of rows"),
        (lambda postings: postings._groups[b"x"].add(b"xb"), "keys by group"),
        (lambda postings: postings._groups.clear(), "keys by group"),
    ],
)
def test_check_finds_counts_and_groups_that_are_not_those_of_the_rows(damage: Any, reason: str) -> None:
    postings = FacetedPostings(1, group_size=1)
    index_key: FacetedKey = (b"xa", "sms", "pay", 1)
    postings.add(index_key, posting_of(0))
    postings.check([(index_key, posting_of(0))])

    damage(postings)
    with pytest.raises(AssertionError, match=reason):
        postings.check([(index_key, posting_of(0))])
