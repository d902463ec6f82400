"""On a server too, an unreadable session is named, or a read goes on without it."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.stores.test_unreadable import (
    test_a_copy_goes_on_without_it,
    test_another_word_is_refused,
    test_it_can_be_counted_replaced_and_deleted,
    test_its_user_begins_another,
    test_lists_go_on_without_it,
    test_one_call_skips_once,
    test_stats_count_what_was_skipped,
    test_the_error_names_session_type_version_field_and_cause,
)
from tests.support.changing_minds import Fickle

__all__ = [
    "test_a_copy_goes_on_without_it",
    "test_another_word_is_refused",
    "test_it_can_be_counted_replaced_and_deleted",
    "test_its_user_begins_another",
    "test_lists_go_on_without_it",
    "test_one_call_skips_once",
    "test_stats_count_what_was_skipped",
    "test_the_error_names_session_type_version_field_and_cause",
]


@pytest.fixture
def make_fickle(make_redis: Any) -> Any:
    return partial(make_redis, session_classes=[Fickle])
