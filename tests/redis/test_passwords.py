"""No password is shown: by no text, part, cause or context of an error, no log record and no `repr`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sessiondex import InvalidArgumentError, StoreUnavailableError
from sessiondex.stores.redis import RedisSessionStore
from tests.support.builders import TENANT, make_session
from tests.support.error_text import full_text
from tests.support.redis.failures import failure, failure_facts, timing_out
from tests.support.redis.internals import client_of
from tests.support.redis.proxy import Proxy
from tests.support.redis.servers import HOST, OneServer, refusing_port
from tests.support.redis.stores import RedisStores

SECRET, WRONG = "s3cr3t-kanarie", "wr0ng-kanarie"
MARK = "kanarie"
REFUSED = "it refuses this user; see its ACL, and user and password in the URL"


@pytest.fixture
def servers() -> Iterator[OneServer]:
    """Start a server with three users: one with all permissions, one with few, one for other keys."""
    server = OneServer()
    client: Any = server.client()
    client.acl_setuser("full", enabled=True, passwords=f"+{SECRET}", keys=["*"], commands=["+@all"])
    client.acl_setuser("little", enabled=True, passwords=f"+{SECRET}", keys=["*"], commands=["+ping", "+info"])
    client.acl_setuser("elsewhere", enabled=True, passwords=f"+{SECRET}", keys=["other:*"], commands=["+@all"])
    yield server
    server.close()


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Record all log messages, and search them for the password when the test has ended."""
    caplog.set_level(logging.DEBUG)
    yield
    for record in caplog.records:
        error = record.exc_info[1] if record.exc_info else None
        assert MARK not in f"{record.getMessage()} {vars(record)!r}"
        assert error is None or MARK not in full_text(error)


def url_of(user: str, password: str, port: int, scheme: str = "redis") -> str:
    return f"{scheme}://{user}:{password}@{HOST}:{port}"


USERS: dict[str, tuple[str, str]] = {
    "a wrong password": ("full", WRONG),
    "no such user": ("missing", WRONG),
    "no permission for functions": ("little", SECRET),
    "no permission for these keys": ("elsewhere", SECRET),
}


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
@pytest.mark.parametrize("name", USERS)
async def test_a_user_that_is_refused(make_redis: RedisStores, servers: OneServer, name: str, scheme: str) -> None:
    """Calls raise an error that names the host, and says that the outcome is known."""
    user, password = USERS[name]
    store = make_redis(url=url_of(user, password, servers.port, scheme))
    for call in (store.save(make_session()), store.list_by_agent(TENANT, TENANT)):
        error = await failure(call)

        assert error.host == f"{HOST}:{servers.port}"
        assert not error.is_outcome_unknown
        if scheme == "redis":
            assert error.reason == REFUSED
        assert MARK not in full_text(error)
    assert MARK not in repr(store)


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster", "rediss", "rediss+cluster"])
async def test_a_server_that_refuses_connections(make_redis: RedisStores, scheme: str) -> None:
    """A correct password is not shown either."""
    with refusing_port() as port:
        store = make_redis(url=url_of("full", SECRET, port, scheme))
        error = await failure(store.save(make_session()))

    assert MARK not in full_text(error)
    assert MARK not in f"{error.args!r} {store!r} {store!s} {store._address!r} {client_of(store)!r}"


async def test_a_server_that_cuts_connections(make_redis: RedisStores, servers: OneServer) -> None:
    """Connections are cut during authentication, and after it."""
    async with Proxy(servers.port) as proxy:
        store = make_redis(url=url_of("full", SECRET, proxy.port))
        session = make_session()
        await store.save(session)
        proxy.accepts = False
        await proxy.cut()
        errors = [await failure(store.save(session))]
        proxy.accepts, proxy.cut_after = True, b"AUTH"
        await store.save(session)
        proxy.heard.clear()
        proxy.is_mute = True
        with timing_out(store, lambda: session.session_id.hex.encode() in proxy.heard):
            errors += [await failure(store.save(session)), await failure(store.get(session.session_id))]
        proxy.is_mute = False
        await store.aclose()

    assert not [error for error in errors if MARK in full_text(error)]


async def test_a_password_that_was_changed_on_the_server(make_redis: RedisStores, servers: OneServer) -> None:
    """A write that needs a new connection raises, with a known outcome."""
    store = make_redis(url=url_of("full", SECRET, servers.port))
    session = make_session()
    await store.save(session)
    servers.client().acl_setuser("full", enabled=True, reset_passwords=True, passwords=f"+{WRONG}")
    await client_of(store).disconnect()
    error = await failure(store.save(session))

    assert failure_facts(error) == (f"{HOST}:{servers.port}", "save", False)
    assert error.reason == REFUSED
    assert MARK not in full_text(error)


URLS = {
    "a port that is no number": f"redis://user:{SECRET}@host:port",
    "a port that is too large": f"redis://user:{SECRET}@host:99999",
    "a password that is not encoded": f"redis://user:{MARK}/{SECRET}@host",
    "a password with brackets": f"redis://user:[{SECRET}@host",
    "an unknown scheme": f"postgres://user:{SECRET}@host",
    "an unknown parameter": f"redis://user:{SECRET}@host?nonsense=1",
    "a bad database": f"redis://user:{SECRET}@host/{SECRET}",
    "a database of a cluster": f"redis+cluster://user:{SECRET}@host/1",
    "a password as a parameter": f"redis://host?password={SECRET}",
    "no scheme": f"user:{SECRET}@host",
    "a bad timeout": f"redis://user:{SECRET}@host?timeout={SECRET}",
}


@pytest.mark.parametrize("name", URLS)
def test_an_invalid_url(name: str) -> None:
    """The error names the argument, and shows no part that may be secret."""
    with pytest.raises(InvalidArgumentError) as caught:
        RedisSessionStore(URLS[name])

    assert caught.value.argument == "url"
    assert MARK not in full_text(caught.value)


def _with_cause() -> BaseException:
    error = StoreUnavailableError(HOST, "save", "it is away")
    error.__cause__ = ValueError(SECRET)
    return error


def _with_context() -> BaseException:
    error = StoreUnavailableError(HOST, "save", "it is away")
    error.__context__, error.__suppress_context__ = ValueError(SECRET), True
    return error


LEAKS: dict[str, Callable[[], BaseException]] = {
    "text": lambda: StoreUnavailableError(SECRET, "save", "it is away"),
    "cause": _with_cause,
    "context": _with_context,
}


@pytest.mark.parametrize("name", LEAKS)
def test_the_check_finds_a_leak(name: str) -> None:
    """It also finds one that `from None` hides."""
    assert MARK in full_text(LEAKS[name]())
