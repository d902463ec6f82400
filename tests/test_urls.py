"""`open_store`: stores by URL."""

from __future__ import annotations

from datetime import timedelta
from importlib.metadata import EntryPoint
from inspect import signature
from typing import Any

import pytest

from sessiondex import InMemorySessionStore, InvalidArgumentError, RedisSessionStore, ScanSessionStore, open_store, urls
from sessiondex.stores.options import MemoryOptions, OtherOptions, ServerOptions
from tests.support.stores import address_of, options_of


async def test_memory_with_options_in_the_url_and_beside_it() -> None:
    store: Any = open_store("memory://?cache_size=7&idle_ttl=90.5&debug=true", max_sessions=3)

    assert isinstance(store, InMemorySessionStore)
    assert options_of(store) == {"cache_size": 7, "debug": True, "idle_ttl": timedelta(seconds=90.5), "max_sessions": 3}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "must be like memory://"),
        ("sessions.db", "must be like memory://, sqlite:///sessions.db or redis://"),
        ("mysql://host", "there are memory://, sqlite://, redis://, rediss://, valkey://"),
        ("memory://host", "takes nothing but a question mark and some of"),
        ("memory://?color=red", "has no parameter 'color'; there are cache_size, changes_kept"),
        ("sqlite:///a.db?color=red", "has no parameter 'color'; there are cache_size, changes_kept"),
        ("memory://?debug=perhaps", "'debug' that cannot be parsed; it must be true or false"),
        ("memory://?idle_ttl=soon", "'idle_ttl' that cannot be parsed; it must be a number of seconds"),
        ("memory://?debug=1&debug=0", "'debug' twice"),
        ("memory://?max_sessions=0", "must be at least 1"),
        ("redis://localhost?color=red", "has no parameter 'color'; there are client_name"),
        ("redis://localhost?max_session=7", "max_sessions"),
        ("redis://localhost/seven", "the number of a database"),
        ("redis+cluster://localhost/1", "a cluster has one database"),
        ("redis://localhost?prefix=a#b", "must be like redis://user:password@host"),
        ("redis://:pa?ss@localhost", "percent-encode the password; there are client_name"),
        ("redis://localhost:port", "must be like redis://user:password@host"),
        ("redis://[::1", "cannot be parsed"),
        ("redis://localhost?timeout=0", "must be more than 0"),
        ("redis://localhost?prefix=a{b", "without braces"),
    ],
)
def test_a_url_that_is_none_is_refused_with_what_there_is(url: str, words: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        open_store(url)

    assert words in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://ann:s3cret@localhost:port",
        "redis://ann:s3cret@localhost/x",
        "redis://ann:s3cret@localhost?color=red",
        "redis://ann:s3cret@[::1",
        "redis://ann:pa?s3cret@localhost",
        "redis://ann:12?s3cret&b@localhost",
        "redis://ann:12?s3cret=b@localhost",
        "redis://ann:12?s3cret&prefix=b@localhost",
        "redis://ann:12?s3cret#b@localhost",
        "redis://ann:#s3cret@localhost",
        "redys://ann:s3cret@localhost",
    ],
)
def test_no_error_shows_the_password(url: str) -> None:
    """Neither its text and arguments, nor what it came from."""
    with pytest.raises(InvalidArgumentError) as caught:
        open_store(url)

    assert "s3cret" not in f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_an_option_that_a_store_does_not_have_is_refused() -> None:
    for url in ("memory://", "redis://localhost"):
        with pytest.raises(InvalidArgumentError, match="there is no 'colour'; there are cache_size, changes_kept"):
            open_store(url, colour="red")


def test_options_of_other_stores_are_ignored() -> None:
    """So that only the URL changes when a service moves."""
    memory, server = (signature(cls).parameters for cls in (InMemorySessionStore, RedisSessionStore))
    left_out = {"url", "clock", "others"}
    defaults = {name: each.default for name, each in {**memory, **server}.items() if name not in left_out}
    assert {*memory} - {*server} == MemoryOptions.__optional_keys__
    assert OtherOptions.__optional_keys__ == MemoryOptions.__optional_keys__ | ServerOptions.__optional_keys__
    assert {*server} - {*memory} == ServerOptions.__optional_keys__ | {"url"}

    servers = (f"{scheme}://localhost?debug=false&cache_size=3" for scheme in ("redis", "valkeys", "redis+cluster"))
    for url in ("memory://?prefix=x&timeout=2", *servers):
        open_store(url, **{name: default for name, default in defaults.items() if f"{name}=" not in url})
    for cls in (InMemorySessionStore, RedisSessionStore, ScanSessionStore):
        made: Any = cls
        made(**defaults)
        with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
            made(colour="red")


async def test_a_server_by_its_schemes() -> None:
    """Nothing is asked of it before it is used, and its `repr` shows no password."""
    for scheme in ("redis", "rediss", "valkey", "redis+cluster", "valkeys+cluster"):
        store: Any = open_store(f"{scheme}://ann:s3cret@db.example.org:7000?prefix=mine", idle_ttl=timedelta(hours=1))

        assert "s3cret" not in f"{store!r} {address_of(store)!r}"
        assert repr(store) == "<RedisSessionStore at db.example.org:7000, prefix 'mine'>"
        assert ("cluster" in scheme) == address_of(store).is_cluster


def test_a_scheme_of_a_package_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """By an entry point; it gets the whole URL, and the options."""
    point = EntryPoint("scan", "tests.test_urls:made", urls.ENTRY_POINTS)
    monkeypatch.setattr(urls, "entry_points", lambda group: [point] * (group == urls.ENTRY_POINTS))
    store: Any = open_store("scan://here?x=1", max_sessions=2)

    assert isinstance(store, ScanSessionStore)
    assert store.url == "scan://here?x=1"  # type: ignore[attr-defined]
    with pytest.raises(InvalidArgumentError, match="scan://"):
        open_store("other://")


def made(url: str, **options: Any) -> Any:
    store: Any = ScanSessionStore(**options)
    store.url = url
    return store
