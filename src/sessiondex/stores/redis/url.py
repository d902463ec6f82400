"""Parse the URLs of Redis and Valkey servers. No error shows the URL, which may contain a password."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from redis.asyncio.connection import parse_url

from sessiondex.arguments import check_min, check_parameters, check_seconds, check_text
from sessiondex.errors import InvalidArgumentError
from sessiondex.stores.redis.client import Address

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
"""Each scheme, and the name that redis-py gives it."""

PARAMETERS = (
    "client_name",
    "ssl_ca_certs",
    "ssl_certfile",
    "ssl_check_hostname",
    "ssl_keyfile",
    "ssl_min_version",
)
"""Query parameters that go to redis-py: the name of the client, and the settings of TLS."""

_DEFAULT_PORT = 6379


def address_of(url: str, *, timeout: float = 5.0, max_connections: int = 50) -> Address:
    """Parse the URL, and return the server's address and connection options.

    >>> address_of("valkey://:secret@db.example.org/1").host
    'db.example.org:6379'

    Raises:
        InvalidArgumentError: the URL is invalid, has an unknown parameter, or names a database of a cluster.
    """
    url = check_text("url", url)
    check_seconds("timeout", timeout)
    if not timeout:
        raise InvalidArgumentError("timeout", "must be more than 0 seconds")
    check_min("max_connections", max_connections, 1, "each serves one call at a time")
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES:
        raise InvalidArgumentError("url", f"must begin with one of {', '.join(f'{name}://' for name in SCHEMES)}")
    options: dict[str, Any] = {}
    try:
        parts = urlsplit(url)
        options |= {"host": parts.hostname or "localhost", "port": parts.port or _DEFAULT_PORT}
        options |= dict(parse_url(f"{SCHEMES[scheme]}://{rest}"))
    except ValueError:
        parts = None
    # Raised here, without the ValueError as its context: that may show the password. A fragment is what follows a "#"
    # in a password or option that is not percent-encoded.
    if parts is None or parts.fragment:
        advice = "percent-encode the password and options"
        raise InvalidArgumentError("url", f"must be like redis://user:password@host:6379/0; {advice}")
    check_parameters(url, PARAMETERS)
    is_cluster = scheme.endswith("+cluster")
    database = parts.path.strip("/")
    if database and (is_cluster or not database.isdecimal()):
        raise InvalidArgumentError(
            "url",
            "a cluster has one database: leave the path out"
            if is_cluster
            else "the path must be the number of a database",
        )
    return Address(f"{options['host']}:{options['port']}", options, is_cluster, float(timeout), max_connections)
