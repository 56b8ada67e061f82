"""Embedding copies by another model, before they are what searches read.

A copy keeps its version, so one that is older than what has been copied meanwhile is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from datetime import timedelta

from elasticsearch import AsyncElasticsearch

from app.elastic import pit
from app.elastic.client import item_error, translate_errors
from app.embedding import DocumentEmbedder, EmbeddingFailure, EncodedPassage, Passage
from app.episodes.embedded import ready
from app.reindex.copying import Change
from app.types import JsonObject, iso, utc_now

FIELDS = (
    "embedding_status",
    "embedding_model",
    "embedding_form",
    "embedding_generated_at",
    "embedding_due_at",
    "embedding_attempts",
    "embedding_error",
    "token_codes",
    "speaker",
    "is_question",
)
"""What differs between an episode and its copy for another model, beside the vectors."""

_SCRIPT = """
if (ctx._source.embedding_status == 'ready') {
    ctx._source.embedding_status = 'pending';
    ctx._source.embedding_due_at = params.now;
    ctx._source.embedding_attempts = 0;
}
ctx._source.embedding_model = null;
ctx._source.embedding_generated_at = null;
ctx._source.embedding_form = null;
ctx._source.remove('content_vector');
ctx._source.remove('context_vector');
ctx._source.remove('token_codes');
"""

_PENDING: JsonObject = {"term": {"embedding_status": "pending"}}
_BATCH = 64
_AGAIN = timedelta(minutes=10)


def without_what_was() -> Change:
    """What an episode of an earlier release becomes in an index of this one, which lacks a field of it."""
    return Change("ctx._source.remove('content_vector')", {})


def without_vectors() -> Change:
    """What an episode becomes where another model is to embed it."""
    return Change(_SCRIPT, {"now": iso(utc_now())})


class Reembedder:
    """Embeds what in an index has lost its vectors by `without_vectors`. What never had any is left to the workers."""

    def __init__(self, es: AsyncElasticsearch, index: str, embedder: DocumentEmbedder) -> None:
        self._es = es
        self._index = index
        self._embedder = embedder

    async def pending(self) -> int:
        """How many a search finds that have none. Raises Unavailable."""
        with translate_errors("counting"):
            answer = await self._es.count(index=self._index, query=_PENDING)
        return int(answer.body["count"])

    async def embed(self, done: Callable[[int], None]) -> int:
        """All that there is now; returns how many. done: told how many after each batch. Raises Unavailable,
        EngineError."""
        with translate_errors("refreshing"):
            await self._es.indices.refresh(index=self._index)
        body = {"query": _PENDING, "sort": [{"_shard_doc": "asc"}], "version": True, "source": True}
        total = 0
        pages = pit.pages(self._es, index=self._index, routing=None, body=body, max_rows=_BATCH)
        async with aclosing(pages):
            async for page in pages:
                hits = [hit for hit in page["hits"]["hits"] if hit["_source"].get("context") is not None]
                await self._batch(hits)
                total += len(hits)
                done(total)
        return total

    async def _batch(self, hits: Sequence[JsonObject]) -> None:
        if not hits:
            return
        passages = [Passage(hit["_source"]["content"], hit["_source"]["context"]) for hit in hits]
        operations: list[JsonObject] = []
        for hit, passage, encoded in zip(hits, passages, await self._embedder.encode(passages), strict=True):
            head = {"_index": self._index, "_id": hit["_id"], "routing": hit["_routing"]}
            head |= {"version": hit["_version"], "version_type": "external_gte"}
            operations += [{"index": head}, hit["_source"] | self._outcome(passage, encoded)]
        with translate_errors("saving vectors"):
            answer = await self._es.bulk(operations=operations)
        for item in answer.body["items"]:
            # 409: what has been copied meanwhile is newer, and its turn comes.
            if item["index"]["status"] not in (200, 201, 409):
                raise item_error(item["index"]["error"], "saving vectors", item["index"]["status"])

    def _outcome(self, passage: Passage, encoded: EncodedPassage | EmbeddingFailure) -> JsonObject:
        if isinstance(encoded, EmbeddingFailure):
            again = iso(utc_now() + _AGAIN)
            return {"embedding_status": "failed", "embedding_error": encoded.reason, "embedding_due_at": again}
        return ready(encoded, passage.text, self._embedder.info.model_id)
