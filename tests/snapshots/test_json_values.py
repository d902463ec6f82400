"""JSON values: copies, the fast check, and the search for what JSON cannot hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from sessiondex import Session
from sessiondex.snapshots.json_values import copy_json, find_non_json, is_plain_json
from sessiondex.testing import strategies as some
from tests.support.exact_values import exact
from tests.support.session_classes import nested


def containers(value: Any) -> list[int]:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [id(value)] if isinstance(value, dict | list) else []
    return own + [found for item in items for found in containers(item)]


@given(some.json_values)
def test_a_copy_is_equal_and_shares_no_container(value: Any) -> None:
    copied = copy_json(value)

    assert exact(copied) == exact(value)
    assert not set(containers(copied)) & set(containers(value))


@given(some.json_values)
def test_json_values_have_no_flaw(value: Any) -> None:
    assert find_non_json({"variables": value}, json_only={"variables"}) is None


@pytest.mark.parametrize(
    "value",
    [2**63, -(2**63) - 1, float("nan"), float("inf"), "\ud800", {"\ud800": 1}, {1: 1}, (1,), [b"x"], nested(33), {1}],
    ids=lambda value: str(type(value)),
)
def test_values_in_doubt(value: Any) -> None:
    """At the top, in a list, and in a dict."""
    assert not is_plain_json(value)
    assert not is_plain_json([1, value])
    assert not is_plain_json({"a": 1, "b": value})


@pytest.mark.parametrize(
    "value",
    [2**63 - 1, -(2**63), -0.0, "é", None, True, {"a": [{}]}, [[]], nested(32), {"": ""}],
    ids=lambda value: str(type(value)),
)
def test_values_that_json_surely_keeps(value: Any) -> None:
    assert is_plain_json(value)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ([0, {"a": (1, float("nan"))}], "x.1.a.1"),
        ({"a": Session}, None),
        (Session.model_construct(variables={"b": "\ud800"}), "x.variables.b"),
        ({2: "\ud800"}, "x.2"),
        ({"a\ud800": 1}, r"x.a\ud800"),
    ],
)
def test_the_search_looks_into_containers_and_models(value: Any, path: str | None) -> None:
    """Outside of the fields for JSON alone, other objects are not judged."""
    found = find_non_json({"ok": 1, "x": value})

    assert (found and found[0]) == path


@pytest.mark.parametrize("value", [nested(200), 10**4_400], ids=["depth", "digits"])
def test_depth_and_length_do_not_matter_for_what_was_loaded(value: Any) -> None:
    assert find_non_json({"x": value}) is not None
    assert find_non_json({"x": value}, was_loaded=True) is None
