"""The rules of the state machine for conditional saves, updates, creation, and saves and touches without the other."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from sessiondex.errors import ConflictError, SessionNotFoundError, TenantMismatchError
from sessiondex.models import Session, SessionStatus
from sessiondex.testing import strategies
from sessiondex.testing.builders import make_session
from sessiondex.testing.expectations import expect, expect_error, expect_increasing
from sessiondex.testing.machine_core import MachineCore


class MachineWrites(MachineCore):
    """Saves single sessions in all ways but the plain one."""

    @rule(session=strategies.ids.flatmap(strategies.sessions), expected=st.integers(0, 3))
    def save_with_expected_revision(self, session: Session, expected: int) -> None:
        owner = self.expected.get(session.session_id)
        actual = 0 if owner is None else owner.revision
        if owner is not None and owner.tenant_id != session.tenant_id:
            return
        pair = self.copy_twice(session)
        for store, mine in zip((self.store, self.oracle), pair, strict=True):
            if expected == actual:
                self.run(store.save(mine, expected_revision=expected))
            else:
                with expect_error(ConflictError, f"saving with expected revision {expected}") as caught:
                    self.run(store.save(mine, expected_revision=expected))
                revisions = caught.error.expected, caught.error.actual
                expect(revisions, (expected, actual), "expected and actual of the conflict")
        if expected == actual:
            self.note_saved([pair])

    @rule(session_id=strategies.ids, turn=st.integers(0, 9), tenant=st.none() | strategies.tenants)
    def update(self, session_id: UUID, turn: int, tenant: UUID | None) -> None:
        def change(current: Any) -> None:
            current.turn_count = turn

        pair = []
        for store in (self.store, self.oracle):
            if self.is_stored(session_id, tenant):
                pair.append(self.run(store.update(session_id, change, tenant_id=tenant)))
                expect(pair[-1].turn_count, turn, "turn_count of what update returns")
            else:
                with expect_error(SessionNotFoundError, "update of a missing session"):
                    self.run(store.update(session_id, change, tenant_id=tenant))
        if pair:
            self.note_saved([(pair[0], pair[1])])

    @rule(like=strategies.ids, user=st.none() | strategies.user_channel_ids, session_id=strategies.ids)
    def get_or_create(self, like: UUID, user: str | None, session_id: UUID) -> None:
        other = self.session_like(like)
        tenant, channel, user = other.tenant_id, other.channel, user or other.user_channel_id
        open_ones = [
            session
            for session in self.expected.values()
            if (session.tenant_id, session.channel, session.user_channel_id) == (tenant, channel, user)
            and session.status != SessionStatus.CLOSED
        ]
        if session_id in self.expected and not open_ones:
            return
        made = make_session(
            session_id=session_id,
            tenant_id=tenant,
            agent_id=strategies.AGENT,
            channel=channel,
            user_channel_id=user,
        )
        pair = self.copy_twice(made)
        answers = [
            self.run(store.get_or_create(tenant, channel, user, iter([one]).__next__))
            for store, one in zip((self.store, self.oracle), pair, strict=True)
        ]
        self.expect_alike(answers[0], answers[1], "get_or_create")
        if open_ones:
            latest = max(open_ones, key=lambda session: session.last_activity_at)
            expect(answers[0], (latest, False), "get_or_create")
        else:
            expect(answers[0], (pair[0], True), "get_or_create")
            self.note_saved([pair])

    @rule(session_id=strategies.ids, turn=st.integers(0, 9), tenant=strategies.tenants, touch=st.booleans())
    def update_or_create(self, session_id: UUID, turn: int, tenant: UUID, *, touch: bool) -> None:
        def change(current: Any) -> None:
            current.turn_count = turn

        made = make_session(
            session_id=session_id, tenant_id=tenant, agent_id=strategies.AGENT, customer_profile_id=strategies.CUSTOMER
        )
        before = self.expected.get(session_id)
        pair = []
        for store, created in zip((self.store, self.oracle), self.copy_twice(made), strict=True):
            given = iter([created])
            updating = store.update(
                session_id, change, tenant_id=tenant, create=given.__next__, attempts=1, touch=touch
            )
            if before is not None and before.tenant_id != tenant:
                with expect_error(TenantMismatchError, "update that creates under another tenant's id"):
                    self.run(updating)
            else:
                pair.append(self.run(updating))
                expect(len([*given]), 1 if before else 0, "the calls of create by update, left of one")
                expect(pair[-1].turn_count, turn if before else 0, "turn_count of what update returns")
        if pair:
            self.note_saved([(pair[0], pair[1])], touch=touch)

    # -- what is no activity, and activity without a save --

    @rule(session=strategies.ids.flatmap(strategies.sessions))
    def save_new_without_touch(self, session: Session) -> None:
        self.save(self.copy_twice(session), touch=False)

    @precondition(lambda self: self.held_pairs)
    @rule(data=st.data())
    def save_held_sessions_without_touch(self, data: st.DataObject) -> None:
        """Save sessions that may be stale or deleted; a stale one gets the stamp that is stored."""
        self.save(data.draw(st.sampled_from(self.held_pairs)), touch=False)

    @rule(session_id=strategies.ids, name=st.sampled_from(sorted(strategies.own_changes)), data=st.data())
    def change_an_own_field_and_save(self, session_id: UUID, name: str, data: st.DataObject) -> None:
        """Change a field of a subclass, which may be indexed, and save with or without touch."""
        pair = self.get_pair(session_id)
        if pair is not None and name in type(pair[0]).model_fields:
            value = data.draw(strategies.own_changes[name])
            for session in pair:
                setattr(session, name, value)
            self.save(pair, touch=data.draw(st.booleans()))

    @rule(session_id=strategies.ids, tenant=st.none() | strategies.tenants)
    def touch(self, session_id: UUID, tenant: UUID | None) -> None:
        is_stored = self.is_stored(session_id, tenant)
        expect(self.agree(lambda store: store.touch(session_id, tenant_id=tenant), "touch"), is_stored, "touch")
        if is_stored:
            session = self.expected[session_id]
            latest = self.newest_first(session.tenant_id, lambda _: True)[0].last_activity_at
            touched = self.run(self.store.get(session_id))
            expect_increasing([latest, touched.last_activity_at], "stamps, the last one by touch")
            self.expected[session_id] = session.model_copy(
                update={"last_activity_at": touched.last_activity_at}, deep=True
            )
            self.commit_count += 1
            self.get_pair(session_id)  # it is the same otherwise
