"""Sessions on a Redis or Valkey server, or a cluster of them, under the same contract.

It needs redis-py, which `pip install "sessiondex[redis]"` brings.
"""

try:
    import redis as _redis  # noqa: F401  # whether it is there
except ImportError as error:
    raise ImportError('stores on Redis and Valkey need redis-py: pip install "sessiondex[redis]"') from error

from sessiondex.stores.redis.store import RedisSessionStore

__all__ = ["RedisSessionStore"]
