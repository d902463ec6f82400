"""The base of the state machine: two stores, the rules that write to them, and a model of the expected sessions.

The model keeps deep copies of all saved sessions, so that it also finds a fault which both stores share.
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
from sessiondex.errors import InvalidSessionError, SessiondexError, TenantMismatchError
from sessiondex.models import Session, SessionStatus
from sessiondex.stores.scan import ScanSessionStore
from sessiondex.testing import strategies
from sessiondex.testing.builders import START, ManualClock
from sessiondex.testing.expectations import ContractViolation, expect, expect_error, expect_increasing

Call = Callable[[SessionStore[Any]], Awaitable[Any]]
Pair = tuple[Any, Any]
"""Two sessions that are alike, one for each store."""

HALF_A_DAY = timedelta(hours=12)


class MachineCore(RuleBasedStateMachine):
    """Holds the store and the oracle, and has the rules for writes of one session and of many."""

    owns_time: ClassVar[bool] = True
    """Whether `make_store` takes `clock`. If not, sessions are compared without stamps, but still in order."""

    timeout: ClassVar[float] = 30.0
    """Seconds after which a call counts as hanging."""

    def __init__(self) -> None:
        super().__init__()
        self.clock: ManualClock = ManualClock()
        self.runner: asyncio.Runner = asyncio.Runner()
        self.store: SessionStore[Any]
        self.oracle: SessionStore[Any]
        self.expected: dict[UUID, Any] = {}
        """The sessions that the store must have: deep copies of the saved ones."""
        self.deleted: dict[UUID, Any] = {}
        """Deep copies of the deleted sessions."""
        self.held_pairs: list[Pair] = []
        """Sessions that callers still hold: pairs, one of each store."""
        self.commit_count: int = 0
        """The number of committed changes."""

    def make_store(self, **options: Any) -> SessionStore[Any] | Awaitable[SessionStore[Any]]:
        """Return a new and empty store, or an awaitable of one. Gets `clock` if `owns_time` is true."""
        raise NotImplementedError("override make_store to return a new store")

    def teardown(self) -> None:
        """Close the stores and the event loop."""
        if hasattr(self, "store"):
            for store in (self.store, self.oracle):
                with suppress(NotImplementedError):
                    self.run(store.aclose())
        self.runner.close()

    # -- both stores --

    def run(self, call: Awaitable[Any]) -> Any:
        """Await the call in the event loop of this machine, for at most `timeout` seconds."""

        async def awaited() -> Any:
            async with asyncio.timeout(self.timeout):
                return await call

        # Not `Runner.run`, which installs and removes a handler for Ctrl-C at each call.
        return self.runner.get_loop().run_until_complete(awaited())

    def comparable(self, answer: Any) -> Any:
        """Return the result as it is compared: without sequences, and without stamps unless the machine owns time."""
        if isinstance(answer, Change):  # a store that is used by others as well does not count from 1
            answer = replace(answer, sequence=0)
        if self.owns_time or answer is None:
            return answer
        if isinstance(answer, Session):
            return answer.model_copy(update={"last_activity_at": START})
        if isinstance(answer, Change):
            return replace(answer, stamp=START)
        if isinstance(answer, list | tuple):
            return [self.comparable(part) for part in answer]
        return answer

    def expect_alike(self, answer: Any, other: Any, what: str) -> None:
        """Expect the results of both stores to be equal."""
        expect(self.comparable(answer), self.comparable(other), f"{what}, beside ScanSessionStore")

    def agree(self, call: Call, what: str) -> Any:
        """Call both stores, expect equal results, and return that of the store."""
        answer = self.run(call(self.store))
        self.expect_alike(answer, self.run(call(self.oracle)), what)
        return answer

    def get_pair(self, session_id: UUID) -> Pair | None:
        """Return the session from both stores, or `None` if it is not stored."""
        pair = self.run(self.store.get(session_id)), self.run(self.oracle.get(session_id))
        expect(pair[0], self.expected.get(session_id), "get")
        self.expect_alike(*pair, "get")
        return None if pair[0] is None else pair

    def copy_twice(self, session: Session) -> Pair:
        """Return the session and a copy of it, with an age that does not depend on the time of the query."""
        if not self.owns_time:
            session.created_at = datetime.now(UTC) - (START - session.created_at) - HALF_A_DAY
        return session, session.model_copy(deep=True)

    def save(self, pair: Pair) -> None:
        """Save each session of the pair in its store, or expect a refusal if another tenant has the id."""
        mine, other = pair
        owner = self.expected.get(mine.session_id)
        if owner is not None and owner.tenant_id != mine.tenant_id:
            before = mine.last_activity_at
            for store, session in ((self.store, mine), (self.oracle, other)):
                with expect_error(TenantMismatchError, "saving under another tenant's id"):
                    self.run(store.save(session))
            expect(mine.last_activity_at, before, "the stamp of a refused session")
            return
        expect(self.run(self.store.save(mine)), mine.session_id, "the id that save returns")
        self.run(self.oracle.save(other))
        if self.owns_time and mine.last_activity_at < self.clock():
            raise ContractViolation(f"save: stamp {mine.last_activity_at} is earlier than the clock")
        self.note_saved([pair])

    def note_saved(self, pairs: Sequence[Pair]) -> None:
        """Record that the pairs were saved in this order, and expect matching stamps and revisions."""
        latest = [session.last_activity_at for session in self.expected.values()]
        last_places = sorted({id(mine): place for place, (mine, _) in enumerate(pairs)}.values())
        stamps = [pairs[place][0].last_activity_at for place in last_places]
        expect_increasing(([max(latest)] if latest else []) + stamps, "stamps")
        revisions = {key: session.revision for key, session in self.expected.items()}
        counted = {}
        for place, (mine, _) in enumerate(pairs):
            revisions[mine.session_id] = counted[place] = revisions.get(mine.session_id, 0) + 1
        for place in last_places:
            expect(pairs[place][0].revision, counted[place], "the revision of a saved session")
        for mine, other in pairs:
            self.expect_alike(mine, other, "a saved session")
            self.expected[mine.session_id] = mine.model_copy(deep=True)
            self.held_pairs = [(mine, other), *self.held_pairs[:4]]
        self.commit_count += len({mine.session_id for mine, _ in pairs})

    # -- one session --

    @initialize(sessions=st.lists(strategies.ids.flatmap(strategies.sessions), max_size=6))
    def start_with(self, sessions: list[Session]) -> None:
        """Create both stores and save these sessions."""
        options: dict[str, Any] = {"clock": self.clock} if self.owns_time else {}
        made = self.make_store(**options)
        self.store = self.run(made) if isawaitable(made) else made
        self.oracle = ScanSessionStore(**options)
        self.on_start()
        for session in sessions:
            self.save(self.copy_twice(session))

    def on_start(self) -> None:
        """Called once, after both stores were created and before the first save."""

    @rule(session=strategies.ids.flatmap(strategies.sessions))
    def save_new(self, session: Session) -> None:
        self.save(self.copy_twice(session))

    @rule(session_id=strategies.ids, name=st.sampled_from(sorted(strategies.changes)), data=st.data())
    def change_and_save(self, session_id: UUID, name: str, data: st.DataObject) -> None:
        """Change one field and save, as a service does at each turn."""
        pair = self.get_pair(session_id)
        if pair is not None and (name != "created_at" or self.owns_time):
            value = data.draw(strategies.changes[name])
            for session in pair:
                setattr(session, name, value)
            self.save(pair)

    @rule(session_id=strategies.ids, turns=st.integers(1, 3), is_saved=st.booleans())
    def repeat_reads_and_saves(self, session_id: UUID, turns: int, *, is_saved: bool) -> None:
        """Read, or read and save, several times: a store may keep recently used sessions in another form."""
        for _ in range(turns):
            pair = self.get_pair(session_id)
            if pair is not None and is_saved:
                self.save(pair)

    @rule(session_id=strategies.ids, visit=strategies.visits)
    def add_a_visit(self, session_id: UUID, visit: Any) -> None:
        pair = self.get_pair(session_id)
        if pair is not None:
            for session in pair:
                session.step_history.append(visit)
            self.save(pair)

    @rule(session_id=strategies.ids)
    def close_a_conversation(self, session_id: UUID) -> None:
        pair = self.get_pair(session_id)
        if pair is not None:
            for session in pair:
                session.status = SessionStatus.CLOSED
            self.save(pair)

    @precondition(lambda self: self.held_pairs)
    @rule(data=st.data())
    def change_held_sessions(self, data: st.DataObject) -> None:
        """Change saved objects in place without saving them, which must not change any store."""
        _change_in_place(data.draw(st.sampled_from(self.held_pairs)))

    @rule(session_id=strategies.ids)
    def change_results_of_get(self, session_id: UUID) -> None:
        """Change results of `get` in place without saving them, which must not change any store."""
        pair = self.get_pair(session_id)
        if pair is not None:
            _change_in_place(pair)
            self.get_pair(session_id)

    @precondition(lambda self: self.held_pairs)
    @rule(data=st.data())
    def save_held_sessions(self, data: st.DataObject) -> None:
        """Save sessions that may be stale or deleted: the last write wins."""
        self.save(data.draw(st.sampled_from(self.held_pairs)))

    @precondition(lambda self: self.held_pairs)
    @rule(data=st.data(), field=st.sampled_from(["variables", "turn_count", "created_at"]))
    def save_invalid_sessions(self, data: st.DataObject, field: str) -> None:
        bad = {"variables": {"x": float("nan")}, "turn_count": "five", "created_at": None}[field]
        for store, session in zip((self.store, self.oracle), data.draw(st.sampled_from(self.held_pairs)), strict=True):
            good = session.__dict__[field]
            session.__dict__[field] = bad
            with expect_error(InvalidSessionError, f"saving a bad {field}") as caught:
                self.run(store.save(session))
            expect((caught.error.field or "").partition(".")[0], field, "field of the error")
            session.__dict__[field] = good

    @rule(session_id=strategies.ids, tenant=st.none() | strategies.tenants)
    def delete(self, session_id: UUID, tenant: UUID | None) -> None:
        is_stored = self.is_stored(session_id, tenant)
        expect(self.agree(lambda store: store.delete(session_id, tenant_id=tenant), "delete"), is_stored, "delete")
        if is_stored:
            self.deleted[session_id] = self.expected.pop(session_id)
            self.commit_count += 1

    def is_stored(self, session_id: UUID, tenant: UUID | None) -> bool:
        """Return whether the session must exist and, if `tenant` is given, belong to it."""
        session = self.expected.get(session_id)
        return session is not None and tenant in {None, session.tenant_id}

    @precondition(lambda self: self.owns_time)
    @rule(seconds=st.sampled_from([0, 0.000001, 1, 86_400, -0.000001, -60, -86_400]))
    def move_the_clock(self, seconds: float) -> None:
        self.clock.move(seconds=seconds)

    # -- bulk --

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


def _change_in_place(sessions: Pair) -> None:
    for session in sessions:
        session.variables["held"] = [1]
        session.step_history.clear()
        session.rule_fires.clear()
        session.__dict__["status"] = SessionStatus.CLOSED
