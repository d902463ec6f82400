"""The rules of the state machine for saves and deletes of many sessions."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import rule

from sessiondex.errors import ConflictError, InvalidSessionError, SessiondexError, TenantMismatchError
from sessiondex.models import Session
from sessiondex.testing import strategies
from sessiondex.testing.expectations import expect, expect_error
from sessiondex.testing.machine_core import MachineCore, Pair


class MachineBulk(MachineCore):
    """Saves, deletes and erases many sessions."""

    @rule(
        sessions=st.lists(strategies.ids.flatmap(strategies.sessions), max_size=4),
        batch=st.none() | st.integers(1, 3),
        invalid=st.none() | st.integers(0, 3),
        data=st.data(),
    )
    def save_in_bulk(
        self, sessions: list[Session], batch: int | None, invalid: int | None, data: st.DataObject
    ) -> None:
        """Call `save_many`, or `load` in batches, with new and held sessions, of which one may be invalid."""
        pairs = [self.copy_twice(session) for session in sessions]
        if invalid is not None and invalid < len(pairs):
            for session in pairs[invalid]:
                session.variables["invalid"] = float("inf")
        if self.held_pairs:
            pairs += data.draw(st.lists(st.sampled_from(self.held_pairs), max_size=2))
        size = batch or max(len(pairs), 1)
        flaws = self.find_flaws(pairs, size)
        count = min(flaws.values()) // size * size if flaws else len(pairs)
        stamps = [mine.last_activity_at for mine, _ in pairs]

        for side, store in enumerate((self.store, self.oracle)):
            given = [pair[side] for pair in pairs]
            saving: Awaitable[Any] = store.save_many(given) if batch is None else store.load(iter(given), batch=batch)
            if not flaws:
                ids = [session.session_id for session in given]
                expect(self.run(saving), ids if batch is None else len(ids), "the result of a bulk save")
            else:
                with expect_error(SessiondexError, "a bulk save") as refused:
                    self.run(saving)
                kind, notes = type(refused.error), " ".join(getattr(refused.error, "__notes__", []))
                expect(kind in flaws, True, f"whether {kind.__name__} is one of the errors of a bulk save")
                position = flaws[kind]
                expect(f"number {position}" in notes, True, f"whether a note ({notes!r}) gives the number {position}")
        saved = {id(mine) for mine, _ in pairs[:count]}
        for (mine, _), stamp in zip(pairs, stamps, strict=True):
            if id(mine) not in saved:
                expect(mine.last_activity_at, stamp, "the stamp of a session that was not saved")
        self.note_saved_batches(pairs[:count], size)

    def note_saved_batches(self, pairs: Sequence[Pair], size: int) -> None:
        """Record the saves of several batches. An object that came twice shows its last save."""
        committed = self.commit_count
        self.note_saved(pairs)
        batches = [pairs[start : start + size] for start in range(0, len(pairs), size)]
        self.commit_count = committed + sum(len({mine.session_id for mine, _ in batch}) for batch in batches)

    def find_flaws(self, pairs: Sequence[Pair], size: int) -> dict[type[Exception], int]:
        """Return the errors that the first batch which cannot be saved may raise, and the position that each names."""
        owners = {session_id: session.tenant_id for session_id, session in self.expected.items()}
        flaws: dict[type[Exception], int] = {}
        for position, (session, _) in enumerate(pairs):
            if flaws and position % size == 0:
                break
            if "invalid" in session.variables:
                flaws.setdefault(InvalidSessionError, position)
            if owners.setdefault(session.session_id, session.tenant_id) != session.tenant_id:
                flaws.setdefault(TenantMismatchError, position)
        return flaws

    @rule(ids=st.lists(strategies.ids, max_size=5), tenant=st.none() | strategies.tenants)
    def delete_many(self, ids: list[UUID], tenant: UUID | None) -> None:
        there = {session_id for session_id in ids if self.is_stored(session_id, tenant)}
        count = self.agree(lambda store: store.delete_many(iter(ids), tenant_id=tenant), "delete_many")
        expect(count, len(there), "delete_many")
        for session_id in there:
            self.deleted[session_id] = self.expected.pop(session_id)
        self.commit_count += len(there)

    @rule(
        tenant=strategies.tenants,
        sessions=st.lists(strategies.ids.flatmap(strategies.sessions), max_size=4),
        touch=st.booleans(),
        data=st.data(),
    )
    def save_many_with_expected_revisions(
        self, tenant: UUID, sessions: list[Session], data: st.DataObject, *, touch: bool
    ) -> None:
        """Save sessions of one tenant, some expected at the right revision, some at a wrong one, some at any."""
        for session in sessions:
            session.tenant_id = tenant
        pairs = [self.copy_twice(session) for session in sessions]
        if self.held_pairs:
            pairs += data.draw(st.lists(st.sampled_from(self.held_pairs), max_size=2))
        owners = {session_id: session.tenant_id for session_id, session in self.expected.items()}
        pairs = [
            pair for pair in pairs if pair[0].tenant_id == tenant == owners.get(pair[0].session_id, pair[0].tenant_id)
        ]
        revisions = {session_id: session.revision for session_id, session in self.expected.items()}
        expected: list[int | None] = []
        conflict: tuple[int, UUID, int, int] | None = None
        for position, (mine, _) in enumerate(pairs):
            stored = revisions.get(mine.session_id, 0)
            guess = data.draw(st.sampled_from([None, stored, stored, stored, stored + 1]))
            if guess not in {None, stored} and conflict is None:
                conflict = position, mine.session_id, guess, stored
            expected.append(guess)
            revisions[mine.session_id] = stored + 1
        for side, store in enumerate((self.store, self.oracle)):
            given = [pair[side] for pair in pairs]
            saving = store.save_many(given, expected_revisions=expected, touch=touch)
            if conflict is None:
                expect(self.run(saving), [one.session_id for one in given], "the ids that save_many returns")
                continue
            with expect_error(ConflictError, f"save_many with expected revisions {expected}") as caught:
                self.run(saving)
            error = caught.error
            expect((error.session_id, error.expected, error.actual), conflict[1:], "the conflict of save_many")
            notes = " ".join(getattr(error, "__notes__", []))
            expect(f"number {conflict[0]}" in notes, True, f"whether a note ({notes!r}) gives number {conflict[0]}")
        if conflict is None:
            self.note_saved(pairs, touch=touch)

    # -- erasures --

    def before_erasure(self) -> None:
        """Called before an erasure."""

    def after_erasure(self, count: int) -> None:
        """Called after an erasure of so many sessions."""

    @rule(like=strategies.ids, by=st.sampled_from(["tenant", "customer", "customer", "channel", "channel"]))
    def erase(self, like: UUID, by: str) -> None:
        """Erase the sessions of a tenant, customer or channel identity."""
        other = self.session_like(like)
        tenant, customer = other.tenant_id, other.customer_profile_id or strategies.CUSTOMER
        identity = other.channel, other.user_channel_id
        rest = {"tenant": (), "customer": (customer,), "channel": identity}[by]
        gone = self.newest_first(
            tenant,
            lambda one: {
                "tenant": True,
                "customer": one.customer_profile_id == customer,
                "channel": (one.channel, one.user_channel_id) == identity,
            }[by],
        )
        self.before_erasure()
        count = self.agree(lambda store: getattr(store, f"delete_by_{by}")(tenant, *rest), f"delete_by_{by}")
        expect(count, len(gone), f"delete_by_{by}")
        for session in gone:
            self.deleted[session.session_id] = self.expected.pop(session.session_id)
        self.commit_count += len(gone)
        if gone:
            self.after_erasure(len(gone))
