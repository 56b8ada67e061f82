"""Query vectors for the server: remembered, computed once for all who ask at the same time, bounded."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict

import numpy as np

from app import metrics
from app.embedding.encoder import AsyncEncoder, EncodedQuery, EncodingError, ModelInfo
from app.errors import EngineError, Unavailable

logger = logging.getLogger(__name__)

# At 7 ms each these are two seconds of work: whoever comes later had better come again.
MAX_WAITING = 256
WAIT_TIMEOUT_S = 5.0


class QueryEmbedder:
    """Encodes search queries with one model; an LRU cache of `cache_size` (some 20 KB each) in front of it.

    Queries aren't batched: an int8 vector depends a little on what else is in its run, and a query's pages
    must come from one and the same vector.
    """

    def __init__(self, encoder: AsyncEncoder, cache_size: int) -> None:
        self._encoder = encoder
        self._cache_size = cache_size
        self._cache: OrderedDict[bytes, EncodedQuery] = OrderedDict()
        self._running: dict[bytes, asyncio.Task[EncodedQuery]] = {}

    @property
    def info(self) -> ModelInfo:
        """Identity, size and scale of the model."""
        return self._encoder.info

    async def embed(self, text: str) -> EncodedQuery:
        """The query's vector and tokens, read-only.

        Raises Unavailable when too many queries wait, when it takes over five seconds, or the model fails.
        """
        # One embedder has one model, so the text is the key; hashed, for it may be long and private.
        key = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
        if (known := self._cache.get(key)) is not None:
            self._cache.move_to_end(key)
            metrics.QUERY_VECTORS.labels("cache").inc()
            return known
        metrics.QUERY_VECTORS.labels("model").inc()
        task = self._running.get(key) or self._start(key, text)
        try:
            # Shielded: the one who asked first may go away, the others still wait for it.
            return await asyncio.wait_for(asyncio.shield(task), WAIT_TIMEOUT_S)
        except TimeoutError:
            raise Unavailable(
                "The search query could not be embedded in time: send it again.", code="EMBEDDING_SLOW"
            ) from None
        except (EncodingError, EngineError) as error:
            raise Unavailable(
                "The search query could not be embedded: send it again; the server's log says why.",
                code="EMBEDDING_FAILED",
            ) from error

    async def close(self) -> None:
        """Cancel what runs and close the encoder."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._encoder.close()

    def _start(self, key: bytes, text: str) -> asyncio.Task[EncodedQuery]:
        if len(self._running) >= MAX_WAITING:
            raise Unavailable("Too many searches are waiting: send it again.", code="EMBEDDING_BUSY")
        task = asyncio.create_task(self._compute(key, text))
        self._running[key] = task
        task.add_done_callback(lambda done: self._finished(key, done))
        return task

    def _finished(self, key: bytes, task: asyncio.Task[EncodedQuery]) -> None:
        del self._running[key]
        # Asked for here too, because all who waited may have gone.
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a search query could not be embedded", exc_info=error)

    async def _compute(self, key: bytes, text: str) -> EncodedQuery:
        with metrics.timed(metrics.QUERY_EMBEDDING):
            encoded = await self._encoder.encode_query(text)
        if not (np.isfinite(encoded.vector).all() and np.isfinite(encoded.tokens).all()):
            raise EncodingError("the model gave a vector that isn't finite")
        encoded.vector.setflags(write=False)
        encoded.tokens.setflags(write=False)
        if self._cache_size:
            self._cache[key] = encoded
            if len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)
        return encoded
