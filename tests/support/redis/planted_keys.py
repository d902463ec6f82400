"""Plant a value of a foreign type under a key, and restore the key afterwards."""

from __future__ import annotations

from redis.exceptions import MovedError

from tests.support.redis.servers import OneServer, Servers


class Planted:
    """Plants a list under the key, until `take_out` restores the key."""

    def __init__(self, servers: Servers, key: bytes) -> None:
        (self.client,) = [node.client() for node in servers.nodes if _has_slot(node, key)]
        self.key = key
        self.before: bytes | None = self.client.dump(key)
        self.client.delete(key)
        self.client.lpush(key, "planted")

    def take_out(self) -> None:
        self.client.delete(self.key)
        if self.before is not None:
            self.client.restore(self.key, 0, self.before)


def has_key(node: OneServer, key: bytes) -> bool:
    """Return whether the node serves the key's slot and has the key."""
    return _has_slot(node, key) and bool(node.client().exists(key))


def _has_slot(node: OneServer, key: bytes) -> bool:
    try:
        node.client().type(key)
    except MovedError:
        return False
    return True
