"""Read-your-writes over any number of server processes, without a refresh per write or per read.

After each durable bulk the writer leaves a new random token per (index, organisation) in Redis. A
reader compares the token with the one it knew when it last refreshed: equal means that nothing was
written since, different means one refresh, shared by all readers that wait. Redis only saves
refreshes: a lost token reads as "changed", and a writer that can't leave a token refreshes the index
itself before it answers (docs/decisions/0001-read-your-writes.md).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from elasticsearch import AsyncElasticsearch

from app import metrics
from app.elastic.client import translate_errors
from app.errors import Unavailable
from app.redis import RedisClient, RedisGate

_TOKEN_LIFE_S = 24 * 3600
_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class _Seen:
    token: str
    generation: int


class SharedRefresh:
    """Refresh an index once for all who ask while no refresh that started after them is under way."""

    def __init__(self, refresh: Callable[[str], Awaitable[None]]) -> None:
        self._refresh = refresh
        self._running: dict[str, asyncio.Task[None]] = {}
        self._next: dict[str, asyncio.Task[None]] = {}

    async def __call__(self, index: str) -> None:
        """Return after a refresh that began no earlier than this call."""
        waiting = self._next.get(index)
        if waiting is None:
            waiting = asyncio.create_task(self._after(index, self._running.get(index)))
            self._next[index] = waiting
        # Shielded: one caller that gives up must not take the refresh from the others.
        await asyncio.shield(waiting)

    async def _after(self, index: str, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        else:
            await asyncio.sleep(0)
        task = self._next.pop(index)
        self._running[index] = task
        try:
            await self._refresh(index)
        finally:
            if self._running.get(index) is task:
                del self._running[index]


class Freshness:
    """What must be refreshed before a read. One per process."""

    def __init__(self, es: AsyncElasticsearch, redis: RedisGate, prefix: str) -> None:
        self._es = es
        self._redis = redis
        self._prefix = f"{prefix}:fresh"
        self._seen: dict[tuple[str, str], _Seen] = {}
        self.refresh = SharedRefresh(self._refresh_index)

    async def wrote(self, touched: set[tuple[str, str]]) -> None:
        """Mark (index, org_id) pairs as changed; called before the writers are answered."""
        tokens = {self._key(pair): uuid.uuid4().hex for pair in touched}

        async def leave(redis: RedisClient) -> bool:
            pipe = redis.pipeline(transaction=False)
            for key, token in tokens.items():
                pipe.set(key, token, ex=_TOKEN_LIFE_S)
            await pipe.execute()
            return True

        if not await self._redis.attempt(leave):
            await asyncio.gather(*(self.refresh(index) for index in {index for index, _ in touched}))

    async def ensure(self, index: str, org_id: str) -> str | None:
        """Make every write answered so far visible to a search of that organisation.

        Returns the token of the state that is visible at least (None while Redis is away): as long
        as it stays the same, nothing was written.
        """
        pair, generation = (index, org_id), self._redis.generation
        token = await self._redis.attempt(lambda redis: self._token(redis, pair))
        if token is None:
            await self.refresh(index)
            return None
        seen = _Seen(token, generation)
        if self._seen.get(pair) != seen or self._redis.generation != generation:
            await self.refresh(index)
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            self._seen[pair] = seen
        return token

    async def _token(self, redis: RedisClient, pair: tuple[str, str]) -> str:
        key = self._key(pair)
        token: str | None = await redis.get(key)
        if token is None:
            # Lost or never there. Leaving one before the refresh begins keeps later reads cheap.
            fresh = uuid.uuid4().hex
            created = await redis.set(key, fresh, ex=_TOKEN_LIFE_S, nx=True)
            token = fresh if created else await redis.get(key)
        return token or uuid.uuid4().hex

    def _key(self, pair: tuple[str, str]) -> str:
        return f"{self._prefix}:{pair[0]}:{pair[1]}"

    async def _refresh_index(self, index: str) -> None:
        metrics.REFRESHES.inc()
        with translate_errors("refreshing"):
            answer = await self._es.indices.refresh(index=index)
        if answer.body["_shards"]["failed"]:
            # A search of the shards that did refresh would miss what was answered as stored.
            raise Unavailable("Elasticsearch could not refresh all of its data. Send the same request again.")
