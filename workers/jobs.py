"""The jobs. Each calls the domain and can run twice, or beside itself, without harm."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from arq import Retry

from app.container import WorkerContainer
from app.errors import Unavailable
from app.outbox import EMBED, WEBHOOKS

log = logging.getLogger(__name__)

CONTAINER = "container"
EMBEDDING = "embedding"
"""Key of the lock that keeps a worker from embedding the same episodes twice at once."""

DELIVERING = "delivering"
"""Key of the lock that keeps a worker from fanning out the same events twice at once."""

# A job is cancelled at its time-out, in the middle of a batch: it ends by itself long before.
RUN_S = 20.0
_RETRY_S = 2.0
_PURGE_RETRY_S = 60.0


async def embed_pending(ctx: dict[Any, Any]) -> int:
    """Embed until nothing is due and nobody has nudged meanwhile. Returns how many episodes were taken up.

    Raises arq's Retry to go on in a new run when there is more, or when Elasticsearch is away.
    """
    lock: asyncio.Lock = ctx[EMBEDDING]
    if lock.locked():
        # The run under way looks for nudges before it ends.
        return 0
    async with lock:
        try:
            return await _embed_all(ctx[CONTAINER])
        except Unavailable as error:
            log.warning("embedding waits for Elasticsearch", extra={"error": error.message})
            raise Retry(defer=_RETRY_S) from error


async def purge(ctx: dict[Any, Any]) -> dict[str, int]:
    """Remove for good what has had its time. Returns how many by index.

    Raises arq's Retry when Elasticsearch is away or there is more.
    """
    container: WorkerContainer = ctx[CONTAINER]
    try:
        return await housekeep(container)
    except Unavailable as error:
        log.warning("the purge waits for Elasticsearch", extra={"error": error.message})
        raise Retry(defer=_PURGE_RETRY_S) from error


async def housekeep(container: WorkerContainer) -> dict[str, int]:
    """What is done daily and soon after a worker starts: the purge, and encrypting with a new key."""
    await container.reseal.reseal()
    return await container.purge.purge()


async def _embed_all(container: WorkerContainer) -> int:
    total, began = 0, time.monotonic()
    while True:
        nudge = await container.core.outbox.last_nudge(EMBED)
        done = await container.embedding.embed_due()
        total += done.total
        if done.total == 0 and nudge == await container.core.outbox.last_nudge(EMBED):
            return total
        if time.monotonic() - began > RUN_S:
            raise Retry(defer=0)


async def deliver_webhooks(ctx: dict[Any, Any]) -> int:
    """Make deliveries of what has happened and begin to send what is due. Returns how many documents had events.

    Returns before receivers have answered. Raises arq's Retry when Elasticsearch is away, or there is more.
    """
    lock: asyncio.Lock = ctx[DELIVERING]
    if lock.locked():
        return 0
    container: WorkerContainer = ctx[CONTAINER]
    async with lock:
        try:
            return await deliver_all(container)
        except Unavailable as error:
            log.warning("webhooks wait for Elasticsearch", extra={"error": error.message})
            raise Retry(defer=_RETRY_S) from error


async def deliver_all(container: WorkerContainer) -> int:
    """Until no document has events and nobody has nudged meanwhile. Raises Retry when that takes long."""
    total, began = 0, time.monotonic()
    while True:
        nudge = await container.core.outbox.last_nudge(WEBHOOKS)
        done = await container.webhooks.fan_out()
        total += done
        await container.webhooks.deliver_due()
        if done == 0 and nudge == await container.core.outbox.last_nudge(WEBHOOKS):
            return total
        if time.monotonic() - began > RUN_S:
            raise Retry(defer=0)
