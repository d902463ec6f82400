"""Stores on a Redis or Valkey server, or a cluster, under the same contract as in-process stores.

They need redis-py: `pip install "sessiondex[redis]"`.
"""

try:
    import redis as _redis  # noqa: F401  # imported here for a helpful error
except ImportError as error:
    raise ImportError('stores on Redis and Valkey need redis-py: pip install "sessiondex[redis]"') from error

from sessiondex.stores.redis.store import RedisSessionStore

__all__ = ["RedisSessionStore"]
