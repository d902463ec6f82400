"""URLs of Redis and Valkey servers: where they are, and nothing of it that may be shown by mistake."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

from redis.asyncio.connection import parse_url

from sessiondex.errors import InvalidArgumentError
from sessiondex.stores import arguments as check
from sessiondex.stores.redis.server import Address

SCHEMES = {
    "redis": "redis",
    "rediss": "rediss",
    "valkey": "redis",
    "valkeys": "rediss",
    "redis+cluster": "redis",
    "rediss+cluster": "rediss",
    "valkey+cluster": "redis",
    "valkeys+cluster": "rediss",
}
"""Each scheme, and what redis-py calls it."""

PARAMETERS = (
    "client_name",
    "ssl_ca_certs",
    "ssl_certfile",
    "ssl_check_hostname",
    "ssl_keyfile",
    "ssl_min_version",
)
"""What may stand behind the question mark, for redis-py: who is connected, and files and terms of TLS."""

_PORT = 6379


def address_of(url: str, *, timeout: float = 5.0, max_connections: int = 50) -> Address:
    """Return where that is.

    >>> address_of("valkey://:secret@db.example.org/1").host
    'db.example.org:6379'

    Raises:
        InvalidArgumentError: the URL is none, or has parts that it cannot have.
    """
    url = check.exact_text("url", url)
    check.seconds("timeout", timeout)
    if not timeout:
        raise InvalidArgumentError("timeout", "must be more than 0, in seconds")
    check.at_least("max_connections", max_connections, 1, "each serves one call at a time")
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES:
        raise InvalidArgumentError("url", f"must begin with one of {', '.join(f'{name}://' for name in SCHEMES)}")
    options: dict[str, Any] = {}
    try:
        parts = urlsplit(url)
        options |= {"host": parts.hostname or "localhost", "port": parts.port or _PORT}
        options |= dict(parse_url(f"{SCHEMES[scheme]}://{rest}"))
    except ValueError:
        parts = None
    if parts is None:  # out here, so as to have no context: what others say of a URL may show the password in it
        raise InvalidArgumentError("url", "must be like redis://user:password@host:6379/0; percent-encode the password")
    for name, _ in parse_qsl(parts.query, keep_blank_values=True):
        if name not in PARAMETERS:
            raise InvalidArgumentError("url", f"has no parameter {name!r}; there are {', '.join(PARAMETERS)}")
    is_cluster = scheme.endswith("+cluster")
    database = parts.path.strip("/")
    if database and (is_cluster or not database.isdecimal()):
        raise InvalidArgumentError(
            "url",
            "a cluster has one database: leave the path out" if is_cluster else "the path is a number, of a database",
        )
    return Address(f"{options['host']}:{options['port']}", options, is_cluster, float(timeout), max_connections)
