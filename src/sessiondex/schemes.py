"""Stores by URL: what changes when one process is no longer enough."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from importlib.metadata import entry_points
from inspect import signature
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from sessiondex.contract import SessionStore
from sessiondex.errors import InvalidArgumentError
from sessiondex.stores import arguments as check
from sessiondex.stores.memory import InMemorySessionStore

ENTRY_POINTS = "sessiondex.stores"
"""The group in which packages declare schemes of their own: name the scheme, and a function of URL and options."""


def _flag(text: str) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[text.lower()]


def _seconds(text: str) -> timedelta:
    return timedelta(seconds=float(text))


_PARAMETERS: Mapping[str, Callable[[str], Any]] = {
    "changes_kept": int,
    "debug": _flag,
    "hot_sessions": int,
    "idle_ttl": _seconds,
    "max_connections": int,
    "max_sessions": int,
    "prefix": str,
    "timeout": float,
    "turn_ttl": _seconds,
}
"""Options that can stand in a URL as well, and how they are read there; durations are in seconds."""


def open_store(url: str, **options: Any) -> SessionStore[Any]:
    """Return a store, by its URL; whatever it is, it keeps the contract.

    `memory://` is in this process; `redis://host:6379/0`, `rediss://` (TLS) and `valkey://` are servers,
    `redis+cluster://` a cluster. Options are those of the store's class; plain ones may stand in the URL, as in
    `memory://?max_sessions=1000&idle_ttl=3600`. Packages add schemes by entry points of the group `sessiondex.stores`.

    >>> open_store("memory://?hot_sessions=100", max_sessions=1000)  # doctest: +ELLIPSIS
    <sessiondex.stores.memory.InMemorySessionStore object at ...>

    Raises:
        InvalidArgumentError: there is no such scheme, parameter or option; the error lists those that there are.
        ImportError: the store needs a package that is not installed; the error names the extra that has it.
    """
    url = check.exact_text("url", url)
    scheme = url.partition("://")[0].lower()
    if "://" not in url:
        raise InvalidArgumentError("url", "must be like memory:// or redis://localhost:6379")
    if scheme == "memory":
        return _made(InMemorySessionStore, *_split(url, options))
    if scheme in _REDIS:
        redis = importlib.import_module("sessiondex.stores.redis")  # where the extra is not installed, only this fails
        return _made(redis.RedisSessionStore, *_split(url, options))
    others = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if scheme not in others:
        known = ", ".join(f"{name}://" for name in ("memory", *_REDIS, *sorted(others)))
        raise InvalidArgumentError("url", f"has no scheme that is known; there are {known}")
    store: SessionStore[Any] = others[scheme].load()(url, **options)
    return store


_REDIS = tuple(f"{name}{tls}{kind}" for kind in ("", "+cluster") for name in ("redis", "valkey") for tls in ("", "s"))


def _split(url: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the URL without what are options, and all options."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise InvalidArgumentError("url", "cannot be read as one") from None
    found, left = dict(options), []
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _PARAMETERS:
            left.append((name, text))
        elif name in found:
            raise InvalidArgumentError("url", f"has {name!r} twice, or it is given as an option as well; give it once")
        else:
            try:
                found[name] = _PARAMETERS[name](text)
            except (KeyError, ValueError, OverflowError):
                raise InvalidArgumentError("url", f"has a value of {name!r} that cannot be read as one") from None
    return urlunsplit(parts._replace(query=urlencode(left))), found


def _made(cls: Any, url: str, options: Mapping[str, Any]) -> SessionStore[Any]:
    known = [name for name in signature(cls).parameters if name != "url"]
    for name in options:
        if name not in known:
            raise InvalidArgumentError("options", f"{cls.__name__} has no {name!r}; there are {', '.join(known)}")
    if cls is not InMemorySessionStore:
        store: SessionStore[Any] = cls(url, **options)
        return store
    if url.lower() != "memory:" and url.lower() != "memory://":
        names = ", ".join(name for name in _PARAMETERS if name in known)
        raise InvalidArgumentError("url", f"memory:// has nothing behind it but a question mark and some of {names}")
    return InMemorySessionStore(**options)
