"""Embedding what is due: each text read in its context, saved in one guarded bulk.

An episode is remembered with what was said before it: an answer alone rarely says what it answers
(docs/decisions/0005-context-vectors.md).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from app import metrics
from app.elastic.index import Document
from app.embedding import DocumentEmbedder, EmbeddingFailure, EncodedPassage, Passage
from app.episodes.due import DueStore, Said
from app.episodes.embedded import ready
from app.types import JsonObject, iso, utc_now

log = logging.getLogger(__name__)

CONTEXT_TURNS = 2
CONTEXT_TOKENS = 400
_MODEL_TOKENS = 480
"""What an episode and its context may have together: the models read 512, a few are marks."""
_CHARS_PER_TOKEN = 4
_RETRY_BASE_S = 10.0
_RETRY_MAX_S = 3600.0
_REASON_MAX_CHARS = 300


@dataclass(frozen=True, slots=True)
class Embedded:
    """What one round did."""

    ready: int
    failed: int
    skipped: int

    @property
    def total(self) -> int:
        """Episodes that were taken up."""
        return self.ready + self.failed + self.skipped


Look = Callable[[Sequence[Document]], Awaitable[object]]


class EmbeddingService:
    """Takes due episodes in batches. embedder: gives the one to use now. look: what else is to be done when episodes
    are taken up; they stay due until it is. batch: episodes a round. max_attempts: tries before one stays failed."""

    def __init__(
        self, due: DueStore, embedder: Callable[[], DocumentEmbedder], look: Look, *, batch: int, max_attempts: int
    ) -> None:
        self._due = due
        self._look = look
        self.embedder = embedder
        self._batch = batch
        self._max_attempts = max_attempts

    async def embed_due(self) -> Embedded:
        """Embed one batch. Safe to run twice and beside itself: a state that has changed is not overwritten."""
        embedder = self.embedder()
        documents = await self._due.due(embedder.info.model_id, self._batch)
        if not documents:
            return Embedded(0, 0, 0)
        await self._look(documents)
        before = await self._due.said_before(documents, CONTEXT_TURNS)
        contexts = [
            context_of(said, document.source["token_count"]) for document, said in zip(documents, before, strict=True)
        ]
        passages = [
            Passage(document.source["content"], context) for document, context in zip(documents, contexts, strict=True)
        ]
        with metrics.timed(metrics.EMBEDDING):
            encoded = await embedder.encode(passages)
        outcomes = [
            (document, self._outcome(document, passage, said, one, embedder.info.model_id))
            for document, passage, said, one in zip(documents, passages, before, encoded, strict=True)
        ]
        saved = await self._due.save(outcomes)
        await self._forget_again(outcomes)
        log.debug(
            "embedded",
            extra={
                "episodes": len(documents),
                "request_ids": sorted({document.source.get("request_id") or "" for document in documents} - {""}),
            },
        )
        failed = sum(changes["embedding_status"] == "failed" for _, changes in outcomes)
        done = Embedded(max(0, saved.written - failed), failed, saved.skipped)
        for outcome, count in (("ready", done.ready), ("failed", done.failed), ("skipped", done.skipped)):
            metrics.EMBEDDED.labels(outcome).inc(count)
        return done

    async def _forget_again(self, outcomes: Sequence[tuple[Document, JsonObject]]) -> None:
        """What was deleted between reading and saving must not live on in a context: who deletes it
        clears the contexts that are there at that moment, and these were not yet."""
        sources = {
            source: document.source["org_id"]
            for document, changes in outcomes
            for source in changes.get("context_of") or ()
        }
        if gone := await self._due.gone(sources):
            await self._due.drop_contexts(gone)

    def _outcome(
        self,
        document: Document,
        passage: Passage,
        said: Sequence[Said],
        encoded: EncodedPassage | EmbeddingFailure,
        model_id: str,
    ) -> JsonObject:
        if isinstance(encoded, EmbeddingFailure):
            return self._failure(document, encoded.reason)
        return ready(encoded, passage.text, model_id) | {
            "context": passage.context,
            "context_of": [turn.episode_id for turn in said] if passage.context else None,
        }

    def _failure(self, document: Document, reason: str) -> JsonObject:
        attempts = document.source["embedding_attempts"] + 1
        log.warning(
            "an episode could not be embedded",
            extra={
                "episode_id": document.id,
                "request_id": document.source.get("request_id"),
                "attempts": attempts,
                "reason": reason[:_REASON_MAX_CHARS],
            },
        )
        again = attempts < self._max_attempts
        return {
            "embedding_status": "failed",
            # Vectors are never read back, so this write drops those of an earlier model: a search by
            # that model must not look for them.
            "embedding_model": None,
            "embedding_form": None,
            "embedding_generated_at": None,
            "embedding_error": reason[:_REASON_MAX_CHARS],
            "embedding_attempts": attempts,
            "embedding_due_at": iso(utc_now() + retry_delay(attempts)) if again else None,
        }


def retry_delay(attempts: int) -> timedelta:
    """10 s after the first failure, doubled with each further one, an hour at most."""
    # Bounded before it is doubled: a thousand attempts would be more than a double holds.
    doublings = min(attempts - 1, math.ceil(math.log2(_RETRY_MAX_S / _RETRY_BASE_S)))
    return timedelta(seconds=min(_RETRY_MAX_S, _RETRY_BASE_S * 2**doublings))


def context_of(said: Sequence[Said], own_tokens: int) -> str:
    """The turns before, oldest first, cut from the front so that the own text still fits the model.

    own_tokens: of the episode itself, which is always kept whole.
    """
    budget = _CHARS_PER_TOKEN * min(CONTEXT_TOKENS, max(0, _MODEL_TOKENS - own_tokens))
    if budget == 0:
        return ""
    text = "\n".join(turn.content for turn in said)
    return text[-budget:].lstrip()
