"""Texts to vectors.

    async with open_query_embedder(settings) as queries:      # server
        vector = await queries.embed("what did Anna say?")
    async with open_document_embedder(settings) as documents:  # worker
        for result in await documents.encode(texts): ...       # a vector or an EmbeddingFailure

Vectors may be compared only where `info.model_id` is the same. Importing this imports no model library.
"""

from app.embedding.document import DocumentEmbedder, EmbeddingFailure
from app.embedding.encoder import ModelInfo, Vector
from app.embedding.pool import describe, open_document_embedder, open_query_embedder
from app.embedding.query import QueryEmbedder

__all__ = [
    "DocumentEmbedder",
    "EmbeddingFailure",
    "ModelInfo",
    "QueryEmbedder",
    "Vector",
    "describe",
    "open_document_embedder",
    "open_query_embedder",
]
