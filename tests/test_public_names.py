"""The names at the top of the package, with and without the extra `redis`."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import sessiondex
from sessiondex import RedisSessionStore, Session, SessionStore
from sessiondex.stores import redis

HINT = 'stores on Redis and Valkey need redis-py: pip install "sessiondex[redis]"'


def run(program: str) -> str:
    """Run the program in a process of its own, and return what it prints."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)  # noqa: S603  # our own program

    assert done.returncode == 0, done.stderr
    return done.stdout


def test_with_the_extra_it_is_the_class_itself() -> None:
    namespace: dict[str, Any] = {}
    exec("from sessiondex import *", namespace)  # noqa: S102  # as a user does

    assert RedisSessionStore is redis.RedisSessionStore is namespace["RedisSessionStore"]
    assert set(sessiondex.__all__) <= set(dir(sessiondex))
    assert not hasattr(sessiondex, "RedisStore")


def test_importing_sessiondex_does_not_import_redis_py() -> None:
    program = """if True:
        import sys, sessiondex
        before = "redis" in sys.modules
        sessiondex.RedisSessionStore
        print(before, "redis" in sys.modules)
    """

    assert run(program) == "False True\n"


def test_without_the_extra_only_making_a_store_fails() -> None:
    """The class can be imported, subclassed and compared with; a store that is made says what to install."""
    program = """if True:
        import sys
        sys.modules["redis"] = None  # as if it were not installed
        import sessiondex
        from sessiondex import *

        class Ticket(Session): ...
        class Mine(RedisSessionStore[Ticket]): ...

        assert RedisSessionStore is sessiondex.RedisSessionStore
        assert issubclass(RedisSessionStore, SessionStore)
        assert not isinstance(InMemorySessionStore(), RedisSessionStore)
        for make in (RedisSessionStore, RedisSessionStore[Ticket], Mine, open_store):
            try:
                make("redis://localhost", idle_ttl=None)
            except ImportError as error:
                print(error)
    """

    assert run(program) == f"{HINT}\n" * 4


def test_a_broken_redis_py_is_no_missing_one() -> None:
    """Its own error is raised: the hint would mislead."""
    program = """if True:
        import sys
        sys.modules["redis.asyncio"] = None
        try:
            from sessiondex import RedisSessionStore
        except ImportError as error:
            print(error)
    """

    assert "redis.asyncio" in run(program)


def test_the_class_is_generic() -> None:
    class Ticket(Session):
        session_type = "ticket"
        priority: int = 0

    store: SessionStore[Ticket] = RedisSessionStore[Ticket]("redis://localhost", session_classes=[Ticket])

    assert isinstance(store, RedisSessionStore)
