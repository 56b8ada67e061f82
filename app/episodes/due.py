"""The embedding outbox: which episodes are due, what was said before them, and saving the outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from app.elastic.client import VersionConflict
from app.elastic.generations import model_of
from app.elastic.index import Document, Engine, ScopedIndex
from app.elastic.indices import EPISODES
from app.elastic.scope import SystemScope
from app.elastic.writes import Revision
from app.episodes import queries
from app.events import with_event
from app.types import JsonObject, epoch_ms, from_iso, iso, utc_now
from app.webhooks.subscriptions import Subscriptions

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
        self._es = engine.es
        self._index = ScopedIndex(engine, EPISODES)
        self._subscriptions = Subscriptions(engine)

    async def due(self, model_id: str, size: int) -> list[Document]:
        """Up to `size` episodes whose embedding is due, longest waiting first; none where the index is made for
        another model, since a reindex has just changed that."""
        found = await self._index.search(queries.due_for_embedding(_WORKER, utc_now(), model_id, size))
        # After the search: if another index takes the place of this one later, its episodes can't be saved.
        if found.hits and (model := await model_of(self._es, self._index.alias)) and model.model_id != model_id:
            return []
        return [Document(hit.id, hit.source, hit.revision) for hit in found.hits if hit.revision is not None]

    async def said_before(self, documents: Sequence[Document], turns: int) -> list[list[Said]]:
        """For each document the turns before it in its session, oldest first; none outside a session."""
        asked = [document for document in documents if document.source.get("session_id")]
        found = await self._index.msearch(
            [
                queries.beside(
                    _WORKER,
                    document.source["session_id"],
                    epoch_ms(from_iso(document.source["created_at"])),
                    document.source["ordinal"],
                    turns,
                    org_id=document.source["org_id"],
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
        organisations = list({document.source["org_id"] for document, _ in outcomes})
        found = await asyncio.gather(*(self._subscriptions.wanted(_WORKER, org_id) for org_id in organisations))
        wanted = dict(zip(organisations, found, strict=True))
        results = await self._replace(outcomes, wanted)
        met = [place for place, result in enumerate(results) if isinstance(result, VersionConflict)]
        as_they_are = await asyncio.gather(*(self._but_for_events(outcomes[place][0]) for place in met))
        again = [(place, now) for place, now in zip(met, as_they_are, strict=True) if now is not None]
        if again:
            repeated = await self._replace([(now, outcomes[place][1]) for place, now in again], wanted)
            for (place, _), result in zip(again, repeated, strict=True):
                results[place] = result
        skipped = 0
        for result in results:
            if isinstance(result, VersionConflict):
                skipped += 1
            elif isinstance(result, BaseException):
                raise result
        return Saved(len(results) - skipped, skipped)

    async def _replace(
        self, outcomes: Sequence[tuple[Document, JsonObject]], wanted: dict[str, frozenset[str]]
    ) -> list[Revision | BaseException]:
        documents = []
        for document, changes in outcomes:
            source = document.source
            if changes["embedding_status"] == "ready":
                changes = changes | with_event(source, wanted[source["org_id"]], "embedding.ready")
            documents.append((document, source | changes))
        return await self._index.replace_all(_WORKER, documents)

    async def _but_for_events(self, document: Document) -> Document | None:
        """The document as it is now, if all that has changed is that its events were taken away."""
        now = await self._index.get(_WORKER, document.id, routing=document.source["org_id"])
        if now is None:
            return None
        before, after = (
            {key: value for key, value in source.items() if key != "events"} for source in (document.source, now.source)
        )
        return now if before == after else None
