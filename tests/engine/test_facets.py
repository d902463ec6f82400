"""Faceted postings: what a query leaves out costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiondex.engine.facets import Choice, FacetedEntry, FacetedPostings
from sessiondex.engine.postings import Postings


def filed(*entries: FacetedEntry, tuple_max: int = 2, list_max: int = 4) -> FacetedPostings:
    postings = FacetedPostings(tuple_max, list_max)
    for stamp, entry in enumerate(entries):
        postings.add(entry, stamp)
    return postings


ENTRIES: list[FacetedEntry] = [
    ("step", "sms", "pay", -5),
    ("step", "api", "pay", 7),
    ("step", "sms", "ask", 7),
    ("other", "sms", "pay", 7),
    ("step", "sms", None, 9),
]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, [4, 2, 1, 0]),
        ({"outer": Choice({"sms", "fax"})}, [4, 2, 0]),
        ({"outer": Choice(None, {"sms"})}, [1]),
        ({"outer": Choice({"sms", "api"}, {"api"})}, [4, 2, 0]),
        ({"inner": Choice({"pay"})}, [1, 0]),
        ({"inner": Choice(None, {"pay"})}, [4, 2]),
        ({"low": 7, "high": 7}, [2, 1]),
        ({"low": -5, "high": 8}, [2, 1, 0]),
        ({"high": -6}, []),
        ({"outer": Choice({"sms"}), "inner": Choice({"pay"}), "low": -9}, [0]),
    ],
)
def test_selects_by_facets_and_rank(wanted: dict[str, Any], expected: list[int]) -> None:
    """Facets choose, ranks bound with both ends included, and stamps order the result, newest first."""
    assert filed(*ENTRIES).select("step", **wanted) == expected


def test_nothing_stays_behind() -> None:
    """When the last stamp goes, so do its facets and its key."""
    postings = filed(*ENTRIES)
    for stamp, entry in enumerate(ENTRIES):
        postings.remove(entry, stamp)

    assert postings._facets == {}


def test_reading_a_missing_key_creates_nothing() -> None:
    postings = filed()

    assert postings.select("step") == []
    assert postings._facets == {}


def test_what_is_left_out_is_not_visited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among many on one channel, a query for another channel reads only its own posting list."""
    postings = filed(*[("step", "whatsapp", f"node-{number}", 0) for number in range(1000)], ("step", "sms", "pay", 0))
    read: list[Any] = []
    between: Callable[..., list[int]] = Postings.between

    def recorded(self: Postings[Any], key: Any, low: int | None, high: int | None) -> list[int]:
        read.append(key)
        return between(self, key, low, high)

    monkeypatch.setattr(Postings, "between", recorded)

    assert postings.select("step", outer=Choice({"sms"})) == [1000]
    assert postings.select("step", inner=Choice({"node-7"})) == [7]
    assert read == ["pay", "node-7"]


entries = st.tuples(st.sampled_from("ab"), st.sampled_from("cd"), st.sampled_from(["e", None]), st.integers(-3, 3))


@given(st.lists(entries), st.data())
def test_agrees_with_a_list(all_entries: list[FacetedEntry], data: st.DataObject) -> None:
    """Selecting is the same as filtering a list of entries, also after removing and moving some."""
    postings, filing = filed(*all_entries, tuple_max=1, list_max=2), dict(enumerate(all_entries))
    for stamp in data.draw(st.lists(st.sampled_from(sorted(filing)), unique=True)) if filing else []:
        if data.draw(st.booleans()):
            postings.remove(filing.pop(stamp), stamp)
        else:
            postings.move(filing[stamp], stamp, stamp + 1000)
            filing[stamp + 1000] = filing.pop(stamp)
    postings._check([(entry, stamp) for stamp, entry in filing.items()])
    outer = Choice(data.draw(st.none() | st.sets(st.sampled_from("cdz"))), data.draw(st.sets(st.sampled_from("cdz"))))
    low, high = data.draw(st.none() | st.integers(-4, 4)), data.draw(st.none() | st.integers(-4, 4))

    expected = [
        stamp
        for stamp, (key, outer_facet, _, rank) in sorted(filing.items(), reverse=True)
        if key == "a"
        and (outer.include is None or outer_facet in outer.include)
        and outer_facet not in outer.exclude
        and (low is None or low <= rank)
        and (high is None or rank <= high)
    ]
    assert postings.select("a", outer=outer, low=low, high=high) == expected


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_check_sees_a_difference_in_any_part(at: int) -> None:
    """The check can fail: for the key, each facet, and the rank."""
    wrong = list(ENTRIES[0])
    wrong[at] = 99
    expected = [(tuple(wrong), 0), *[(entry, stamp + 1) for stamp, entry in enumerate(ENTRIES[1:])]]

    with pytest.raises(AssertionError):
        filed(*ENTRIES)._check(expected)  # type: ignore[arg-type]  # wrong on purpose
