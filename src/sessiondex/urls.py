"""open_store: opens a store by its URL, which is all that changes when one process is no longer enough."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from importlib.metadata import entry_points
from inspect import signature
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from sessiondex.arguments import check_parameters, check_text
from sessiondex.contract import SessionStore
from sessiondex.errors import InvalidArgumentError
from sessiondex.stores.memory import InMemorySessionStore
from sessiondex.stores.options import JournalOptions, OtherOptions

ENTRY_POINTS = "sessiondex.stores"
"""The entry point group in which packages declare schemes: the scheme, and a function of URL and options."""

_REDIS_SCHEMES = tuple(
    f"{name}{tls}{kind}" for kind in ("", "+cluster") for name in ("redis", "valkey") for tls in ("", "s")
)


def _parse_flag(text: str) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[text.lower()]


def _parse_seconds(text: str) -> timedelta:
    return timedelta(seconds=float(text))


_PARAMETERS: Mapping[str, Callable[[str], Any]] = {
    "cache_size": int,
    "changes_kept": int,
    "debug": _parse_flag,
    "durability": str,
    "flush_interval": _parse_seconds,
    "idle_ttl": _parse_seconds,
    "max_connections": int,
    "max_pending_bytes": int,
    "max_sessions": int,
    "on_unreadable": str,
    "prefix": str,
    "timeout": float,
    "turn_ttl": _parse_seconds,
}
"""The options that a URL may hold, each with its parser; durations are in seconds."""

_VALUES: Mapping[Callable[[str], Any], str] = {
    int: "an integer",
    float: "a number",
    _parse_flag: "true or false",
    _parse_seconds: "a number of seconds",
}
"""What each parser reads, in words."""


def open_store(url: str, **options: Any) -> SessionStore[Any]:
    """Return the store of a URL; every store keeps the same contract.

    `memory://` is in this process. So is `sqlite:///sessions.db`, which keeps its sessions in that file across
    restarts; `sqlite:////var/lib/sessions.db` is an absolute path. `redis://host:6379/0`, `rediss://` (TLS) and
    `valkey://` are servers, `redis+cluster://` a cluster. Options are those of the stores' classes; a store ignores
    those that only others have. Plain ones may stand in the URL, as in `memory://?max_sessions=1000&idle_ttl=3600`.
    Packages add schemes by entry points of the group `sessiondex.stores`. Use the store within `async with`.

    >>> open_store("memory://?cache_size=100", max_sessions=1000)  # doctest: +ELLIPSIS
    <sessiondex.stores.memory.InMemorySessionStore object at ...>

    Raises:
        InvalidArgumentError: the scheme, a parameter or an option is unknown; the error lists the known ones.
        ImportError: the store needs a package that is not installed; the error names the extra that has it.
    """
    url = check_text("url", url)
    scheme = url.partition("://")[0].lower()
    if "://" not in url:
        raise InvalidArgumentError("url", "must be like memory://, sqlite:///sessions.db or redis://localhost:6379")
    if scheme == "memory":
        return _construct(InMemorySessionStore, *_split_options(url, options))
    if scheme == "sqlite":
        return _open_file(url, options)
    if scheme in _REDIS_SCHEMES:
        redis = importlib.import_module("sessiondex.stores.redis")  # imported here: it needs the extra `redis`
        rest, options = _split_options(url, options)
        own = importlib.import_module("sessiondex.stores.redis.url").PARAMETERS
        check_parameters(url, [*own, *_PARAMETERS])
        return _construct(redis.RedisSessionStore, rest, options)
    others = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if scheme not in others:
        known = ", ".join(f"{name}://" for name in ("memory", "sqlite", *_REDIS_SCHEMES, *sorted(others)))
        raise InvalidArgumentError("url", f"has an unknown scheme; there are {known}")
    store: SessionStore[Any] = others[scheme].load()(url, **options)
    return store


def _split_options(url: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the URL without the options it holds, and all options."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise InvalidArgumentError("url", "cannot be parsed") from None
    found, rest = dict(options), []
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _PARAMETERS:
            rest.append((name, text))
        elif name in found:
            raise InvalidArgumentError("url", f"has {name!r} twice, or it is given as an option as well; give it once")
        else:
            try:
                found[name] = _PARAMETERS[name](text)
            except (KeyError, ValueError, OverflowError):
                reason = f"has a value of {name!r} that cannot be parsed; it must be {_VALUES[_PARAMETERS[name]]}"
                raise InvalidArgumentError("url", reason) from None
    return urlunsplit(parts._replace(query=urlencode(rest))), found


def _open_file(url: str, options: dict[str, Any]) -> SessionStore[Any]:
    """Return a store with a journal. As in the URLs of other libraries, an absolute path begins with a slash more."""
    # By hand: some releases of `urlunsplit` lose a slash.
    path = url.partition("://")[2].partition("?")[0]
    rest, options = _split_options(url, options)
    if not path.startswith("/") or path.endswith("/") or "#" in url:
        raise InvalidArgumentError("url", "must be like sqlite:///sessions.db or sqlite:////var/lib/sessions.db")
    check_parameters(rest, [*_PARAMETERS])
    if "journal" in options:
        raise InvalidArgumentError("options", "sqlite:// makes its journal from the URL; leave `journal` out")
    sqlite = importlib.import_module("sessiondex.stores.sqlite")  # imported here: some builds of Python lack sqlite3
    given = {name: options.pop(name) for name in JournalOptions.__optional_keys__ if name in options}
    journal = sqlite.SQLiteJournal(unquote(path[1:]), **given)
    return _construct(InMemorySessionStore, "memory://", {**options, "journal": journal})


def _construct(cls: Any, url: str, options: dict[str, Any]) -> SessionStore[Any]:
    for name in JournalOptions.__optional_keys__:
        options.pop(name, None)  # so that a URL is all that changes
    known = {*signature(cls).parameters, *OtherOptions.__optional_keys__} - {"url", "others"}
    for name in options:
        if name not in known:
            names = ", ".join(sorted({*known, *JournalOptions.__optional_keys__}))
            raise InvalidArgumentError("options", f"there is no {name!r}; there are {names}")
    if cls is not InMemorySessionStore:
        store: SessionStore[Any] = cls(url, **options)
        return store
    check_parameters(url, [*_PARAMETERS])
    if url.lower() not in {"memory:", "memory://"}:
        names = ", ".join(_PARAMETERS)
        raise InvalidArgumentError("url", f"memory:// takes nothing but a question mark and some of {names}")
    return InMemorySessionStore(**options)
