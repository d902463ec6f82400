"""Sessions on a Redis or Valkey server, or a cluster of them, under the same contract.

It needs redis-py, which `pip install "sessiondex[redis]"` brings.
"""

from sessiondex.stores.redis.store import RedisSessionStore

__all__ = ["RedisSessionStore"]
