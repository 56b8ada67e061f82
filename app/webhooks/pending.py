"""Documents of any index that carry events, and events that are documents of their own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from app.elastic.client import MissingDocument, VersionConflict
from app.elastic.index import Document, Engine, ScopedIndex
from app.elastic.indices import CHECKPOINTS, EPISODES, EVENTS, SESSIONS
from app.elastic.scope import AnyScope, ScopedQuery, SystemScope
from app.types import JsonObject

_WORKER = SystemScope("events of all organisations")
_FIELDS = (
    "org_id", "user_id", "agent_id", "events", "data", "episode_id", "session_id", "checkpoint_id", "role", "tags",
    "token_count", "message_count", "automatic", "created_at", "deleted_at", "embedding_status", "embedding_model",
    "embedding_generated_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cause:
    """A document with events. index: of `EventStore.sources`."""

    index: ScopedIndex
    document: Document

    @property
    def events(self) -> list[JsonObject]:
        """Its events that are due."""
        return list(self.document.source["events"])


class EventStore:
    """The outbox of events."""

    def __init__(self, engine: Engine) -> None:
        self._own = ScopedIndex(engine, EVENTS)
        self._sources = [ScopedIndex(engine, definition) for definition in (EPISODES, SESSIONS, CHECKPOINTS)] + [
            self._own
        ]

    async def write(self, scope: AnyScope, org_id: str, event: JsonObject, data: JsonObject) -> None:
        """Store an event as a document of its own; one that is there stays as it is. Durable when this returns."""
        source = {"org_id": org_id, "created_at": event["at"], "events": [event], "data": data}
        with contextlib.suppress(VersionConflict):
            await self._own.create(scope, event["id"], source)

    async def due(self, size: int) -> list[Cause]:
        """Up to `size` documents of each index that carry events, deleted ones too."""
        query = ScopedQuery(
            _WORKER,
            filters=[{"exists": {"field": "events.id"}}],
            deleted=True,
            sort=[{"_doc": "asc"}],
            size=size,
            fields=_FIELDS,
        )
        found = await asyncio.gather(*(index.search(query) for index in self._sources))
        return [
            Cause(index, Document(hit.id, hit.source, hit.revision))
            for index, page in zip(self._sources, found, strict=True)
            for hit in page.hits
            if hit.revision is not None
        ]

    async def clear(self, causes: Sequence[Cause]) -> None:
        """Take away the events, where the document is as it was when they were read; else they are met again.
        Events that are documents of their own go."""
        results = await asyncio.gather(*(self._clear(cause) for cause in causes), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, (VersionConflict, MissingDocument)):
                raise result

    async def _clear(self, cause: Cause) -> None:
        if cause.index is self._own:
            await self._own.delete(_WORKER, cause.document)
        else:
            await cause.index.update(_WORKER, cause.document, {"events": []})
