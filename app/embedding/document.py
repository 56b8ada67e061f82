"""Vectors of episodes for the worker: a batch in which one bad text fails alone."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.embedding.encoder import AsyncEncoder, EncodingError, ModelInfo, Vector

logger = logging.getLogger(__name__)

# A failed episode stores it; a library's message may carry the whole text.
_REASON_CHARS = 500


@dataclass(frozen=True, slots=True)
class EmbeddingFailure:
    """Why one text has no vector."""

    reason: str


class DocumentEmbedder:
    """Vectors of stored texts by one model."""

    def __init__(self, encoder: AsyncEncoder) -> None:
        self._encoder = encoder

    @property
    def info(self) -> ModelInfo:
        """Identity, size and scale of the model."""
        return self._encoder.info

    async def encode(self, texts: Sequence[str]) -> list[Vector | EmbeddingFailure]:
        """For each text its vector of shape (dims,), or why it has none.

        When a batch fails each of its texts is tried alone. Raises EngineError when the model can't be had:
        then no text is to blame, and all may be sent again later.
        """
        if not texts:
            return []
        try:
            vectors = await self._encoder.encode_documents(texts)
        except EncodingError as error:
            logger.warning("a batch could not be embedded", extra={"texts": len(texts), "reason": str(error)})
            if len(texts) == 1:
                return [EmbeddingFailure(str(error)[:_REASON_CHARS])]
            return [result for text in texts for result in await self.encode([text])]
        return [_checked(vector) for vector in vectors]

    async def close(self) -> None:
        """Close the encoder."""
        await self._encoder.close()


def _checked(vector: Vector) -> Vector | EmbeddingFailure:
    # Elasticsearch refuses it, and with it the whole bulk item.
    if not np.isfinite(vector).all():
        return EmbeddingFailure("the model gave a vector that isn't finite")
    return vector
