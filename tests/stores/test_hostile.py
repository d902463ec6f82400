"""Law 6 against hostile content: accepted and kept, or refused by name with nothing changed, and by all stores alike.

What a value meets depends on those before it. So a generated one is replayed with these: a failure says by which
command.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from sessiondex import (
    InvalidSessionError,
    ScanSessionStore,
)
from tests.support.builders import START, Clock
from tests.support.hostile_checks import Checker, Kept, Refused, Verdict, checkers, stores_to_compare
from tests.support.hostile_places import PLACES, Place, base, planted
from tests.support.hostile_values import DECEITFUL, HOSTILE, HUGE, generated
from tests.support.sizes import IS_STRESS, search_size
from tests.support.stores import scan_snapshots

COUNT, SEED = search_size(20_000), 16
Counts = Counter[type]
MakeCheckers = Callable[..., list[Checker]]

SOME_PLACES = ("variable", "key of variables", "user_channel_id, planted", "note", "step_history: step_content_hash")


def places_for(name: str) -> list[str]:
    """Return every place where the value is tried, or a quarter of them: another quarter for the next value."""
    places = [place for place in PLACES if name not in HUGE or place in SOME_PLACES]
    return places if IS_STRESS or name in HUGE else places[sorted(HOSTILE).index(name) % 4 :: 4]


async def verdicts_on(name: str, *, thorough: int = 1, lenient: bool = False) -> dict[str, Verdict]:
    """Return the verdict on the named value, for each place where it fits."""
    asked, verdicts = checkers(thorough=thorough, lenient=lenient), {}
    start = sorted(HOSTILE).index(name)  # so that either checker has half of the values in each place
    for number, place in enumerate(places_for(name), start):
        verdicts[place] = await asked[number % 2].check(PLACES[place], HOSTILE[name])
    for checker in asked:
        await checker.end()
    return verdicts


async def test_there_are_many_hostile_values_and_places() -> None:
    assert len(HOSTILE) - len(DECEITFUL) >= 150
    assert len(PLACES) >= 80
    assert set(DECEITFUL) | HUGE <= set(HOSTILE)


@pytest.mark.search
@pytest.mark.parametrize("name", [name for name in HOSTILE if name not in DECEITFUL])
async def test_a_hostile_value_is_kept_or_refused_by_name(name: str) -> None:
    """In every place of a session, by assignment and past validation; all stores come to the same verdict."""
    verdicts = await verdicts_on(name, thorough=4)

    assert any(isinstance(verdict, Kept | Refused) for verdict in verdicts.values())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # errors that pydantic swallows
@pytest.mark.parametrize("name", sorted(DECEITFUL))
async def test_a_value_that_lies_changes_nothing_when_it_is_refused(name: str) -> None:
    """Any error will do: the store and the given session are as before, and all stores refuse the same."""
    verdicts = await verdicts_on(name, thorough=4, lenient=True)

    assert any(isinstance(verdict, Refused) for verdict in verdicts.values())


@pytest.mark.parametrize("field", ["step_history", "pending_migration"])
async def test_a_fact_that_cannot_be_dumped_is_named(field: str) -> None:
    name = {"step_history": "step_name", "pending_migration": "anchor_content_hash"}[field]
    session = PLACES[f"{field}: {name}"].put(base(), b"\xff")
    with pytest.raises(InvalidSessionError) as error:
        await ScanSessionStore().save(session)

    assert (error.value.field or "").startswith(field)


async def test_a_save_that_raises_has_stored_nothing(store: Any) -> None:
    """Whatever became of the set in which pydantic remembers which fields were set."""
    session = base()
    object.__setattr__(session, "__pydantic_fields_set__", None)
    is_saved = False
    with suppress(AttributeError):
        is_saved = bool(await store.save(session))

    assert (await store.get(session.session_id) is not None) == is_saved


async def test_an_attribute_whose_name_is_no_text_is_refused(store: Any) -> None:
    session: Any = base()
    vars(session)[1] = "stray"
    with pytest.raises(InvalidSessionError):
        await store.save(session)


EXPECTED: dict[tuple[str, str], type] = {
    ("NaN", "variable"): Refused,
    ("minus zero", "variable"): Kept,
    ("4,300 digits", "variable"): Kept,
    ("4,301 digits", "variable"): Refused,
    ("high surrogate", "variable"): Refused,
    ("high surrogate", "key of variables"): Refused,
    ("high surrogate", "step_history: step_name"): Refused,
    ("NUL", "variable"): Kept,
    ("NUL", "user_channel_id"): Refused,
    ("composed", "user_channel_id"): Kept,
    ("decomposed", "user_channel_id"): Kept,
    ("a million combining marks", "variable"): Kept,
    ("2**63", "turn_count"): Refused,
    ("2**63", "variable"): Kept,
    ("dicts 31 deep", "variable"): Kept,
    ("nested 185 deep", "variable"): Kept,
    ("nested 200 deep", "variable"): Refused,
    ("nested 5,000 deep", "variable"): Refused,
    ("list in itself", "variable"): Refused,
    ("10,000 keys", "variable"): Kept,
    ("tuple", "variable"): Refused,
    ("keys that collide as texts", "variable"): Refused,
    ("bytes", "variable"): Refused,
    ("UUID", "variable"): Refused,
    ("UUID", "session_id"): Kept,
    ("year 9999", "created_at"): Kept,
    ("repeated hour", "created_at, assigned"): Kept,
    ("naive datetime", "item of variable_updated_at"): Refused,
    ("defaultdict", "variable"): Kept,
}


async def test_the_verdicts_are_those_that_users_expect() -> None:
    """A law that all stores keep by refusing everything would be no law."""
    checker = Checker(stores_to_compare())
    found = {
        (name, place): type(await checker.check(PLACES.get(place) or Place(place, planted(place)), HOSTILE[name]))
        for name, place in EXPECTED
    }

    assert found == EXPECTED


# -- generated --

DEEP = {name for name in HOSTILE if name.endswith("deep")} - {"nested 100 deep", "dicts 31 deep", "dicts 32 deep"}
NAMES = [name for name in HOSTILE if name not in {*DECEITFUL, *HUGE, *DEEP}]
_PLACES = [*PLACES, *["variable", "variables, planted", "variable in a list", "variable in a dict"] * 10]


async def try_one(checker: Checker, seed: int, number: int) -> Verdict:
    """Try the generated value of that number. The same numbers give the same value, for the same place."""
    at = f"{seed}:{number}"
    place = random.Random(at).choice(_PLACES)

    def make() -> Any:
        rng = random.Random(f"{at} value")
        value = generated(rng, NAMES)
        # What stands for all of `variables` is more often a dict than not.
        return value if place != "variables, planted" or rng.random() < 0.3 else {"a": value}

    try:
        return await checker.check(PLACES[place], make)
    except BaseException as error:
        error.add_note(f'in "{place}"')
        raise


async def try_generated(
    seed: int, enough: int, make_checkers: MakeCheckers = checkers, *, last: int | None = None
) -> Counts:
    """Try generated values until so many were kept or refused, or up to the last; return how many, of each verdict.

    The others do not fit where they were to go.
    """
    verdicts: Counts = Counter()
    asked = make_checkers(thorough=10)
    number = -1
    try:
        while verdicts[Kept] + verdicts[Refused] < enough and number != last:
            number += 1
            verdicts[type(await try_one(asked[number % len(asked)], seed, number))] += 1
        for checker in asked:
            await checker.end()
    except BaseException as error:
        error.add_note(f'Repeat it by: python -c "from {__name__} import replay; replay({seed}, {number})"')
        raise
    return verdicts


def replay(seed: int, last: int, make_checkers: MakeCheckers = checkers) -> None:
    """Try the values of that seed, up to the last that a failure names."""
    asyncio.run(try_generated(seed, last + 1, make_checkers, last=last))


@pytest.mark.search
async def test_generated_values_are_kept_or_refused_by_name() -> None:
    """Hostile values and JSON values, mixed and nested: the same law."""
    verdicts = await try_generated(SEED, COUNT)

    assert verdicts[Kept] + verdicts[Refused] == COUNT
    assert min(verdicts[Kept], verdicts[Refused]) > COUNT // 5, verdicts


# -- the checks find what is planted --


def _tampered(session: Any, variables: Any) -> Any:
    changed = session.model_copy()
    vars(changed)["variables"] = variables
    return changed


class Tampering(ScanSessionStore[Any]):
    """Saves something else than it was given, and says nothing."""

    def tampered(self, session: Any) -> Any:
        raise NotImplementedError

    async def save(self, session: Any, *, expected_revision: int | None = None, touch: bool = True) -> UUID:
        other = self.tampered(session)
        session_id = await super().save(other, expected_revision=expected_revision, touch=touch)
        vars(session).update({name: vars(other)[name] for name in ("last_activity_at", "revision")})
        return session_id


class ThroughText(Tampering):
    def tampered(self, session: Any) -> Any:
        try:
            return _tampered(session, json.loads(json.dumps(session.variables, default=str, skipkeys=True)))
        except (ValueError, TypeError, RecursionError):
            return session


class WithoutSurrogates(Tampering):
    def tampered(self, session: Any) -> Any:
        variables = {
            key: value.encode(errors="replace").decode() if type(value) is str else value
            for key, value in session.variables.items()
        }
        return _tampered(session, variables)


class KeepsWhatItWasGiven(ScanSessionStore[Any]):
    """When a session is refused."""

    async def save(self, session: Any, *, expected_revision: int | None = None, touch: bool = True) -> UUID:
        try:
            return await super().save(session, expected_revision=expected_revision, touch=touch)
        except InvalidSessionError:
            scan_snapshots(self)[session.session_id] = session
            raise


class ShowsTheValue(ScanSessionStore[Any]):
    async def save(self, session: Any, *, expected_revision: int | None = None, touch: bool = True) -> UUID:
        try:
            return await super().save(session, expected_revision=expected_revision, touch=touch)
        except InvalidSessionError as error:
            error.add_note(repr(session))
            raise


class StampsBeforeItChecks(ScanSessionStore[Any]):
    async def save(self, session: Any, *, expected_revision: int | None = None, touch: bool = True) -> UUID:
        vars(session)["last_activity_at"] = START + timedelta(days=1)
        return await super().save(session, expected_revision=expected_revision, touch=touch)


class Blames(ScanSessionStore[Any]):
    """Another field."""

    async def save(self, session: Any, *, expected_revision: int | None = None, touch: bool = True) -> UUID:
        try:
            return await super().save(session, expected_revision=expected_revision, touch=touch)
        except InvalidSessionError as error:
            raise InvalidSessionError("agent_id", error.reason) from None


class TakesTrueForOne(Tampering):
    def tampered(self, session: Any) -> Any:
        return _tampered(session, {key: 1 if value is True else value for key, value in session.variables.items()})


CONTROLS = [
    (ThroughText, "tuple", "not equal|do not agree"),
    (ThroughText, "UUID", "not equal|do not agree"),
    (WithoutSurrogates, "high surrogate", "not equal|do not agree"),
    (KeepsWhatItWasGiven, "NaN", "something changed"),
    (ShowsTheValue, "high surrogate", "shows the value"),
    (StampsBeforeItChecks, "NaN", "the given session has changed"),
    (Blames, "NaN", "it names agent_id"),
    (TakesTrueForOne, "True", "other types"),
]


@pytest.mark.parametrize(("cls", "name", "found"), CONTROLS)
async def test_a_store_that_breaks_the_law_is_found(cls: Any, name: str, found: str) -> None:
    checker = Checker({"sound": ScanSessionStore(clock=Clock()), "broken": cls(clock=Clock())})
    with pytest.raises(AssertionError, match=found):
        await checker.check(PLACES["variable"], HOSTILE[name])


class TiresOfIt(ThroughText):
    """After some hundred saves, so that no value alone finds it."""

    saves = 0

    def tampered(self, session: Any) -> Any:
        self.saves += 1
        return super().tampered(session) if self.saves > 300 else session


@pytest.mark.parametrize("cls", [ThroughText, TiresOfIt])
def test_a_store_that_breaks_the_law_is_found_by_generated_values(cls: Any) -> None:
    """And the failure says how to replay it, with all that led to it."""

    def make_checkers(**options: Any) -> list[Checker]:
        return [Checker({"sound": ScanSessionStore(clock=Clock()), "broken": cls(clock=Clock())}, **options)]

    with pytest.raises(AssertionError, match=r"not equal|do not agree") as error:
        asyncio.run(try_generated(SEED, 1_000, make_checkers))
    command = re.fullmatch(
        r'Repeat it by: python -c "from tests\.stores\.test_hostile import replay; replay\(16, (\d+)\)"',
        error.value.__notes__[-1],
    )

    assert command
    last = int(command[1])
    with pytest.raises(AssertionError) as again:
        replay(SEED, last, make_checkers)
    assert str(again.value) == str(error.value)
    if cls is TiresOfIt:
        (checker,) = make_checkers()
        asyncio.run(try_one(checker, SEED, last))  # alone
