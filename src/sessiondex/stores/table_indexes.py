"""The declared indexes as an indexed store in memory keeps them: the storage of each, and the queries that need it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sessiondex import schema
from sessiondex.clock import MICROSECOND
from sessiondex.engine.faceted import FacetedPostings, FacetFilter
from sessiondex.engine.index import Index
from sessiondex.engine.multi_postings import MultiPostings
from sessiondex.engine.postings import Postings
from sessiondex.queries import ChannelQuery, StepQuery

_DAY = timedelta(days=1) // MICROSECOND

STEP: Index[FacetedPostings] = Index(
    schema.STEP.name, schema.STEP.fields, lambda: FacetedPostings(group_size=schema.VERSION_SIZE)
)
FIELD: Index[MultiPostings] = Index(schema.FIELD.name, schema.FIELD.fields, MultiPostings)
LISTS: dict[schema.Declaration, Index[Any]] = {
    declared: Index(declared.name, declared.fields, Postings)
    for declared in (schema.CHANNEL, schema.AGENT, schema.CUSTOMER, schema.TENANT, schema.ACTIVITY)
} | {schema.FIELD: FIELD}
"""The indexes whose storages answer with `newest_of` and `count`."""
INDEXES: dict[schema.Declaration, Index[Any]] = {**LISTS, schema.STEP: STEP}
TENANT_POSITION = schema.INDEXES.index(schema.TENANT)


def select_step(postings: FacetedPostings, query: StepQuery, now: int) -> list[bytes]:
    """Return the keys of the sessions at the step that pass the filter, unordered. `now` is in microseconds."""
    scope = query.scope_filter
    if scope is None:
        return postings.select(schema.step_key(query))
    oldest, youngest = scope.max_session_age_days, scope.min_session_age_days
    return postings.select(
        schema.step_key(query),
        outer=FacetFilter(scope.include_channels, scope.exclude_channels or ()),
        inner=FacetFilter(scope.include_current_nodes, scope.exclude_current_nodes or ()),
        # An age of n days, rounded down, lasts until just before n + 1 days.
        low=None if oldest is None else now - (oldest + 1) * _DAY + 1,
        high=None if youngest is None else now - youngest * _DAY,
    )


def latest_posting(postings: Postings, query: ChannelQuery) -> bytes | None:
    """Return the newest posting of the channel identity, or `None`."""
    keys = schema.channel_keys(query)
    latest = postings.latest(keys[0])
    if query.is_open:
        return latest
    closed = postings.latest(keys[1])
    return closed if latest is None or (closed is not None and closed > latest) else latest
