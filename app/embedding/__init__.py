"""Texts to vectors.

    async with open_query_embedder(settings) as queries:      # server
        query = await queries.embed("what did Anna say?")
    async with open_document_embedder(settings) as documents:  # worker
        for result in await documents.encode(passages): ...    # encoded, or an EmbeddingFailure

Vectors may be compared only where `info.model_id` is the same. Importing this imports no model library.
"""

from app.embedding.document import DocumentEmbedder, EmbeddingFailure
from app.embedding.encoder import EncodedPassage, EncodedQuery, ModelInfo, Passage, Vector
from app.embedding.pool import describe, open_document_embedder, open_query_embedder
from app.embedding.query import QueryEmbedder

__all__ = [
    "DocumentEmbedder",
    "EmbeddingFailure",
    "EncodedPassage",
    "EncodedQuery",
    "ModelInfo",
    "Passage",
    "QueryEmbedder",
    "Vector",
    "describe",
    "open_document_embedder",
    "open_query_embedder",
]
