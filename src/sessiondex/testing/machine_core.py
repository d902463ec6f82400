"""The state machine's ground: two stores side by side, and what is written to them.

What was saved is remembered here as well, as deep copies, so that a fault which both stores share shows too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from inspect import isawaitable
from typing import Any, ClassVar
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from sessiondex.contract import Change, SessionStore
from sessiondex.errors import InvalidSessionError, TenantMismatchError
from sessiondex.models import Session, SessionStatus
from sessiondex.stores.scan import ScanSessionStore
from sessiondex.testing import strategies as some
from sessiondex.testing.builders import START, ManualClock
from sessiondex.testing.expectations import ContractViolation, expect, expect_error, expect_increasing

Call = Callable[[SessionStore[Any]], Awaitable[Any]]
Pair = tuple[Any, Any]
"""Two sessions that are alike, one for each store."""

HALF_A_DAY = timedelta(hours=12)


class MachineCore(RuleBasedStateMachine):
    """Holds a store and the oracle, and has the rules of writes, of one session and of many."""

    owns_time: ClassVar[bool] = True
    """Whether `make_store` takes `clock`. If not, sessions are compared without their stamps; lists still in order."""

    timeout: ClassVar[float] = 30.0
    """For how many seconds one call may wait before it counts as one that hangs."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.runner = asyncio.Runner()
        self.store: SessionStore[Any]
        self.oracle: SessionStore[Any]
        self.expected: dict[UUID, Any] = {}
        """What the store should have: deep copies of what was saved."""
        self.gone: dict[UUID, Any] = {}
        """What it had, of sessions that were deleted."""
        self.held: list[Pair] = []
        """What callers still hold, of each store one."""
        self.committed = 0
        """How many changes were committed."""

    def make_store(self, **options: Any) -> SessionStore[Any] | Awaitable[SessionStore[Any]]:
        """Return a new and empty store, or an awaitable of one. It is given `clock`, if the machine owns time."""
        raise NotImplementedError("override make_store: return the store that is to be driven")

    def teardown(self) -> None:
        """Close the stores and the loop."""
        if hasattr(self, "store"):
            for store in (self.store, self.oracle):
                with suppress(NotImplementedError):
                    self.run(store.aclose())
        self.runner.close()

    # -- both stores --

    def run(self, call: Awaitable[Any]) -> Any:
        """Await it in the loop of this machine."""

        async def awaited() -> Any:
            async with asyncio.timeout(self.timeout):
                return await call

        return self.runner.get_loop().run_until_complete(awaited())  # `Runner.run` takes care of Ctrl-C, each time

    def comparable(self, answer: Any) -> Any:
        """Return the answer as it is to be compared: without stamps, if the machine does not own time."""
        if self.owns_time or answer is None:
            return answer
        if isinstance(answer, Session):
            return answer.model_copy(update={"last_activity_at": START})
        if isinstance(answer, Change):
            return replace(answer, before=self.comparable(answer.before), after=self.comparable(answer.after))
        if isinstance(answer, list | tuple):
            return [self.comparable(part) for part in answer]
        return answer

    def expect_alike(self, answer: Any, other: Any, what: str) -> None:
        """Expect the answers of both stores to be the same."""
        expect(self.comparable(answer), self.comparable(other), f"{what}, beside ScanSessionStore")

    def agree(self, call: Call, what: str) -> Any:
        """Return the answer of the store, which is that of the oracle."""
        answer = self.run(call(self.store))
        self.expect_alike(answer, self.run(call(self.oracle)), what)
        return answer

    def both(self, session_id: UUID) -> Pair | None:
        """Return the session from both stores, if they have it."""
        pair = self.run(self.store.get(session_id)), self.run(self.oracle.get(session_id))
        expect(pair[0], self.expected.get(session_id), "get")
        self.expect_alike(*pair, "get")
        return None if pair[0] is None else pair

    def twins(self, session: Session) -> Pair:
        """Return the session twice, of an age that does not depend on when it is asked for."""
        if not self.owns_time:
            session.created_at = datetime.now(UTC) - (START - session.created_at) - HALF_A_DAY
        return session, session.model_copy(deep=True)

    def save(self, pair: Pair) -> None:
        """Save each of the two in its store, unless that is another tenant's id."""
        mine, other = pair
        owner = self.expected.get(mine.session_id)
        if owner is not None and owner.tenant_id != mine.tenant_id:
            before = mine.last_activity_at
            for store, session in ((self.store, mine), (self.oracle, other)):
                with expect_error(TenantMismatchError, "saving under another tenant's id"):
                    self.run(store.save(session))
            expect(mine.last_activity_at, before, "the stamp of what was refused")
            return
        expect(self.run(self.store.save(mine)), mine.session_id, "what save answers")
        self.run(self.oracle.save(other))
        if self.owns_time and mine.last_activity_at < self.clock():
            raise ContractViolation(f"save: stamp {mine.last_activity_at} is earlier than the clock")
        self.were_saved([pair])

    def were_saved(self, pairs: Sequence[Pair]) -> None:
        """Note that these were saved one after another, and expect stamps and revisions that say so."""
        latest = [session.last_activity_at for session in self.expected.values()]
        last_places = sorted({id(mine): place for place, (mine, _) in enumerate(pairs)}.values())
        stamps = [pairs[place][0].last_activity_at for place in last_places]
        expect_increasing(([max(latest)] if latest else []) + stamps, "stamps")
        revisions = {key: session.revision for key, session in self.expected.items()}
        counted = {}
        for place, (mine, _) in enumerate(pairs):
            revisions[mine.session_id] = counted[place] = revisions.get(mine.session_id, 0) + 1
        for place in last_places:
            expect(pairs[place][0].revision, counted[place], "the revision of what was saved")
        for mine, other in pairs:
            self.expect_alike(mine, other, "what was saved")
            self.expected[mine.session_id] = mine.model_copy(deep=True)
            self.held = [(mine, other), *self.held[:4]]
        self.committed += len({mine.session_id for mine, _ in pairs})

    # -- one session --

    @initialize(sessions=st.lists(some.ids.flatmap(some.sessions), max_size=6))
    def start_with(self, sessions: list[Session]) -> None:
        """Make both stores, and save these sessions."""
        options: dict[str, Any] = {"clock": self.clock} if self.owns_time else {}
        made = self.make_store(**options)
        self.store = self.run(made) if isawaitable(made) else made
        self.oracle = ScanSessionStore(**options)
        self.started()
        for session in sessions:
            self.save(self.twins(session))

    def started(self) -> None:
        """Called when both stores are made, and empty."""

    @rule(session=some.ids.flatmap(some.sessions))
    def save_new(self, session: Session) -> None:
        self.save(self.twins(session))

    @rule(session_id=some.ids, name=st.sampled_from(sorted(some.changes)), data=st.data())
    def change_and_save(self, session_id: UUID, name: str, data: st.DataObject) -> None:
        """What a service does at each turn."""
        pair = self.both(session_id)
        if pair is not None and (name != "created_at" or self.owns_time):
            value = data.draw(some.changes[name])
            for session in pair:
                setattr(session, name, value)
            self.save(pair)

    @rule(session_id=some.ids, turns=st.integers(1, 3), is_saved=st.booleans())
    def be_busy(self, session_id: UUID, turns: int, *, is_saved: bool) -> None:
        """Read again and again, or read and saved: a store may keep such a session in another way."""
        for _ in range(turns):
            pair = self.both(session_id)
            if pair is not None and is_saved:
                self.save(pair)

    @rule(session_id=some.ids, visit=some.visits)
    def step_in_place(self, session_id: UUID, visit: Any) -> None:
        pair = self.both(session_id)
        if pair is not None:
            for session in pair:
                session.step_history.append(visit)
            self.save(pair)

    @rule(session_id=some.ids)
    def close_a_conversation(self, session_id: UUID) -> None:
        pair = self.both(session_id)
        if pair is not None:
            for session in pair:
                session.status = SessionStatus.CLOSED
            self.save(pair)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def change_what_is_held(self, data: st.DataObject) -> None:
        """In place, and without saving: nobody but the holder may notice."""
        for session in data.draw(st.sampled_from(self.held)):
            session.variables["held"] = [1]
            session.step_history.clear()
            session.rule_fires.clear()
            session.__dict__["status"] = SessionStatus.CLOSED

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def save_what_is_held(self, data: st.DataObject) -> None:
        """Perhaps stale, perhaps deleted meanwhile: last write wins."""
        self.save(data.draw(st.sampled_from(self.held)))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), field=st.sampled_from(["variables", "turn_count", "created_at"]))
    def save_what_cannot_be_kept(self, data: st.DataObject, field: str) -> None:
        bad = {"variables": {"x": float("nan")}, "turn_count": "five", "created_at": None}[field]
        for store, session in zip((self.store, self.oracle), data.draw(st.sampled_from(self.held)), strict=True):
            good = session.__dict__[field]
            session.__dict__[field] = bad
            with expect_error(InvalidSessionError, f"saving a bad {field}") as caught:
                self.run(store.save(session))
            expect((caught.error.field or "").partition(".")[0], field, "field of the error")
            session.__dict__[field] = good

    @rule(session_id=some.ids, tenant=st.none() | some.tenants)
    def delete(self, session_id: UUID, tenant: UUID | None) -> None:
        is_there = self.is_there(session_id, tenant)
        expect(self.agree(lambda store: store.delete(session_id, tenant_id=tenant), "delete"), is_there, "delete")
        if is_there:
            self.gone[session_id] = self.expected.pop(session_id)
            self.committed += 1

    def is_there(self, session_id: UUID, tenant: UUID | None) -> bool:
        """Return whether there should be such a session of that tenant, if one is given."""
        session = self.expected.get(session_id)
        return session is not None and tenant in {None, session.tenant_id}

    @precondition(lambda self: self.owns_time)
    @rule(seconds=st.sampled_from([0, 0.000001, 1, 86_400, -0.000001, -60, -86_400]))
    def the_clock_moves(self, seconds: float) -> None:
        self.clock.move(seconds=seconds)

    # -- bulk --

    @rule(
        sessions=st.lists(some.ids.flatmap(some.sessions), max_size=4),
        batch=st.none() | st.integers(1, 3),
        spoilt=st.none() | st.integers(0, 3),
        data=st.data(),
    )
    def save_in_bulk(self, sessions: list[Session], batch: int | None, spoilt: int | None, data: st.DataObject) -> None:
        """By `save_many`, or by `load` in batches: new sessions and held ones, perhaps one that cannot be kept."""
        pairs = [self.twins(session) for session in sessions]
        if spoilt is not None and spoilt < len(pairs):
            for session in pairs[spoilt]:
                session.variables["spoilt"] = float("inf")
        if self.held:
            pairs += data.draw(st.lists(st.sampled_from(self.held), max_size=2))
        size = batch or max(len(pairs), 1)
        flaw = self.first_flaw(pairs)
        count = len(pairs) if flaw is None else flaw[0] // size * size
        stamps = [mine.last_activity_at for mine, _ in pairs]

        for side, store in enumerate((self.store, self.oracle)):
            given = [pair[side] for pair in pairs]
            saving: Awaitable[Any] = store.save_many(given) if batch is None else store.load(iter(given), batch=batch)
            if flaw is None:
                ids = [session.session_id for session in given]
                expect(self.run(saving), ids if batch is None else len(ids), "what a bulk save answers")
            else:
                with expect_error(flaw[1], "a bulk save") as refused:
                    self.run(saving)
                notes = " ".join(getattr(refused.error, "__notes__", []))
                expect(f"number {flaw[0]}" in notes, True, f"whether {notes!r} tells the number {flaw[0]}")
        saved = {id(mine) for mine, _ in pairs[:count]}
        for (mine, _), stamp in zip(pairs, stamps, strict=True):
            if id(mine) not in saved:
                expect(mine.last_activity_at, stamp, "the stamp of what was not saved")
        self.were_saved_in_batches(pairs[:count], size)

    def were_saved_in_batches(self, pairs: Sequence[Pair], size: int) -> None:
        """Note it. Of one object that came twice the last save is what it shows."""
        committed = self.committed
        self.were_saved(pairs)
        batches = [pairs[start : start + size] for start in range(0, len(pairs), size)]
        self.committed = committed + sum(len({mine.session_id for mine, _ in batch}) for batch in batches)

    def first_flaw(self, pairs: Sequence[Pair]) -> tuple[int, type[Exception]] | None:
        """Return the place of the first session that cannot be saved after those before it, and why."""
        owners = {session_id: session.tenant_id for session_id, session in self.expected.items()}
        for place, (session, _) in enumerate(pairs):
            if "spoilt" in session.variables:
                return place, InvalidSessionError
            if owners.setdefault(session.session_id, session.tenant_id) != session.tenant_id:
                return place, TenantMismatchError
        return None

    @rule(ids=st.lists(some.ids, max_size=5), tenant=st.none() | some.tenants)
    def delete_many(self, ids: list[UUID], tenant: UUID | None) -> None:
        there = {session_id for session_id in ids if self.is_there(session_id, tenant)}
        count = self.agree(lambda store: store.delete_many(iter(ids), tenant_id=tenant), "delete_many")
        expect(count, len(there), "delete_many")
        for session_id in there:
            self.gone[session_id] = self.expected.pop(session_id)
        self.committed += len(there)
