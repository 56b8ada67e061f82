"""Rate limits: token buckets in Redis, which all server processes share.

Kept as one time per bucket, the generic cell rate algorithm (ITU-T I.371, annex A): the moment at which
the bucket would be full again. Redis' own clock counts, so that servers' clocks may differ.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import NoScriptError

from app.redis import RedisClient, RedisGate

log = logging.getLogger(__name__)

_TOLD_EVERY_S = 60.0

# All buckets of a request are looked at before any is drawn from: a refused request costs nothing.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local full, refused = {}, -1
for i, key in ipairs(KEYS) do
  local size = tonumber(ARGV[i])
  local each = 60000000 / size
  local at = math.max(tonumber(redis.call('GET', key) or now), now) + each
  full[i] = at
  refused = math.max(refused, at - 60000000 - now)
end
local tightest, tightest_size, reset = nil, 0, 0
for i, key in ipairs(KEYS) do
  local size = tonumber(ARGV[i])
  local each = 60000000 / size
  if refused <= 0 then
    redis.call('SET', key, string.format('%.0f', full[i]), 'PX', math.ceil((full[i] - now) / 1000) + 1000)
  else
    full[i] = full[i] - each
  end
  local left = math.max(0, math.floor((60000000 - (full[i] - now)) / each))
  if tightest == nil or left < tightest then
    tightest, reset, tightest_size = left, full[i] - now, size
  end
end
return {refused <= 0 and 1 or 0, tightest_size, tightest, math.ceil(reset), math.ceil(math.max(0, refused))}
"""


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is counted. per_minute: tokens that it holds, and that flow in within a minute; one is taken a time."""

    name: str
    per_minute: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of the bucket with the fewest tokens. reset_s: until it is full. retry_s: until a refused one may come back."""

    allowed: bool
    limit: int
    remaining: int
    reset_s: float
    retry_s: float


class RateLimiter:
    """unchecked: requests that were let through because Redis was away."""

    def __init__(self, redis: RedisGate, prefix: str) -> None:
        self._redis = redis
        self._prefix = f"{prefix}:limit"
        self._sha: str | None = None
        self.unchecked = 0
        self._told = 0.0

    async def take(self, buckets: Sequence[Bucket]) -> Verdict | None:
        """Take a token of each bucket, or none where one is empty. Buckets of 0 a minute don't limit.

        None: nothing limits, or Redis is away. A limit protects the service from its users; losing it for
        as long as Redis is away costs less than refusing everyone.
        """
        limiting = [bucket for bucket in buckets if bucket.per_minute > 0]
        if not limiting:
            return None
        keys = [f"{self._prefix}:{bucket.name}" for bucket in limiting]
        sizes = [bucket.per_minute for bucket in limiting]
        answer = await self._redis.attempt(lambda redis: self._run(redis, keys, sizes))
        if answer is None:
            self._let_through()
            return None
        if self.unchecked:
            log.warning("requests were not limited while Redis was away", extra={"requests": self.unchecked})
            self.unchecked = 0
        allowed, limit, remaining, reset_us, retry_us = answer
        return Verdict(bool(allowed), limit, remaining, reset_us / 1e6, retry_us / 1e6)

    def _let_through(self) -> None:
        """Count, and say so at the first and once a minute: an outage must not go unseen, nor fill the log."""
        self.unchecked += 1
        now = time.monotonic()
        if self.unchecked == 1 or now - self._told >= _TOLD_EVERY_S:
            self._told = now
            log.warning("Redis is away: requests are not limited", extra={"requests": self.unchecked})

    async def _run(self, redis: RedisClient, keys: Sequence[str], sizes: Sequence[int]) -> list[Any]:
        arguments: list[Any] = [len(keys), *keys, *sizes]
        if self._sha is None:
            self._sha = await redis.script_load(_TAKE)
        try:
            found: Any = await redis.evalsha(self._sha, *arguments)  # type: ignore[misc]
        except NoScriptError:
            # Redis was restarted or flushed.
            found = await redis.eval(_TAKE, *arguments)  # type: ignore[misc]
        return list(found)
