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

from sessiondex.changes import Change
from sessiondex.contract import SessionStore
from sessiondex.errors import InvalidSessionError, TenantMismatchError
from sessiondex.models import Channel, Session, SessionStatus
from sessiondex.stores.scan import ScanSessionStore
from sessiondex.testing import strategies
from sessiondex.testing.builders import START, ManualClock, at_step, make_session
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
        self.saved_classes: set[type[Session]] = set()
        """The classes whose indexed fields both stores know."""
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
        if isinstance(answer, Change):  # a store that others use too, or that was restored, does not count from 1
            answer = replace(answer, sequence=0)
        if isinstance(answer, list | tuple):
            return [self.comparable(part) for part in answer]
        if self.owns_time or answer is None:
            return answer
        if isinstance(answer, Session):
            return answer.model_copy(update={"last_activity_at": START})
        if isinstance(answer, Change):
            return replace(answer, stamp=START)
        return answer

    def expect_alike(self, answer: Any, other: Any, what: str) -> None:
        """Expect the results of both stores to be equal."""
        expect(self.comparable(answer), self.comparable(other), f"{what}, beside ScanSessionStore")

    def agree(self, call: Call, what: str) -> Any:
        """Call both stores, expect equal results, and return that of the store."""
        answer = self.run(call(self.store))
        self.expect_alike(answer, self.run(call(self.oracle)), what)
        return answer

    def newest_first(self, tenant: UUID, is_wanted: Callable[[Any], bool]) -> list[Any]:
        """Return the expected sessions of the tenant that are wanted, as every list orders them."""
        found = [session for session in self.expected.values() if session.tenant_id == tenant and is_wanted(session)]
        return sorted(found, key=lambda session: session.last_activity_at, reverse=True)

    def get_pair(self, session_id: UUID) -> Pair | None:
        """Return the session from both stores, or `None` if it is not stored."""
        pair = self.run(self.store.get(session_id)), self.run(self.oracle.get(session_id))
        expect(pair[0], self.expected.get(session_id), "get")
        self.expect_alike(*pair, "get")
        return None if pair[0] is None else pair

    def session_like(self, session_id: UUID) -> Any:
        """Return the stored or deleted session of that id, or a session with typical keys."""
        known = self.expected.get(session_id) or self.deleted.get(session_id)
        if known is not None:
            return known
        fields = at_step(active_scenario_id=strategies.SCENARIO, customer_profile_id=strategies.CUSTOMER)
        keys = {
            "tenant_id": strategies.TENANT,
            "agent_id": strategies.AGENT,
            "channel": Channel.SMS,
            "user_channel_id": "u",
        }
        return make_session(**keys, **fields)

    def copy_twice(self, session: Session) -> Pair:
        """Return the session and a copy of it, with an age that does not depend on the time of the query."""
        if not self.owns_time:
            session.created_at = datetime.now(UTC) - (START - session.created_at) - HALF_A_DAY
        return session, session.model_copy(deep=True)

    def save(self, pair: Pair, *, touch: bool = True) -> None:
        """Save each session of the pair in its store, or expect a refusal if another tenant has the id."""
        mine, other = pair
        owner = self.expected.get(mine.session_id)
        if owner is not None and owner.tenant_id != mine.tenant_id:
            before = mine.last_activity_at
            for store, session in ((self.store, mine), (self.oracle, other)):
                with expect_error(TenantMismatchError, "saving under another tenant's id"):
                    self.run(store.save(session, touch=touch))
            expect(mine.last_activity_at, before, "the stamp of a refused session")
            return
        expect(self.run(self.store.save(mine, touch=touch)), mine.session_id, "the id that save returns")
        self.run(self.oracle.save(other, touch=touch))
        if self.owns_time and (touch or owner is None) and mine.last_activity_at < self.clock():
            raise ContractViolation(f"save: stamp {mine.last_activity_at} is earlier than the clock")
        self.note_saved([pair], touch=touch)

    def note_saved(self, pairs: Sequence[Pair], *, touch: bool = True) -> None:
        """Record that the pairs were saved in this order, and expect matching stamps and revisions."""
        latest = [session.last_activity_at for session in self.expected.values()]
        last_places = sorted({id(mine): place for place, (mine, _) in enumerate(pairs)}.values())
        stamped = [pairs[place][0] for place in last_places]
        if not touch:
            kept = {key: session.last_activity_at for key, session in self.expected.items()}
            # A new session gets a stamp with its first save, and keeps it in the next one of the same call.
            firsts: dict[UUID, Any] = {}
            for mine, _ in pairs:
                if mine.session_id not in kept:
                    firsts.setdefault(mine.session_id, mine)
            stamped = list(firsts.values())
            kept |= {key: mine.last_activity_at for key, mine in firsts.items()}
            for mine, _ in pairs:
                expect(mine.last_activity_at, kept[mine.session_id], "the stamp of a session saved without touch")
        stamps = [mine.last_activity_at for mine in stamped]
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
            self.saved_classes.add(type(mine))
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


def _change_in_place(sessions: Pair) -> None:
    for session in sessions:
        session.variables["held"] = [1]
        session.step_history.clear()
        session.rule_fires.clear()
        session.__dict__["status"] = SessionStatus.CLOSED
