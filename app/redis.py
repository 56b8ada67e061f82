"""Redis behind a gate: short time-outs, and no waiting at all for a while after a failure.

Nothing in Redis is needed to be right, so every call here has an answer for when it is away.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import redis.asyncio as aioredis
from redis.exceptions import RedisError

from app import metrics

log = logging.getLogger(__name__)
T = TypeVar("T")
RedisClient = aioredis.Redis

_REST_AFTER_FAILURE_S = 1.0
_UVLOOP_CLOSED = "the handler is closed"


def is_absence(error: BaseException) -> bool:
    """Whether an error of the client means that Redis is away. uvloop says by a RuntimeError that the other end has
    closed a connection between two writes, and the client passes it on."""
    closed = isinstance(error, RuntimeError) and _UVLOOP_CLOSED in str(error)
    return closed or isinstance(error, (RedisError, OSError))


class RedisGate:
    """One pool of connections. `generation` rises with each connection that is opened.

    A Redis that restarted or failed over may answer with older data than it had; such an answer
    always comes over a connection opened afterwards, so whoever remembers something about Redis'
    contents keeps the generation beside it.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self.generation = 0
        self._closed_until = 0.0
        self.client: aioredis.Redis = aioredis.Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            decode_responses=True,
            redis_connect_func=self._connected,
        )

    async def _connected(self, connection: Any) -> None:
        self.generation += 1
        await connection.on_connect()

    async def attempt(self, work: Callable[[RedisClient], Awaitable[T]]) -> T | None:
        """The result of `work(client)`, or None when Redis is away. Never raises for its absence."""
        if time.monotonic() < self._closed_until:
            return None
        try:
            return await work(self.client)
        except Exception as error:
            if not is_absence(error):
                raise
            self._closed_until = time.monotonic() + _REST_AFTER_FAILURE_S
            metrics.REDIS_FAILURES.inc()
            log.warning("Redis did not answer; going on without it", extra={"error": repr(error)})
            return None

    async def ping(self) -> bool:
        """Whether Redis answers now; asks even while the gate is closed."""
        try:
            await self.client.ping()
        except Exception as error:
            if not is_absence(error):
                raise
            return False
        self._closed_until = 0.0
        return True


@asynccontextmanager
async def open_redis(url: str, timeout_s: float) -> AsyncIterator[RedisGate]:
    """A gate that is closed at the end."""
    gate = RedisGate(url, timeout_s)
    try:
        yield gate
    finally:
        await gate.client.aclose()
