"""A user's file, checked by `mypy --strict` against the installed package: never imported by a test."""

import asyncio
from datetime import timedelta
from typing import Annotated, Any, ClassVar, TypeVar
from uuid import UUID, uuid4

from sessiondex import (
    Change,
    ChangeKind,
    Channel,
    CopyProgress,
    EvictionReason,
    Indexed,
    InMemorySessionStore,
    InvalidSessionError,
    RedisSessionStore,
    ReindexProgress,
    ScanSessionStore,
    ScopeFilter,
    Session,
    SessionReader,
    SessionStatus,
    SessionStore,
    StepVisit,
    StoreUnavailableError,
    copy_sessions,
    open_store,
)
from sessiondex.testing import CASES, CaseContext, Report, case, check_session_store, every_field, expect

S = TypeVar("S", bound=Session)


class Ticket(Session):
    priority: int = 0
    email: Annotated[str | None, Indexed(normalize=str.casefold)] = None
    order_ids: Annotated[list[str], Indexed()] = []


async def default() -> list[Session]:
    store = InMemorySessionStore()
    session = Session(tenant_id=uuid4(), agent_id=uuid4(), channel=Channel.SMS, user_channel_id="u")
    session.variables["city"] = "Lisbon"
    session.step_history.append(StepVisit(step_id=uuid4(), turn_number=1))
    session_id: UUID = await store.save(session)
    found: Session | None = await store.get(session_id, tenant_id=session.tenant_id)
    assert found is not None
    scope = ScopeFilter(include_channels=[Channel.SMS], exclude_current_nodes={"pay"}, max_session_age_days=3)
    await store.find_sessions_by_step_hash(found.tenant_id, uuid4(), 1, "hash", scope)
    return await store.list_by_agent(found.tenant_id, found.agent_id, status=SessionStatus.ACTIVE, limit=5)


async def other_channels(store: SessionStore) -> bool:
    session = Session(tenant_id=uuid4(), agent_id=uuid4(), channel="telegram", user_channel_id="u")
    scope = ScopeFilter(include_channels=["telegram", Channel.SMS])
    await store.find_sessions_by_step_hash(session.tenant_id, uuid4(), 1, "hash", scope)
    await store.get_or_create(session.tenant_id, "telegram", "u", lambda: session)
    return await store.get_by_channel(session.tenant_id, session.channel, "u") == session


async def subclass(store: SessionStore[Ticket]) -> int:
    ticket = await store.get_by_channel(uuid4(), Channel.EMAIL, "u")
    tickets: list[Ticket] = await store.list_by_customer(uuid4(), uuid4())
    try:
        return ticket.priority if ticket else sum(other.priority for other in tickets)
    except InvalidSessionError as error:
        return len(error.field or error.reason)


async def found(reader: SessionReader[Ticket], tenant_id: UUID, ids: list[UUID]) -> list[Ticket]:
    by_email: Ticket | None = await reader.get_by_field(tenant_id, "email", "Ann@example.com")
    several: list[Ticket | None] = await reader.get_many(ids, tenant_id=tenant_id)
    count: int = await reader.count_by_tenant(tenant_id, status=SessionStatus.ACTIVE)
    newer = await reader.list_by_tenant(tenant_id, limit=count, after=by_email.last_activity_at if by_email else None)
    newer += await reader.list_by_field(tenant_id, "order_ids", "1", before=newer[0].last_activity_at)
    newer += [ticket async for ticket in reader.iter_by_channel(tenant_id, "telegram", "u", page_size=10)]
    return newer + [ticket for ticket in several if ticket is not None]


async def kept_up(store: SessionStore[Ticket], tickets: list[Ticket]) -> ReindexProgress:
    ids: list[UUID] = await store.save_many(tickets, expected_revisions=[None, 1], touch=False)
    was_there: bool = await store.touch(ids[0], tenant_id=tickets[0].tenant_id)
    erased: int = await store.delete_by_tenant(tickets[0].tenant_id)
    erased += await store.delete_by_customer(tickets[0].tenant_id, uuid4())
    erased += await store.delete_by_channel(tickets[0].tenant_id, Channel.SMS, "u")

    async def shown(progress: ReindexProgress) -> None:
        assert progress.reindexed <= progress.read

    assert was_there <= bool(erased)
    return await store.reindex(progress=shown)


async def of_any_class(store: SessionStore[Any]) -> int:
    return len(await store.list_by_customer(uuid4(), uuid4()))


async def of_one_class(store: SessionStore[S], session_id: UUID) -> S | None:
    return await store.get(session_id)


async def each_store() -> None:
    await of_any_class(InMemorySessionStore())
    await of_any_class(InMemorySessionStore[Ticket](session_classes=[Ticket], on_unreadable="skip"))
    ticket: Ticket | None = await of_one_class(InMemorySessionStore[Ticket](), uuid4())
    session: Session | None = await of_one_class(ScanSessionStore(), uuid4())
    assert ticket is session is None


class Narrow(Session):
    session_type: ClassVar[str] = "narrow"
    schema_version: ClassVar[int] = 2
    channel: Channel  # pyright: ignore[reportIncompatibleVariableOverride]

    @classmethod
    def upgrade(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        return super().upgrade(data, version)


async def raised(store: SessionStore[Ticket], session_id: UUID) -> Change:
    def higher(ticket: Ticket) -> None:
        ticket.priority += 1

    async def another(ticket: Ticket) -> Ticket:
        return ticket.model_copy(update={"priority": 1})

    tenant_id = uuid4()

    def begun() -> Ticket:
        return Ticket(tenant_id=tenant_id, agent_id=uuid4(), channel=Channel.EMAIL, user_channel_id="u")

    async with store, store.exclusive(session_id, timeout=1.5):
        changes = store.changes(since=0)
        ticket, was_created = await store.get_or_create(tenant_id, Channel.EMAIL, "u", begun)
        ticket = await store.update(ticket.session_id, higher, attempts=3)
        ticket = await store.update(ticket.session_id, another, tenant_id=ticket.tenant_id)
        await store.save(ticket, expected_revision=ticket.revision if was_created else 0)
        page = await store.list_by_agent(ticket.tenant_id, ticket.agent_id, before=ticket.last_activity_at)
        steps: dict[str, int] = await store.count_steps(ticket.tenant_id, uuid4(), 1)
        assert len(page) == sum(steps.values())
        async for one in store.iter_by_customer(ticket.tenant_id, uuid4()):
            assert one.priority
        async for change in changes:
            if change.kind is not ChangeKind.TOUCHED:
                return change
        raise AssertionError


async def archive(session: Session, reason: EvictionReason) -> None:
    assert session.revision or reason is EvictionReason.CAP


async def moved(url: str) -> tuple[int, str | None]:
    source: SessionStore = open_store(url, max_sessions=5)
    target = RedisSessionStore[Ticket](url, session_classes=[Ticket], on_evict=archive, turn_ttl=timedelta(seconds=5))

    def shown(progress: CopyProgress) -> None:
        assert progress.read >= progress.restored

    done = await copy_sessions(source, target, progress=shown)
    changes = target.changes(tenant_id=uuid4())
    try:
        change: Change = await anext(changes)
    except StoreUnavailableError as error:
        return int(error.is_outcome_unknown), error.host
    return change.revision, done.cursor


@case(6)
async def a_ticket_is_kept(context: CaseContext) -> None:
    """With its priority."""
    store, ticket = await context.store(), context.session(Ticket, priority=3, **every_field())
    await store.save(ticket)
    expect(await store.get(ticket.session_id), ticket, "get of a ticket")


async def held_to_the_contract() -> Report:
    return await check_session_store(InMemorySessionStore, cases=[*CASES, a_ticket_is_kept], known_divergences={})


if __name__ == "__main__":
    evicting = InMemorySessionStore[Ticket](idle_ttl=timedelta(hours=1), max_sessions=5, on_evict=archive)
    asyncio.run(raised(evicting, uuid4()))
    asyncio.run(default())
    asyncio.run(moved("redis://localhost"))
    assert asyncio.run(held_to_the_contract()).ok
    asyncio.run(subclass(InMemorySessionStore[Ticket]()))
    asyncio.run(subclass(ScanSessionStore()))
