"""Stores on a Redis or Valkey server, or a cluster, under the same contract as in-process stores.

They need redis-py: `pip install "sessiondex[redis]"`.
"""

try:
    import redis as _redis  # noqa: F401  # imported here for a helpful error
except ModuleNotFoundError as error:
    if error.name != "redis":  # a broken installation says itself what is wrong
        raise
    hint = 'stores on Redis and Valkey need redis-py: pip install "sessiondex[redis]"'
    raise ModuleNotFoundError(hint, name=error.name) from error

from sessiondex.stores.redis.store import RedisSessionStore

__all__ = ["RedisSessionStore"]
