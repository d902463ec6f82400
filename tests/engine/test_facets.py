"""Faceted postings: what a query leaves out costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sessiondex.engine.facets import Choice, Facet, FacetedEntry, FacetedPostings
from sessiondex.engine.postings import Postings, order


def item_of(row: int) -> bytes:
    """Return the item of a row that has its number as key, and by which it is ordered elsewhere."""
    return order(-row) + bytes([row])


def filed(*entries: FacetedEntry, chunk_max: int = 2, roster_max: int = 99) -> FacetedPostings:
    postings = FacetedPostings(1, chunk_max, roster_max)
    for row, entry in enumerate(entries):
        postings.add(entry, item_of(row))
    return postings


def selected(postings: FacetedPostings, key: bytes = b"step", **wanted: Any) -> list[int]:
    return sorted(row for (row,) in postings.select(key, **wanted))


ENTRIES: list[FacetedEntry] = [
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
        ({"outer": Choice({"sms", "fax"})}, [0, 2, 4]),
        ({"outer": Choice(None, {"sms"})}, [1]),
        ({"outer": Choice({"sms", "api"}, {"api"})}, [0, 2, 4]),
        ({"outer": Choice(set())}, []),
        ({"outer": Choice(["sms", "sms"])}, [0, 2, 4]),
        ({"inner": Choice({"pay"})}, [0, 1]),
        ({"inner": Choice(None, {"pay"})}, [2, 4]),
        ({"inner": Choice({None})}, [4]),
        ({"low": 7, "high": 7}, [1, 2]),
        ({"low": -5, "high": 8}, [0, 1, 2]),
        ({"high": -6}, []),
        ({"low": 8}, [4]),
        ({"low": -(10**30), "high": 10**30}, [0, 1, 2, 4]),
        ({"outer": Choice({"sms"}), "inner": Choice({"pay"}), "low": -9}, [0]),
    ],
)
def test_selects_by_facets_and_rank(wanted: dict[str, Any], expected: list[int]) -> None:
    """Facets choose, and ranks bound with both ends included."""
    assert selected(filed(*ENTRIES), **wanted) == expected


class Unwalked(dict[Facet, int]):
    """Can be asked what is in it, and not what all is."""

    def __iter__(self) -> Any:
        raise AssertionError("walked over")


def test_values_that_are_named_are_looked_up() -> None:
    """However many there are: ten nodes of a million cost ten."""
    present = Unwalked(a=1, b=2, c=3)

    assert sorted(str(value) for value in Choice({"a", "b", "z"}, {"b"}).of(present)) == ["a"]


def test_a_key_is_another_than_a_longer_one() -> None:
    assert selected(filed(*ENTRIES), b"other") == [3]
    assert selected(filed(*ENTRIES), b"othe") == []


@pytest.mark.parametrize("roster_max", [0, 1, 2, 99])
def test_nothing_stays_behind(roster_max: int) -> None:
    """When the last row goes, so do its facets and its key."""
    postings = filed(*ENTRIES, roster_max=roster_max)
    keys = []
    for row, entry in enumerate(ENTRIES):
        postings.remove(entry, item_of(row))
        keys.append(len(postings))

    assert keys == [2, 2, 2, 1, 0]
    assert (list(postings._facets), list(postings._groups), list(postings._postings), postings.entries) == (
        [],
        [],
        [],
        0,
    )


def test_facets_go_with_their_last_row_and_no_sooner() -> None:
    postings = filed(*ENTRIES, (b"step", "sms", "pay", 0))
    postings.remove(ENTRIES[0], item_of(0))
    assert "pay" in postings._facets.get(b"step")["sms"]

    postings.remove((b"step", "sms", "pay", 0), item_of(5))
    assert "pay" not in postings._facets.get(b"step")["sms"]
    postings._check([(entry, item_of(row)) for row, entry in enumerate(ENTRIES) if row])


def test_many_facets_are_no_longer_written_all_at_each_change() -> None:
    """From few to many and back, they are found all the same."""
    postings = FacetedPostings(key_size=len(item_of(0)) - 8, roster_max=4)
    entries: list[FacetedEntry] = [(b"step", "sms", f"node-{number}", 0) for number in range(6)]
    for row, entry in enumerate(entries):
        postings.add(entry, item_of(row))
        assert selected(postings) == list(range(row + 1))
    for row, entry in enumerate(entries):
        postings.remove(entry, item_of(row))
        assert selected(postings) == list(range(row + 1, 6))
        postings._check([(left, item_of(other)) for other, left in enumerate(entries) if other > row])


@pytest.mark.parametrize("roster_max", [0, 99])
def test_asking_for_what_is_not_there_leaves_facets_as_they_are(roster_max: int) -> None:
    postings = filed(*ENTRIES, roster_max=roster_max)

    assert selected(postings, outer=Choice({"fax", "sms"}), inner=Choice({"bye", "ask"})) == [2]
    postings._check([(entry, item_of(row)) for row, entry in enumerate(ENTRIES)])


def test_rows_and_keys_are_counted() -> None:
    postings = filed(*ENTRIES)

    assert (postings.entries, len(postings)) == (5, 2)


def test_reading_a_missing_key_creates_nothing() -> None:
    postings = filed()

    assert postings.select(b"step") == []
    assert (len(postings), list(postings._facets), list(postings._postings)) == (0, [], [])


def test_what_is_left_out_is_not_visited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among many on one channel, a query for another channel reads only its own posting list."""
    many: list[FacetedEntry] = [(b"step", "whatsapp", f"node-{number}", 0) for number in range(200)]
    postings = filed(*many, (b"step", "sms", "pay", 0))
    read: list[bytes] = []
    between: Callable[..., list[bytes]] = Postings.between

    def recorded(self: Postings, key: bytes, low: int | None, high: int | None) -> list[bytes]:
        read.append(key)
        return between(self, key, low, high)

    monkeypatch.setattr(Postings, "between", recorded)

    assert selected(postings, outer=Choice({"sms"})) == [200]
    assert selected(postings, inner=Choice({"node-7"})) == [7]
    assert len(read) == 2
    assert read[0].endswith(b"=pay")
    assert read[1].endswith(b"=node-7")


def test_what_a_row_is_ordered_by_elsewhere_does_not_matter() -> None:
    """Saved again, a row has another stamp; here it has its rank, and stays where it is."""
    postings = filed(*ENTRIES)
    postings.move(ENTRIES[0], item_of(0), order(99) + b"\0")
    postings._check([(entry, order(1) + bytes([row])) for row, entry in enumerate(ENTRIES)])

    postings.remove(ENTRIES[0], order(99) + b"\0")
    assert selected(postings) == [1, 2, 4]


# Of the few bytes by which a key, or a facet, could be taken for more or less than it is.
keys = st.text("=:,01", max_size=4).map(str.encode)
facets = st.none() | st.text("=:,01", max_size=3)


@given(st.lists(st.tuples(keys, facets, facets), unique=True, max_size=8))
@example([(b"k", "a", "b"), (b"k", "a=b", None), (b"k", None, "a=b"), (b"k=a", "b", None), (b"k=a=b", None, None)])
@example([(b"k", None, "a"), (b"k=a", None, None), (b"k", "a", None)])
@example([(b"k", "", None), (b"k", None, ""), (b"k", None, None), (b"k", "", "")])
def test_keys_and_facets_are_never_taken_for_others(places: list[tuple[bytes, Facet, Facet]]) -> None:
    postings = filed(*[(*place, 0) for place in places])

    for row, (key, outer, inner) in enumerate(places):
        assert selected(postings, key, outer=Choice([outer]), inner=Choice([inner])) == [row]
        assert selected(postings, key) == [other for other, place in enumerate(places) if place[0] == key]


entries = st.tuples(
    st.sampled_from([b"a", b"b"]),
    st.sampled_from(["c", "d", None]),
    st.sampled_from(["e", None]),
    st.integers(-3, 3) | st.sampled_from([-(2**63), 2**63 - 1]),
)
choices = st.builds(
    Choice, st.none() | st.sets(st.sampled_from(["c", "e", "z", None])), st.sets(st.sampled_from(["c", "e", "z", None]))
)
bounds = st.none() | st.integers(-4, 4)


@given(
    st.lists(entries, max_size=30),
    st.sampled_from([(2, 0), (3, 2), (2, 99)]),
    st.tuples(choices, choices, bounds, bounds),
    st.data(),
)
def test_agrees_with_a_list(
    all_entries: list[FacetedEntry],
    maxima: tuple[int, int],
    wanted: tuple[Choice, Choice, int | None, int | None],
    data: st.DataObject,
) -> None:
    """Selecting is the same as filtering a list of entries, also after removing some."""
    outer, inner, low, high = wanted
    postings, filing = filed(*all_entries, chunk_max=maxima[0], roster_max=maxima[1]), dict(enumerate(all_entries))
    for row in data.draw(st.lists(st.sampled_from(sorted(filing)), unique=True)) if filing else []:
        postings.remove(filing.pop(row), item_of(row))
    postings._check([(entry, item_of(row)) for row, entry in filing.items()])

    expected = [
        row
        for row, (key, outer_facet, inner_facet, rank) in sorted(filing.items())
        if key == b"a"
        and (outer.include is None or outer_facet in outer.include)
        and outer_facet not in outer.exclude
        and (inner.include is None or inner_facet in inner.include)
        and inner_facet not in inner.exclude
        and (low is None or low <= rank)
        and (high is None or rank <= high)
    ]
    assert selected(postings, b"a", outer=outer, inner=inner, low=low, high=high) == expected
    assert (postings.entries, len(postings)) == (len(filing), len({entry[0] for entry in filing.values()}))


@pytest.mark.parametrize(("at", "wrong"), [(0, b"z"), (1, "z"), (2, "z"), (3, 99)])
def test_check_sees_a_difference_in_any_part(at: int, wrong: Any) -> None:
    """The check can fail: for the key, each facet, and the rank."""
    entry: Any = list(ENTRIES[0])
    entry[at] = wrong
    expected = [(tuple(entry), item_of(0)), *[(entry, item_of(row + 1)) for row, entry in enumerate(ENTRIES[1:])]]

    with pytest.raises(AssertionError):
        filed(*ENTRIES)._check(expected)


@pytest.mark.parametrize(
    ("facets", "reason"),
    [
        ({"sms": {"pay": None, "ask": None, None: None}, "api": {"pay": None}, "voice": {}}, "roster of .*voice"),
        ({"sms": {"pay": None, "ask": None, "bye": None}, "api": {"pay": None}}, "roster of .*bye"),
        (None, "keys of rosters"),
    ],
)
def test_check_sees_facets_that_are_not_those_of_the_rows(facets: Any, reason: str) -> None:
    """Without these, or with others, a query would not find the rows, or find them twice."""
    postings = filed(*ENTRIES)
    postings._facets.keep(b"step", facets or {}, 4 if facets else 0)

    with pytest.raises(AssertionError, match=reason):
        postings._check([(entry, item_of(row)) for row, entry in enumerate(ENTRIES)])


def test_keys_are_counted_by_group() -> None:
    """What is handed out is a copy; what runs empty goes."""
    postings = FacetedPostings(1, group_size=1)
    entries: list[FacetedEntry] = [
        (b"xa", "sms", "pay", 1),
        (b"xa", "sms", "ask", 2),
        (b"xb", None, None, 3),
        (b"y", "", "", 4),
    ]
    for number, entry in enumerate(entries):
        postings.add(entry, order(number) + b"%d" % number)
    postings.counts(b"x").clear()

    assert postings.counts(b"x") == {b"a": 2, b"b": 1}
    assert postings.counts(b"y") == {b"": 1}
    assert postings.counts(b"z") == {}
    assert [postings.count(key) for key in (b"xa", b"xb", b"xc", b"y", b"z")] == [2, 1, 0, 1, 0]
    for number, entry in enumerate(entries):
        postings.remove(entry, order(number) + b"%d" % number)
    assert not list(postings._groups)


@pytest.mark.parametrize(
    ("corrupt", "reason"),
    [
        (lambda postings: postings._counts.shard(b"xa").update({b"xa": 2}), "counts of rows"),
        (lambda postings: postings._groups.keep(b"x", {b"a": None, b"b": None}, 2), "roster of"),
        (lambda postings: postings._groups.keep(b"x", {}, 0), "keys of rosters"),
    ],
)
def test_check_sees_counts_and_groups_that_are_not_those_of_the_rows(corrupt: Any, reason: str) -> None:
    postings = FacetedPostings(1, group_size=1)
    entry: FacetedEntry = (b"xa", "sms", "pay", 1)
    postings.add(entry, item_of(0))
    postings._check([(entry, item_of(0))])

    corrupt(postings)
    with pytest.raises(AssertionError, match=reason):
        postings._check([(entry, item_of(0))])
