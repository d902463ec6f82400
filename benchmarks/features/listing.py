"""Measure how long a list of a customer's sessions takes in each in-memory service.

Two questions, each at several sizes. "one of many": the ten sessions of a customer, among n sessions of all customers.
"one with many": the newest 20 sessions of a customer who has n. All hold the benchmark's standard session.
"""

import statistics
from collections.abc import Awaitable, Callable, Iterator
from time import perf_counter
from typing import Any

from google.adk.sessions import InMemorySessionService
from langgraph.checkpoint.memory import InMemorySaver

from benchmarks.features.subjects.adk_by_hand import APP
from benchmarks.features.subjects.langgraph import put
from benchmarks.scenarios.sessions import Population
from sessiondex import InMemorySessionStore, Session

OF_CUSTOMER = 10
NEWEST = 20
SEED = 1
QUESTIONS = ("one of many", "one with many")


def _sessions(size: int, question: str) -> Iterator[Session]:
    """Yield sessions of different customers, ten each, or all of one."""
    tenant = customer = None
    for number, session in enumerate(Population(size, SEED)):
        if tenant is None or (question == QUESTIONS[0] and number % OF_CUSTOMER == 0):
            tenant, customer = tenant or session.tenant_id, session.session_id
        yield session.model_copy(update={"tenant_id": tenant, "customer_profile_id": customer})


async def measure(size: int) -> list[dict[str, Any]]:
    """Return the rows of a size: the question, the subject, the length of the answer and the median ms of a call."""
    return [
        {"question": question, "sessions": size, "subject": subject, **await ask(size, question)}
        for question in QUESTIONS
        for subject, ask in (("sessiondex", _sessiondex), ("ADK", _adk), ("LangGraph", _langgraph))
    ]


async def _sessiondex(size: int, question: str) -> dict[str, Any]:
    # The same list is asked again and again, and would come from the cache. Most customers ask once in a while.
    store = InMemorySessionStore[Session](cache_size=0)
    await store.load(_sessions(size, question))
    first = next(_sessions(size, question))
    tenant, customer = first.tenant_id, first.customer_profile_id
    assert customer is not None
    return await _median(lambda: store.list_by_customer(tenant, customer, limit=NEWEST))


async def _adk(size: int, question: str) -> dict[str, Any]:
    service, first = InMemorySessionService(), None
    for session in _sessions(size, question):
        first = first or session
        await service.create_session(
            app_name=APP,
            user_id=str(session.customer_profile_id),
            session_id=str(session.session_id),
            state=session.model_dump(mode="json"),
        )
    assert first is not None
    user = str(first.customer_profile_id)

    async def newest() -> list[Any]:
        found = await service.list_sessions(app_name=APP, user_id=user)
        return list(found.sessions[-NEWEST:])

    return await _median(newest)


async def _langgraph(size: int, question: str) -> dict[str, Any]:
    saver, first = InMemorySaver(), None
    for session in _sessions(size, question):
        first = first or session
        state = session.model_dump(mode="json")
        await put(saver, state | {"user": state["session_id"], "customer": state["customer_profile_id"]})
    assert first is not None
    customer = str(first.customer_profile_id)

    async def newest() -> list[Any]:
        found = [each async for each in saver.alist(None, filter={"customer": customer})]
        return sorted(found, key=lambda each: each.checkpoint["id"], reverse=True)[:NEWEST]

    return await _median(newest)


async def _median(call: Callable[[], Awaitable[list[Any]]]) -> dict[str, Any]:
    times: list[float] = []
    results = len(await call())
    while len(times) < 3 or (sum(times) < 1 and len(times) < 200):
        start = perf_counter()
        await call()
        times.append(perf_counter() - start)
    return {"results": results, "calls": len(times), "milliseconds": round(statistics.median(times) * 1_000, 4)}
