"""Sessions found by the fields that their classes declare as `Indexed`: which items are found, and by which values."""

from __future__ import annotations

from datetime import timedelta
from enum import IntEnum, StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from sessiondex.contract import SessionStore
from sessiondex.errors import InvalidArgumentError, InvalidSessionError
from sessiondex.indexed import Indexed
from sessiondex.models import Session
from sessiondex.testing.case import case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.cases.pages import take
from sessiondex.testing.expectations import expect, expect_error

MAX_ITEM_SIZE = 1_024


class Colour(StrEnum):
    """An enum of texts."""

    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    """An enum of ints."""

    SMALL = 1
    LARGE = 2


class Ticket(Session):
    """A session with an indexed field of each kind, and one that is not indexed."""

    code: Annotated[str | None, Indexed()] = None
    email: Annotated[str | None, Indexed(normalize=str.casefold)] = None
    number: Annotated[int | None, Indexed()] = None
    is_urgent: Annotated[bool | None, Indexed()] = None
    reference: Annotated[UUID | None, Indexed()] = None
    colour: Annotated[Colour | None, Indexed()] = None
    size: Annotated[Size | None, Indexed()] = None
    mixed: Annotated[str | int | bool | None, Indexed()] = None
    order_ids: Annotated[list[str], Indexed()] = Field(default_factory=list)
    tags: Annotated[set[str], Indexed()] = Field(default_factory=set)
    steps: Annotated[tuple[int, ...], Indexed()] = ()
    note: str = ""


class UrgentTicket(Ticket):
    """A subclass, which has the indexes of its base and one of its own."""

    deadline: Annotated[str | None, Indexed()] = None


class NumberedByText(Session):
    """A class that indexes `number` with another type than `Ticket` does."""

    number: Annotated[str | None, Indexed()] = None


async def expect_by_field(
    store: SessionStore[Any], of: tuple[UUID, str, Any], expected: list[Any], what: str = "by an own field"
) -> None:
    """Expect list, iterator, count and `get_by_field` to find these sessions by tenant, field and value."""
    expect(await store.list_by_field(*of), expected, f"list_by_field, {what}")
    expect(await store.count_by_field(*of), len(expected), f"count_by_field, {what}")
    expect(await store.get_by_field(*of), expected[0] if expected else None, f"get_by_field, {what}")
    seen = [session async for session in take(len(expected) + 5, store.iter_by_field(*of, page_size=2))]
    expect(seen, expected, f"iter_by_field, {what}")


ITEMS: dict[str, tuple[Any, tuple[Any, ...], Any]] = {
    "code": ("A", ("A",), "a"),
    "number": (-(10**30), (-(10**30),), 10**30),
    "is_urgent": (False, (False,), True),
    "reference": (UUID(int=7), (UUID(int=7), str(UUID(int=7))), UUID(int=8)),
    "colour": (Colour.RED, (Colour.RED, "red"), Colour.BLUE),
    "size": (Size.SMALL, (Size.SMALL, 1), Size.LARGE),
    "order_ids": (["x", "", "\u00e9"], ("x", "", "\u00e9"), "e\u0301"),
    "tags": ({"x", "y"}, ("x", "y"), "xy"),
    "steps": ((3, 0), (3, 0), 30),
}
"""By field: a value, the items by which it is found, and an item of another value."""


@case(4)
async def values_of_each_kind_are_found(context: CaseContext) -> None:
    """A session is found by each item of a field, of any type that can be indexed, and not by another value."""
    store = await context.store()
    for name, (value, items, other) in ITEMS.items():
        ticket = context.session(Ticket, **{name: value})
        await store.save(ticket)
        for item in items:
            await expect_by_field(store, (context.tenant_id, name, item), [ticket], f"{name} {item!r}")
        await expect_by_field(store, (context.tenant_id, name, other), [], f"{name} {other!r}")


@case(4)
async def items_are_compared_by_type(context: CaseContext) -> None:
    """True, 1 and "1" are three different items, and so are False, 0, "0" and an empty text."""
    store = await context.store()
    items: list[Any] = [True, 1, "1", False, 0, "0", "", "True", "b1", "i1"]
    tickets = [context.session(Ticket, mixed=item) for item in items]
    await store.save_many(tickets)
    for item, ticket in zip(items, tickets, strict=True):
        await expect_by_field(store, (context.tenant_id, "mixed", item), [ticket], f"mixed {item!r}")


@case(4)
async def names_and_values_do_not_run_into_each_other(context: CaseContext) -> None:
    """The same value in another field is not found."""
    store = await context.store()
    code, email, order = (
        context.session(Ticket, **fields) for fields in ({"code": "x"}, {"email": "x"}, {"order_ids": ["x"]})
    )
    await store.save_many([code, email, order])
    for name, ticket in (("code", code), ("email", email), ("order_ids", order)):
        await expect_by_field(store, (context.tenant_id, name, "x"), [ticket], f"by {name}")


@case(4)
async def texts_are_compared_as_they_are_normalized(context: CaseContext) -> None:
    """`normalize` is applied to what is saved and to what is asked for, and the saved value comes back as it was."""
    store = await context.store()
    first = context.session(Ticket, email="Ann@Example.com", code="Ann")
    second = context.session(Ticket, email="ann@EXAMPLE.com", code="ann")
    await store.save_many([first, second])
    for value in ("ann@example.com", "ANN@EXAMPLE.COM"):
        await expect_by_field(store, (context.tenant_id, "email", value), [second, first], f"email {value}")
    await expect_by_field(store, (context.tenant_id, "code", "Ann"), [first], "by a field without normalize")


@case(4)
async def none_and_empty_collections_are_not_indexed(context: CaseContext) -> None:
    """No query finds a session by them, and `None` is no value to ask for."""
    store, ticket = await context.store(), context.session(Ticket)
    await store.save(ticket)
    for name, value in (
        ("code", ""),
        ("code", "None"),
        ("mixed", False),
        ("mixed", 0),
        ("order_ids", ""),
        ("steps", 0),
    ):
        await expect_by_field(store, (context.tenant_id, name, value), [], f"{name} {value!r}")
    for name in ("code", "order_ids"):
        with expect_error(InvalidArgumentError, f"list_by_field of {name} None") as caught:
            await store.list_by_field(context.tenant_id, name, None)
        expect(caught.error.argument, "value", "argument of the error")


@case(16)
async def an_item_that_comes_twice_counts_once(context: CaseContext) -> None:
    """A session with the same item twice comes once in the list, and once in the count."""
    store = await context.store()
    twice = context.session(Ticket, order_ids=["a", "b", "a"], email="x", code="x")
    once = context.session(Ticket, order_ids=["a"])
    await store.save_many([twice, once])
    await expect_by_field(store, (context.tenant_id, "order_ids", "a"), [once, twice], "an item that one has twice")
    twice.order_ids = ["b", "a"]
    await store.save(twice)
    await expect_by_field(store, (context.tenant_id, "order_ids", "a"), [twice, once], "after it has it once")
    await store.delete(twice.session_id)
    await expect_by_field(store, (context.tenant_id, "order_ids", "a"), [once], "after it was deleted")


@case(4)
async def saves_and_deletes_change_what_a_field_finds(context: CaseContext) -> None:
    """A save moves the session from its earlier items to its new ones, and a delete removes it from all."""
    store = await context.store()
    ticket = context.session(Ticket, order_ids=["a", "b"], email="ann", customer_profile_id=context.customer_id)
    found = (("order_ids", "a"), ("order_ids", "b"), ("order_ids", "c"), ("email", "ann"), ("email", "bob"))

    async def expect_found(*expected: tuple[str, str]) -> None:
        for one in found:
            of = (context.tenant_id, *one)
            await expect_by_field(store, of, [ticket] if one in expected else [], f"{one}, saved as {expected}")

    await store.save(ticket)
    await expect_found(("order_ids", "a"), ("order_ids", "b"), ("email", "ann"))
    ticket.order_ids, ticket.email = ["b", "c"], "bob"
    await store.save(ticket)
    await expect_found(("order_ids", "b"), ("order_ids", "c"), ("email", "bob"))
    ticket = await store.update(ticket.session_id, lambda one: one.order_ids.clear(), touch=False)
    await expect_found(("email", "bob"))
    ticket.email = None
    await store.save_many([ticket])
    await expect_found()
    ticket.email = "ann"
    await store.save(ticket, touch=False)
    await expect_found(("email", "ann"))
    await store.delete(ticket.session_id)
    await expect_found()
    await store.save(ticket)
    await store.delete_by_customer(context.tenant_id, context.customer_id)
    await expect_found()


@case(4)
async def a_session_of_another_class_leaves_the_fields_of_the_class_before(context: CaseContext) -> None:
    """A session that is saved as another class is found by the indexed fields of that class alone."""
    store, ticket = await context.store(), context.session(Ticket, code="x")
    await store.save(ticket)
    await store.save(context.session(session_id=ticket.session_id))
    await expect_by_field(store, (context.tenant_id, "code", "x"), [], "saved as a plain session since")
    urgent = context.session(UrgentTicket, session_id=ticket.session_id, code="x", deadline="today")
    await store.save(urgent)
    other = context.session(Ticket, code="x")
    await store.save(other)
    await expect_by_field(store, (context.tenant_id, "code", "x"), [other, urgent], "of two classes")
    await expect_by_field(store, (context.tenant_id, "deadline", "today"), [urgent], "of a field of the subclass")
    found = await store.list_by_field(context.tenant_id, "code", "x")
    expect([type(one) for one in found], [Ticket, UrgentTicket], "classes of what list_by_field finds")


@case(4)
async def own_fields_are_remembered_as_saved(context: CaseContext) -> None:
    """A session is found by the items that it had when it was saved, even if they were changed in place since."""
    store, ticket = await context.store(), context.session(Ticket, order_ids=["a"], tags={"x"}, email="ann")
    await store.save(ticket)
    saved = ticket.model_copy(deep=True)
    for changed in (ticket, await context.get_stored(store, saved.session_id)):
        changed.order_ids[:] = ["b"]
        changed.tags.clear()
        changed.email = "bob"
        for name, value in (("order_ids", "a"), ("tags", "x"), ("email", "ann")):
            await expect_by_field(store, (context.tenant_id, name, value), [saved], f"{name}, changed in place since")
        for name, value in (("order_ids", "b"), ("email", "bob")):
            await expect_by_field(store, (context.tenant_id, name, value), [], f"{name}, by an unsaved value")


@case(7)
async def an_own_field_sees_one_tenant(context: CaseContext) -> None:
    """Another tenant's session with the same value is not found."""
    store, mine = await context.store(), context.session(Ticket, code="x", order_ids=["a"])
    theirs = context.session(Ticket, code="x", order_ids=["a"], tenant_id=context.other_tenant_id)
    await store.save(mine)
    await store.save(theirs)
    for name, value in (("code", "x"), ("order_ids", "a")):
        for ticket in (mine, theirs):
            await expect_by_field(store, (ticket.tenant_id, name, value), [ticket], f"{name} of one of two tenants")
    await expect_by_field(store, (context.agent_id, "code", "x"), [], "of a tenant that has none")


@case(2)
async def a_list_by_a_field_is_newest_first(context: CaseContext) -> None:
    """A session that is saved again comes first, `get_by_field` returns the newest, and `limit` cuts the oldest."""
    store, tickets = await context.store(), [context.session(Ticket, code="x", number=one) for one in range(12)]
    for ticket in (*tickets, tickets[3], tickets[0]):
        await store.save(ticket)
    expected = [tickets[0], tickets[3], *(one for one in reversed(tickets) if one.number not in {0, 3})]
    await expect_by_field(store, (context.tenant_id, "code", "x"), expected, "after two were saved again")
    for limit in (0, 1, 5, 12, 99):
        found = await store.list_by_field(context.tenant_id, "code", "x", limit=limit)
        expect(found, expected[:limit], f"list_by_field, limit {limit}")


@case(6)
async def an_item_has_at_most_1024_bytes(context: CaseContext) -> None:
    """An item of 1,024 bytes is found; a save with a longer one is refused by the name of the field."""
    store = await context.store()
    for name, text in (("code", "x"), ("code", "\u00e9"), ("order_ids", "x"), ("email", "x")):
        longest = text * (MAX_ITEM_SIZE // len(text.encode()))
        ticket = context.session(Ticket, **{name: [longest] if name == "order_ids" else longest})
        await store.save(ticket)
        await expect_by_field(store, (context.tenant_id, name, longest), [ticket], f"{name} of 1,024 bytes")
        saved, longer = ticket.model_copy(deep=True), longest + "x"
        setattr(ticket, name, ["short", longer] if name == "order_ids" else longer)
        for is_batch in (False, True):
            with expect_error(InvalidSessionError, f"saving {name} of more than 1,024 bytes") as caught:
                await (store.save_many([context.session(), ticket]) if is_batch else store.save(ticket))
            expect(caught.error.field, name, "field of the error")
        expect(ticket.revision, 1, "the revision of the refused session")
        expect(await store.get(ticket.session_id), saved, "get, after a refused save")
        await expect_by_field(store, (context.tenant_id, name, longest), [saved], f"{name}, after a refused save")
        await store.delete(ticket.session_id)
    expect(await store.count_by_tenant(context.tenant_id), 0, "count_by_tenant, after refused batches")


@case(11)
async def a_query_by_a_field_refuses_bad_arguments(context: CaseContext) -> None:
    """A field that no known class indexes, a value of another type and a bad bound raise `InvalidArgumentError`."""
    store: Any = await context.store()
    ticket = context.session(Ticket, code="x")
    await store.save(ticket)
    bad: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
        *(((context.tenant_id, name, "x"), {}, "field") for name in ("note", "turn_count", "agent_id", "", "no", None)),
        *(
            ((context.tenant_id, name, value), {}, "value")
            for name, value in (
                *(("code", 5), ("code", ["x"]), ("code", "\ud800"), ("code", "x" * 1_025)),
                *(("number", "five"), ("reference", "x"), ("colour", "green"), ("order_ids", ["x"]), ("steps", "x")),
            )
        ),
        (("x", "code", "x"), {}, "tenant_id"),
    ]
    for arguments, options, name in bad:
        for operation in ("list_by_field", "get_by_field", "count_by_field", "iter_by_field"):
            await _expect_refused(store, operation, arguments, options, name)
    key = (context.tenant_id, "code", "x")
    for options in ({"limit": -1}, {"limit": None}, {"before": "x"}, {"after": 5}):
        await _expect_refused(store, "list_by_field", key, options, *options)
    for options in ({"page_size": 0}, {"before": 5}, {"after": "x"}):
        await _expect_refused(store, "iter_by_field", key, options, *options)
    await expect_by_field(store, key, [ticket], "after bad calls")


async def _expect_refused(
    store: Any, operation: str, arguments: tuple[Any, ...], options: dict[str, Any], name: str
) -> None:
    call = f"{operation}{arguments[1:]} with a bad {name}"
    with expect_error(InvalidArgumentError, call) as caught:
        answer = getattr(store, operation)(*arguments, **options)
        await (anext(answer) if operation.startswith("iter") else answer)
    expect(caught.error.argument, name, f"argument of the error of {call}")


@case(6)
async def classes_that_index_a_field_differently_are_refused(context: CaseContext) -> None:
    """A save of the second class is refused by the name of the field, and the first one is found as before."""
    store, ticket = await context.store(), context.session(Ticket, number=1)
    await store.save(ticket)
    other = context.session(NumberedByText, number="1")
    with expect_error(InvalidSessionError, "saving a class that indexes a field with another type") as caught:
        await store.save(other)
    expect(caught.error.field, "number", "field of the error")
    expect(await store.get(other.session_id), None, "get of the refused session")
    await expect_by_field(store, (context.tenant_id, "number", 1), [ticket], "after another class was refused")


@case(17, "clock", "idle_ttl")
async def an_own_field_sees_nothing_that_has_expired(context: CaseContext) -> None:
    """Lists and counts by a field omit expired sessions."""
    store = await context.store(clock=context.clock, idle_ttl=timedelta(hours=1))
    old, young = context.session(Ticket, code="x"), context.session(Ticket, code="x")
    await store.save(old)
    context.clock.move(minutes=50)
    await store.save(young)
    context.clock.move(minutes=11)
    await expect_by_field(store, (context.tenant_id, "code", "x"), [young], "when one has expired")
