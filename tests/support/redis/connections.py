"""Count the connections that stores have open at their servers."""

from __future__ import annotations

from tests.support.redis.servers import Servers


def named(servers: Servers) -> str:
    """Return a URL that names the connections of its stores."""
    return f"{servers.url}?client_name=counted"


def connections(servers: Servers) -> int:
    """Return the number of connections with that name."""
    clients = [client for node in servers.nodes for client in node.client().client_list(_type="normal")]
    return sum(client["name"] == "counted" for client in clients)
