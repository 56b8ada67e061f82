"""The jobs. Each calls the domain and can run twice, or beside itself, without harm."""

from __future__ import annotations

import logging
from typing import Any

from arq import Retry

from app.container import WorkerContainer
from app.errors import Unavailable
from app.outbox import EMBED

log = logging.getLogger(__name__)

CONTAINER = "container"
_RETRY_S = 2.0


async def embed_pending(ctx: dict[Any, Any]) -> int:
    """Embed until nothing is due and nobody has nudged meanwhile. Returns how many episodes were taken up."""
    container: WorkerContainer = ctx[CONTAINER]
    total = 0
    try:
        while True:
            nudge = await container.core.outbox.last_nudge(EMBED)
            done = await container.embedding.embed_due()
            total += done.total
            if done.total == 0 and nudge == await container.core.outbox.last_nudge(EMBED):
                return total
    except Unavailable as error:
        log.warning("embedding waits for Elasticsearch", extra={"error": error.message})
        raise Retry(defer=_RETRY_S) from error
