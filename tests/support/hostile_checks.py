"""Check law 6 for one value in one place: all stores keep it, or all refuse it and change nothing."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple
from uuid import UUID

from sessiondex import InMemorySessionStore, InvalidSessionError, ScanSessionStore, SessionStatus, TenantMismatchError
from tests.support.builders import CUSTOMER, START, Clock, make_session
from tests.support.error_text import full_text
from tests.support.fingerprints import fingerprint
from tests.support.hostile_classes import CANARY
from tests.support.hostile_places import SESSION_ID, MisfitError, Place, base, fresh
from tests.support.stores import check_indexes


class Kept(NamedTuple):
    """The verdict for an accepted value: the value that came back."""

    fingerprint: bytes


class Refused(NamedTuple):
    """The verdict for a refused value: field and reason of the error."""

    field: str | None
    reason: str


ANYTHING, ANYHOW = Kept(b""), Refused(None, "")

Verdict = Kept | Refused | None
"""`None` if the value does not fit in the place."""


def stores_to_compare() -> dict[str, Any]:
    """Return stores that must agree: alternately hot and packed, always packed, and the oracle."""
    return {
        "by turns": InMemorySessionStore(clock=Clock(), cache_size=1),
        "packed": InMemorySessionStore(clock=Clock(), cache_size=0),
        "scan": ScanSessionStore(clock=Clock()),
    }


class Checker:
    """Tries values in stores that must agree. A violation of the law raises `AssertionError` or another error.

    One of every `thorough` trials checks everything: each query after a session was accepted, and whether anything
    changed since the last one. With `lenient`, any error counts as a refusal, and an accepted value may come back as
    any value.
    """

    def __init__(self, stores: dict[str, Any], *, thorough: int = 1, lenient: bool = False) -> None:
        self._stores = stores
        self._thorough = thorough
        self._lenient = lenient
        self._trials = 0
        self._stored: dict[str, Any] = {}
        """The session that each store keeps."""

    async def check(self, place: Place, make: Callable[[], Any]) -> Verdict:
        """Return the common verdict of all stores on the value; each store gets its own copy."""
        self._trials += 1
        verdicts: dict[str, Verdict] = {}
        for name, store in self._stores.items():
            verdicts[name] = await self._tried(name, store, place, make)
        first = next(iter(verdicts.values()))
        assert all(verdict == first for verdict in verdicts.values()), f"the stores do not agree: {_short(verdicts)}"
        return first

    async def end(self) -> None:
        """Check that nothing changed in the last trials, and the indexes."""
        for name, store in self._stores.items():
            if name in self._stored:
                await _check_unchanged(store, self._stored[name], is_thorough=True)

    async def _tried(self, name: str, store: Any, place: Place, make: Callable[[], Any]) -> Verdict:
        if name not in self._stored:
            for _ in range(2):  # the second save makes it hot in stores with hot sessions
                await store.save(base())
            self._stored[name] = await store.get(SESSION_ID)
        try:
            session = place.put(fresh(place.cls), make())
        except MisfitError:
            return None
        is_thorough = self._trials % self._thorough == 0
        given = dict(vars(session))
        refused = await self._refused(store, place, session)
        if refused is not None:
            now = vars(session)
            assert given.keys() == now.keys(), "the given session has changed"
            assert all(now[name] is given[name] for name in given), "the given session has changed"
            await _check_unchanged(store, self._stored[name], is_thorough=is_thorough)
            return refused
        kept = ANYTHING if self._lenient else await _kept(store, session, is_thorough=is_thorough)
        if session.session_id != SESSION_ID:
            await store.delete(session.session_id)
        self._stored[name] = await store.get(SESSION_ID)
        return kept

    async def _refused(self, store: Any, place: Place, session: Any) -> Refused | None:
        try:
            returned = await store.save(session)
        except TenantMismatchError:
            assert place.field == "tenant_id", "the tenant is as it was"
            return Refused("tenant_id", "another's")
        except InvalidSessionError as error:
            return ANYHOW if self._lenient else _judged(place, error)
        except Exception:
            if self._lenient:
                return ANYHOW
            raise
        assert returned == session.session_id
        return None


def checkers(*, thorough: int = 1, lenient: bool = False) -> list[Checker]:
    """Return two checkers to use alternately. Each compares two of the three stores, which costs a third less."""
    return [
        Checker(
            {name: stores_to_compare()[name], "scan": stores_to_compare()["scan"]}, thorough=thorough, lenient=lenient
        )
        for name in ("by turns", "packed")
    ]


def _short(verdicts: dict[str, Verdict]) -> str:
    return ", ".join(
        f"{name}: {verdict.field if isinstance(verdict, Refused) else type(verdict).__name__}"
        for name, verdict in verdicts.items()
    )


async def _check_unchanged(store: Any, stored: Any, *, is_thorough: bool) -> None:
    session = await store.get(SESSION_ID)
    assert session == stored, "something changed though the session was refused"
    if is_thorough:
        assert fingerprint(session) == fingerprint(stored), "a type changed though the session was refused"
        tenant, agent = session.tenant_id, session.agent_id
        listed = [one.session_id for one in await store.list_by_agent(tenant, agent, limit=3)]
        assert listed == [SESSION_ID], "something changed in a list though the session was refused"
        assert await store.count_by_agent(tenant, agent) == 1, "it was counted though it was refused"
        check_indexes(store)


def _judged(place: Place, error: InvalidSessionError) -> Refused:
    text = full_text(error)
    text.encode()  # must not raise: logs are UTF-8
    assert place.is_key or CANARY not in text, f"the error shows the value: {error}"
    if error.field is None and place.is_in_fact and error.reason.startswith(UNNAMED):
        return Refused(None, error.reason)  # see `test_a_fact_that_cannot_be_dumped_is_named`
    assert (error.field or "").split(".")[0] == place.field, f"it names {error.field} for {place.field}: {error}"
    # Messages may show keys, and the addresses in default reprs.
    return Refused(place.field, "") if place.is_key else Refused(error.field, error.reason)


UNNAMED = "it cannot be kept as JSON: PydanticSerializationError"


async def _kept(store: Any, session: Any, *, is_thorough: bool) -> Kept:
    """Check that every read returns the same value, and return it."""
    found = await store.get(session.session_id)
    assert found == session, "what comes back is not equal"
    assert fingerprint(found.variables) == fingerprint(exact(session.variables)), "values of other types come back"
    if is_thorough:
        expected = fingerprint(found)
        await _drive_out(store)
        for _ in range(3):  # packed twice, then hot
            again = await store.get(session.session_id, tenant_id=session.tenant_id)
            assert fingerprint(again) == expected, "it depends on how the session is kept"
        for answer in await _queried(store, found):
            assert answer == found, "another query finds something else"
        await store.save(found)
        again = await store.get(session.session_id)
        assert (again.revision, again == found) == (session.revision + 1, True), "what came back cannot be saved again"
        check_indexes(store)
    return Kept(fingerprint(found))


async def _drive_out(store: Any) -> None:
    """Replace the hot session by another one, where the store keeps only one."""
    other = make_session(session_id=UUID(int=902), agent_id=CUSTOMER, user_channel_id="other", last_activity_at=START)
    for _ in range(2):
        await store.save(other)
    await store.delete(other.session_id)


async def _queried(store: Any, session: Any) -> list[Any]:
    tenant = session.tenant_id
    answers = [await store.get_by_channel(tenant, session.channel, session.user_channel_id)]
    answers += await store.list_by_agent(tenant, session.agent_id, limit=1)
    answers += await store.list_by_agent(tenant, session.agent_id, status=session.status, limit=1)
    if session.customer_profile_id is not None:
        answers += await store.list_by_customer(tenant, session.customer_profile_id, limit=1)
    step = session.step_history[-1].step_content_hash if session.step_history else None
    scenario, version = session.active_scenario_id, session.active_scenario_version
    if session.status == SessionStatus.ACTIVE and None not in {step, scenario, version}:
        answers += (await store.find_sessions_by_step_hash(tenant, scenario, version, step))[:1]
        assert (await store.count_steps(tenant, scenario, version))[step] >= 1
    assert len(answers) >= 3, "it is not found"
    return answers


def exact(value: Any) -> Any:
    """Return the equal JSON value of exact types, for any subclasses.

    A subclass becomes its base class. Raises `AssertionError` for a value that JSON does not have.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        value = value.value
    for base_type in (str, int, float):
        if issubclass(type(value), base_type):
            return base_type.__getnewargs__(value)[0]  # the value of the base class
    if issubclass(type(value), list):
        return [exact(item) for item in list.__iter__(value)]
    assert issubclass(type(value), dict), f"a {type(value).__name__} was accepted"
    assert all(issubclass(type(key), str) for key in dict.keys(value)), "a key that is no text was accepted"
    return {exact(key): exact(item) for key, item in dict.items(value)}
