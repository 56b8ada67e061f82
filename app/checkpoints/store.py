"""Checkpoints in Elasticsearch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.checkpoints.models import Checkpoint
from app.elastic.client import MissingDocument, VersionConflict
from app.elastic.index import Document, Engine, ScopedIndex
from app.elastic.indices import CHECKPOINTS
from app.elastic.scope import AnyScope, Query, Scope, ScopedQuery, UserScope
from app.events import events_for
from app.idempotency.models import Answered, Creation
from app.idempotency.store import OnceStore
from app.lineage import Path, path_of, path_source
from app.ordinals import Ordinals
from app.pages import Page
from app.types import JsonObject, from_iso, iso, utc_now
from app.webhooks.subscriptions import Subscriptions

_HIDE = "ctx._source.deleted_at = params.at"
_PRUNED_AT_ONCE = 100
_NEWEST_FIRST: list[Query] = [{"ordinal": "desc"}, {"checkpoint_id": "asc"}]


@dataclass(frozen=True, slots=True)
class Moment:
    """What a checkpoint holds: the session, its past, and the episodes of its window in order."""

    session_id: str
    path: Path
    episode_ids: Sequence[str]


class CheckpointStore:
    """The only module, beside the events', that names the checkpoints index."""

    def __init__(self, engine: Engine, once: OnceStore) -> None:
        self._index = ScopedIndex(engine, CHECKPOINTS)
        self._once = once
        self._subscriptions = Subscriptions(engine)
        self._ordinals = Ordinals()

    async def create(self, creation: Creation, moment: Moment, answered: Answered) -> tuple[Checkpoint, bool]:
        """Store one, or find the one that the same request made. Also whether webhooks are to be told of it."""
        scope = creation.scope
        wanted = await self._subscriptions.wanted(scope, scope.org_id)

        def make(checkpoint_id: str) -> JsonObject:
            return self._source(scope, moment, checkpoint_id, wanted, automatic=False)

        made = await self._once.create(creation, self._index, make, _written_at, answered)
        return _checkpoint(made.source), "checkpoint.created" in wanted

    async def create_automatic(self, scope: Scope, moment: Moment, checkpoint_id: str) -> bool:
        """Store one that nobody asked for, once. Returns whether webhooks are to be told of it."""
        wanted = await self._subscriptions.wanted(scope, scope.org_id)
        try:
            await self._index.create(
                scope, checkpoint_id, self._source(scope, moment, checkpoint_id, wanted, automatic=True)
            )
        except VersionConflict:
            return False
        return "checkpoint.created" in wanted

    def _source(
        self, scope: Scope, moment: Moment, checkpoint_id: str, wanted: frozenset[str], *, automatic: bool
    ) -> JsonObject:
        source = (
            scope.stamp()
            | {
                "checkpoint_id": checkpoint_id,
                "session_id": moment.session_id,
                "created_at": iso(utc_now()),
                "ordinal": self._ordinals.next(),
                "path": path_source(moment.path),
                "episode_ids": list(moment.episode_ids),
                "message_count": len(moment.episode_ids),
                "automatic": automatic,
            }
            | events_for(wanted, "checkpoint.created")
        )
        return {key: value for key, value in source.items() if value is not None}

    async def get(self, scope: AnyScope, session_id: str, checkpoint_id: str) -> Checkpoint | None:
        """A checkpoint of that session; None where there is none, or it is deleted or someone else's."""
        document = await self._index.get(scope, checkpoint_id)
        if document is None or document.source.get("deleted_at") or document.source["session_id"] != session_id:
            return None
        return _checkpoint(document.source)

    async def page(self, scope: Scope, session_id: str, page: Page) -> tuple[list[Checkpoint], int]:
        """A page of a session's checkpoints, newest first, and how many there are."""
        query = ScopedQuery(
            scope,
            filters=[_of(session_id)],
            sort=_NEWEST_FIRST,
            size=page.limit,
            offset=page.offset,
            fields=["*"],
            count_up_to=True,
        )
        found = await self._index.search(query)
        return [_checkpoint(hit.source) for hit in found.hits], found.total

    async def prune(self, scope: Scope, session_id: str, kept: int) -> int:
        """Remove automatic checkpoints but for the newest `kept`; returns how many.

        One with an event that nobody was told of yet stays until the next time.
        """
        query = ScopedQuery(
            scope,
            filters=[_of(session_id), {"term": {"automatic": True}}],
            sort=_NEWEST_FIRST,
            size=_PRUNED_AT_ONCE,
            offset=kept,
            fields=["org_id", "events"],
        )
        hits = (await self._index.search(query)).hits
        documents: list[Document] = [hit.document() for hit in hits if not hit.source.get("events")]
        for result in await self._index.delete_all(scope, documents):
            if isinstance(result, BaseException) and not isinstance(result, (VersionConflict, MissingDocument)):
                raise result
        return len(documents)

    async def hide_session(self, scope: Scope, session_id: str, at: datetime) -> int:
        """Soft-delete what the caller reads of a session's; see `ScopedIndex.update_matching`."""
        query = ScopedQuery(scope, filters=[_of(session_id)])
        return await self._index.update_matching(query, _HIDE, {"at": iso(at)})

    async def hide_user(self, scope: UserScope, at: datetime) -> int:
        """Soft-delete all of a user's; see `ScopedIndex.update_matching`."""
        return await self._index.update_matching(ScopedQuery(scope), _HIDE, {"at": iso(at)})


def _of(session_id: str) -> Query:
    return {"term": {"session_id": session_id}}


def _written_at(source: JsonObject) -> datetime:
    return from_iso(source["created_at"])


def _checkpoint(source: dict[str, Any]) -> Checkpoint:
    return Checkpoint(
        id=source["checkpoint_id"],
        session_id=source["session_id"],
        created_at=from_iso(source["created_at"]),
        path=path_of(source["path"]),
        episode_ids=source["episode_ids"],
        automatic=source["automatic"],
    )
