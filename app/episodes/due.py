"""The embedding outbox: which episodes are due, what was said before them, and saving the outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from app.elastic.client import VersionConflict
from app.elastic.index import Document, Engine, ScopedIndex
from app.elastic.indices import EPISODES
from app.elastic.scope import SystemScope
from app.episodes import queries
from app.types import JsonObject, epoch_ms, from_iso, iso, utc_now

_WORKER = SystemScope("the embedding worker serves all organisations")


@dataclass(frozen=True, slots=True)
class Said:
    """A turn as context for those after it."""

    at_ms: int
    ordinal: int
    content: str
    episode_id: str = ""


@dataclass(frozen=True, slots=True)
class Saved:
    """How many outcomes were written, and how many episodes had been changed or deleted meanwhile."""

    written: int
    skipped: int


class DueStore:
    """Episodes of every organisation, for the worker."""

    def __init__(self, engine: Engine) -> None:
        self._index = ScopedIndex(engine, EPISODES)

    async def due(self, model_id: str, size: int) -> list[Document]:
        """Up to `size` episodes whose embedding is due, longest waiting first."""
        found = await self._index.search(queries.due_for_embedding(_WORKER, utc_now(), model_id, size))
        return [Document(hit.id, hit.source, hit.revision) for hit in found.hits if hit.revision is not None]

    async def said_before(self, documents: Sequence[Document], turns: int) -> list[list[Said]]:
        """For each document the turns before it in its session, oldest first; none outside a session."""
        asked = [document for document in documents if document.source.get("session_id")]
        found = await self._index.msearch(
            [
                queries.before(
                    _WORKER,
                    document.source["org_id"],
                    document.source["session_id"],
                    epoch_ms(from_iso(document.source["created_at"])),
                    document.source["ordinal"],
                    turns,
                )
                for document in asked
            ]
        )
        by_id = {
            document.id: [
                Said(epoch_ms(from_iso(hit.source["created_at"])), hit.source["ordinal"], hit.source["content"], hit.id)
                for hit in reversed(page.hits)
            ]
            for document, page in zip(asked, found, strict=True)
        }
        return [by_id.get(document.id, []) for document in documents]

    async def gone(self, organisations: Mapping[str, str]) -> set[str]:
        """Which of these episodes are deleted, softly or for good. organisations: episode id → org_id."""
        found = await asyncio.gather(
            *(self._index.get(_WORKER, episode_id, routing=org_id) for episode_id, org_id in organisations.items())
        )
        return {
            episode_id
            for episode_id, document in zip(organisations, found, strict=True)
            if document is None or document.source.get("deleted_at") is not None
        }

    async def drop_contexts(self, of: Collection[str]) -> int:
        """Take what was said in these episodes out of the contexts of others, which are embedded anew."""
        return await self._index.update_matching(
            queries.with_context_of(_WORKER, of), queries.DROP_CONTEXT, {"now": iso(utc_now())}
        )

    async def save(self, outcomes: Sequence[tuple[Document, JsonObject]]) -> Saved:
        """Write each document with its outcome, unless it has changed since it was read."""
        results = await self._index.replace_all(
            _WORKER, [(document, document.source | changes) for document, changes in outcomes]
        )
        skipped = 0
        for result in results:
            if isinstance(result, VersionConflict):
                skipped += 1
            elif isinstance(result, BaseException):
                raise result
        return Saved(len(results) - skipped, skipped)
