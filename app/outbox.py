"""What is due is a field of the document that caused it; this only wakes the workers.

A nudge may be lost, doubled, or come when nothing is due: workers look into Elasticsearch, and sweep
it every few seconds anyway. So a nudge never fails a request and no request waits for it.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import orjson
from arq.connections import ArqRedis

from app.redis import RedisClient, RedisGate

EMBED = "embed_pending"
WEBHOOKS = "deliver_webhooks"

_NUDGE_LIFE_S = 600
# Under load each nudge would be followed by the next; workers that are awake look again by themselves.
_REST_S = 0.025


def queue_name(prefix: str) -> str:
    """The arq queue of the installation with this index prefix."""
    return f"{prefix}:jobs"


def job_to_bytes(job: dict[str, Any]) -> bytes:
    """JSON instead of arq's pickle: what comes out of Redis must not be able to run."""
    return orjson.dumps(job)


class Outbox:
    """Nudges by job name. The first is sent at once; those that come while it is being sent, or within 25 ms
    after it, become a single next one."""

    def __init__(self, gate: RedisGate, prefix: str) -> None:
        self._gate = gate
        self._prefix = prefix
        self._queue = ArqRedis(
            gate.client.connection_pool,
            job_serializer=job_to_bytes,
            job_deserializer=orjson.loads,
            default_queue_name=queue_name(prefix),
        )
        self._again: set[str] = set()
        self._sending: dict[str, asyncio.Task[None]] = {}

    def nudge(self, job: str) -> None:
        """Wake a worker for `job` soon. Returns at once, whatever Redis does."""
        if job in self._sending:
            self._again.add(job)
            return
        task = asyncio.create_task(self._send(job))
        self._sending[job] = task
        task.add_done_callback(lambda _: self._sent(job))

    async def last_nudge(self, job: str) -> str | None:
        """Changes with every nudge; a job that sees it change before it ends looks once more."""

        async def read(redis: RedisClient) -> str | None:
            value: str | None = await redis.get(self._mark(job))
            return value

        return await self._gate.attempt(read)

    async def close(self) -> None:
        """Finish what is being sent."""
        while self._sending:
            await asyncio.wait(list(self._sending.values()))

    def _sent(self, job: str) -> None:
        del self._sending[job]
        if job in self._again:
            self._again.discard(job)
            self.nudge(job)

    async def _send(self, job: str) -> None:
        async def send(redis: RedisClient) -> bool:
            await redis.set(self._mark(job), uuid.uuid4().hex, ex=_NUDGE_LIFE_S)
            # One id per job: a nudge for work that waits already is dropped by arq itself.
            await self._queue.enqueue_job(job, _job_id=f"{self._prefix}:{job}")
            return True

        await self._gate.attempt(send)
        await asyncio.sleep(_REST_S)

    def _mark(self, job: str) -> str:
        return f"{self._prefix}:nudge:{job}"
