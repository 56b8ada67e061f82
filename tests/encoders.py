"""Short ways to what an encoder gives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.embedding.encoder import EncodedPassage, EncodedQuery, Encoder, Passage, Vector


def query_vector(encoder: Encoder, text: str) -> Vector:
    """Shape (dims,)."""
    return encoder.encode_query(text).vector


def vectors(encoder: Encoder, texts: Sequence[str]) -> Vector:
    """Of texts without a context, shape (n, dims)."""
    return np.stack([encoded.vector for encoded in encoder.encode_documents(list(map(Passage, texts)))])


def whole(vector: Vector) -> EncodedQuery:
    """A query that has a vector alone."""
    return EncodedQuery(vector, np.empty((0, len(vector)), dtype=np.float32))


class OneVector:
    """Base of an encoder for which all texts are whole: says how by `vector`."""

    def vector(self, text: str) -> Vector:
        """Shape (dims,)."""
        raise NotImplementedError

    def encode_query(self, text: str) -> EncodedQuery:
        return whole(self.vector(text))

    def encode_documents(self, passages: Sequence[Passage]) -> list[EncodedPassage]:
        return [EncodedPassage(self.vector(passage.text)) for passage in passages]
