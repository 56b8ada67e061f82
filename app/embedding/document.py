"""Episodes encoded for the worker: a batch in which one bad text fails alone."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.embedding.encoder import AsyncEncoder, EncodedPassage, EncodingError, ModelInfo, Passage

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

    async def encode(self, passages: Sequence[Passage]) -> list[EncodedPassage | EmbeddingFailure]:
        """For each text what it is found by, or why it can't be.

        When a batch fails each of its texts is tried alone. Raises EngineError when the model can't be had:
        then no text is to blame, and all may be sent again later.
        """
        if not passages:
            return []
        try:
            encoded = await self._encoder.encode_documents(passages)
        except EncodingError as error:
            logger.warning("a batch could not be embedded", extra={"texts": len(passages), "reason": str(error)})
            if len(passages) == 1:
                return [EmbeddingFailure(str(error)[:_REASON_CHARS])]
            return [result for passage in passages for result in await self.encode([passage])]
        return [_checked(one) for one in encoded]

    async def close(self) -> None:
        """Close the encoder."""
        await self._encoder.close()


def _checked(encoded: EncodedPassage) -> EncodedPassage | EmbeddingFailure:
    # Elasticsearch refuses it, and with it the whole bulk item.
    if not np.isfinite(encoded.vector).all():
        return EmbeddingFailure("the model gave a vector that isn't finite")
    return encoded
