"""The rules of the state machine for queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import rule

from sessiondex.models import Channel, ScopeFilter
from sessiondex.testing import strategies
from sessiondex.testing.expectations import expect
from sessiondex.testing.machine_core import MachineCore

OWN = "own"
_statuses: st.SearchStrategy[str | None] = st.none() | st.just(OWN) | strategies.statuses


class Listed(NamedTuple):
    """A list, its iterator and its count: the keys to call them with, and the sessions that they must find."""

    by: str
    tenant_id: UUID
    keys: tuple[Any, ...]
    options: Mapping[str, Any]
    is_wanted: Callable[[Any], bool]

    def call(self, store: Any, kind: str, **options: Any) -> Any:
        """Call the list, the iterator or the count of the store."""
        return getattr(store, f"{kind}_by_{self.by}")(self.tenant_id, *self.keys, **self.options, **options)


class MachineQueries(MachineCore):
    """Calls every query, mostly with the keys of a session that is stored."""

    @rule(session_id=strategies.ids, tenant=st.none() | strategies.tenants)
    def get(self, session_id: UUID, tenant: UUID | None) -> None:
        found = self.agree(lambda store: store.get(session_id, tenant_id=tenant), "get")
        expect(found, self.expected[session_id] if self.is_stored(session_id, tenant) else None, "get")

    @rule(
        like=strategies.ids,
        tenant=st.none() | strategies.tenants,
        channel=st.none() | strategies.channels,
        user=st.none() | strategies.user_channel_ids,
    )
    def get_by_channel(self, like: UUID, tenant: UUID | None, channel: Channel | None, user: str | None) -> None:
        session = self.session_like(like)
        identity = tenant or session.tenant_id, channel or session.channel, user or session.user_channel_id
        self.agree(lambda store: store.get_by_channel(*identity), f"get_by_channel of {identity[1:]}")

    @rule(
        like=strategies.ids,
        scope=strategies.scope_filters(),
        version=st.none() | strategies.versions,
        key=st.none() | strategies.hashes,
    )
    def find_by_step(self, like: UUID, scope: ScopeFilter | None, version: int | None, key: str | None) -> None:
        step = self.step(like, version, key)
        self.agree(
            lambda store: store.find_sessions_by_step_hash(*step, scope),
            f"find_sessions_by_step_hash of {step[2:]} with {scope!r}",
        )

    def step(self, like: UUID, version: int | None, key: str | None) -> tuple[UUID, UUID, int, str]:
        """Return the step of the session as arguments of a query, with another version or hash if given."""
        session = self.session_like(like)
        hashes = [visit.step_content_hash for visit in session.step_history[-1:]]
        return (
            session.tenant_id,
            session.active_scenario_id or strategies.OTHER_SCENARIO,
            version or session.active_scenario_version or 1,
            key or (hashes and hashes[0]) or "hash-1",
        )

    @rule(ids=st.lists(strategies.ids, max_size=6), tenant=st.none() | strategies.tenants)
    def get_many(self, ids: list[UUID], tenant: UUID | None) -> None:
        found = self.agree(lambda store: store.get_many(iter(ids), tenant_id=tenant), "get_many")
        expect(found, [self.expected[one] if self.is_stored(one, tenant) else None for one in ids], "get_many")

    # -- lists, pages, iterators, counts --

    def listed(
        self, like: UUID, status: str | None = None, agent: UUID | None = None, customer: UUID | None = None
    ) -> list[Listed]:
        """Return each list with the keys of the session, or with the agent and customer given.

        `status` is one, `None`, or `OWN` for that of the session.
        """
        other = self.session_like(like)
        status = other.status if status == OWN else status
        agent, customer = agent or other.agent_id, customer or other.customer_profile_id or strategies.CUSTOMER
        identity = other.channel, other.user_channel_id

        def has_status(session: Any) -> bool:
            return status in {None, session.status}

        tenant, of = other.tenant_id, {"status": status}
        return [
            Listed("agent", tenant, (agent,), of, lambda one: has_status(one) and one.agent_id == agent),
            Listed(
                "customer", tenant, (customer,), of, lambda one: has_status(one) and one.customer_profile_id == customer
            ),
            Listed("tenant", tenant, (), of, has_status),
            Listed("channel", tenant, identity, {}, lambda one: (one.channel, one.user_channel_id) == identity),
        ]

    def expect_page(self, listed: Listed, limit: int, before: UUID | None = None, after: UUID | None = None) -> None:
        """Compare a page of the list with that of the oracle, and with the model.

        `before` and `after` are the ids of sessions of the tenant, whose stamps bound the page. Stamps of other tenants
        say nothing of this one.
        """
        bounds: tuple[dict[str, datetime], dict[str, datetime]] = ({}, {})
        for name, session_id in (("before", before), ("after", after)):
            if session_id is not None and self.is_stored(session_id, listed.tenant_id):
                for bound, session in zip(bounds, self.get_pair(session_id) or (), strict=True):
                    bound[name] = session.last_activity_at
        mine, other = (
            self.run(listed.call(store, "list", limit=limit, **bound))
            for store, bound in zip((self.store, self.oracle), bounds, strict=True)
        )
        what = f"list_by_{listed.by}"
        outside = [session for session in mine if not _is_between(session, **bounds[0])]
        expect(outside, [], f"{what}, sessions of a page beyond its cursors")
        self.expect_alike(mine, other, what)
        expected = self.newest_first(listed.tenant_id, listed.is_wanted)
        expect(mine, [one for one in expected if _is_between(one, **bounds[0])][:limit], what)

    def expect_all(self, listed: Listed, size: int) -> None:
        """Compare what the iterator gives, and the count."""
        expected = self.newest_first(listed.tenant_id, listed.is_wanted)
        what = f"iter_by_{listed.by}"
        found = self.agree(lambda store: _collect(listed.call(store, "iter", page_size=size)), what)
        expect(found, expected, what)
        what = f"count_by_{listed.by}"
        expect(self.agree(lambda store: listed.call(store, "count"), what), len(expected), f"{what}, beside the list")

    @rule(
        like=strategies.ids,
        agent=st.none() | strategies.agents,
        customer=st.none() | strategies.customers,
        status=_statuses,
        limit=st.integers(0, 15),
    )
    def list_sessions(
        self, like: UUID, agent: UUID | None, customer: UUID | None, status: str | None, limit: int
    ) -> None:
        for listed in self.listed(like, status, agent, customer):
            self.expect_page(listed, limit)

    @rule(session_id=strategies.ids, like=strategies.ids, status=_statuses, limit=st.integers(0, 5))
    def read_a_page(self, session_id: UUID, like: UUID, status: str | None, limit: int) -> None:
        """Read the pages before the stamp of a session."""
        for listed in self.listed(like, status):
            self.expect_page(listed, limit, before=session_id)

    @rule(like=strategies.ids, status=_statuses, limit=st.integers(0, 5), has_end=st.booleans(), data=st.data())
    def read_between(self, like: UUID, status: str | None, limit: int, data: st.DataObject, *, has_end: bool) -> None:
        """Read what is later than one session, and, if there is to be an end, earlier than another."""
        stored = self.newest_first(self.session_like(like).tenant_id, lambda _: True)
        if not stored:
            return
        older = data.draw(st.sampled_from(stored)).session_id
        newer = data.draw(st.sampled_from(stored)).session_id if has_end else None
        for listed in self.listed(like, status):
            self.expect_page(listed, limit, before=newer, after=older)

    @rule(like=strategies.ids, status=_statuses, size=st.integers(1, 3))
    def iterate_and_count(self, like: UUID, status: str | None, size: int) -> None:
        for listed in self.listed(like, status):
            self.expect_all(listed, size)

    @rule(like=strategies.ids, older=st.none() | strategies.ids, limit=st.integers(1, 5), data=st.data())
    def find_by_own_field(self, like: UUID, older: UUID | None, limit: int, data: st.DataObject) -> None:
        """List, get, iterate and count by an indexed field of the session, and mostly by an item that it has."""
        other = self.session_like(like)
        names = [name for name in sorted(strategies.own_items) if name in type(other).model_fields]
        if not names or type(other) not in self.saved_classes:
            return
        name, tenant = data.draw(st.sampled_from(names)), other.tenant_id
        value = getattr(other, name)
        items = sorted(value) if isinstance(value, list | set) else [] if value is None else [value]
        own: st.SearchStrategy[Any] = st.sampled_from(items) if items else st.nothing()
        item = data.draw(own | strategies.own_items[name])
        listed = Listed("field", tenant, (name, item), {}, lambda one: strategies.has_item(one, name, item))
        self.expect_page(listed, limit, after=older)
        self.expect_all(listed, limit)
        found = self.agree(lambda store: store.get_by_field(tenant, name, item), "get_by_field")
        expect([found], self.newest_first(tenant, listed.is_wanted)[:1] or [None], "get_by_field")

    @rule(like=strategies.ids, version=st.none() | strategies.versions, key=st.none() | strategies.hashes)
    def count_steps(self, like: UUID, version: int | None, key: str | None) -> None:
        tenant, scenario, version, key = self.step(like, version, key)
        steps = self.agree(lambda store: store.count_steps(tenant, scenario, version), "count_steps")
        found = self.run(self.store.find_sessions_by_step_hash(tenant, scenario, version, key))
        expect(steps.get(key, 0), len(found), "count_steps, beside the list")
        count = self.agree(lambda store: store.count_by_step_hash(tenant, scenario, version, key), "count_by_step_hash")
        expect(count, len(found), "count_by_step_hash, beside the list")


def _is_between(session: Any, before: datetime | None = None, after: datetime | None = None) -> bool:
    stamp = session.last_activity_at
    return (before is None or stamp < before) and (after is None or stamp > after)


async def _collect(sessions: Any) -> list[Any]:
    found: list[Any] = []
    async for session in sessions:
        found.append(session)
        if len(found) > len(strategies.IDS):
            break
    return found
