"""Sessions in Elasticsearch."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.elastic.client import MissingDocument, VersionConflict
from app.elastic.index import Document, Engine, ScopedIndex
from app.elastic.indices import SESSIONS
from app.elastic.scope import AnyScope, Scope, ScopedQuery, UserScope
from app.elastic.writes import Revision
from app.events import events_for
from app.idempotency.models import Answered, Creation
from app.idempotency.store import OnceStore
from app.lineage import FIRST, Lineage, lineage_of
from app.ordinals import Ordinals
from app.pages import Page
from app.sessions.models import Session
from app.types import JsonObject, from_iso, iso, utc_now
from app.webhooks.subscriptions import Subscriptions

_MAX_RESULT_WINDOW = 100_000


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session, where it is, and the document that says so."""

    session: Session
    lineage: Lineage
    document: Document

    @property
    def automatic_ordinal(self) -> int:
        """Where its present was when a checkpoint was last taken by itself on this branch; -1 if never."""
        source = self.document.source
        same = source.get("automatic_branch", FIRST) == self.lineage.branch
        return int(source.get("automatic_ordinal", -1)) if same else -1


class SessionStore:
    """The only module that names the sessions index."""

    def __init__(self, engine: Engine, once: OnceStore) -> None:
        self._index = ScopedIndex(engine, SESSIONS)
        self._once = once
        self._ordinals = Ordinals()
        self._subscriptions = Subscriptions(engine)

    async def create(self, creation: Creation, metadata: JsonObject, answered: Answered) -> Session:
        """Store a new session of the caller, or find the one that the same request made before."""

        wanted = await self._subscriptions.wanted(creation.scope, creation.scope.org_id)

        def make(session_id: str) -> JsonObject:
            source = (
                creation.scope.stamp()
                | {
                    "session_id": session_id,
                    "created_at": iso(utc_now()),
                    "ordinal": self._ordinals.next(),
                    "metadata": metadata,
                }
                | events_for(wanted, "session.created")
            )
            return {key: value for key, value in source.items() if value is not None}

        made = await self._once.create(creation, self._index, make, _written_at, answered)
        return _session(made.source)

    async def create_given(self, scope: Scope, created_at: Mapping[str, datetime]) -> int:
        """Store sessions under ids that they had elsewhere; returns how many. An id that is taken is left alone."""
        sources = [
            (
                session_id,
                {key: value for key, value in scope.stamp().items() if value is not None}
                | {"session_id": session_id, "created_at": iso(at), "ordinal": self._ordinals.next(), "metadata": {}},
            )
            for session_id, at in created_at.items()
        ]
        results = await self._index.create_all(scope, sources)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, VersionConflict):
                raise result
        return sum(isinstance(result, Revision) for result in results)

    async def get(self, scope: AnyScope, session_id: str) -> StoredSession | None:
        """The session as it is now; None where it is missing, deleted or someone else's."""
        document = await self._index.get(scope, session_id)
        if document is None or document.source.get("deleted_at") is not None:
            return None
        return _stored(document)

    async def restore(self, scope: Scope, session_id: str) -> None:
        """Bring a deleted session back; nothing happens where it is missing, not deleted or someone else's."""
        document = await self._index.get(scope, session_id)
        if document is not None and document.source.get("deleted_at") is not None:
            await self._index.update_unguarded(scope, session_id, scope.org_id, {"deleted_at": None})

    async def hide_user(self, scope: UserScope, at: datetime) -> int:
        """Soft-delete all sessions of a user; returns how many. See `ScopedIndex.update_matching`."""
        return await self._index.update_matching(
            ScopedQuery(scope), "ctx._source.deleted_at = params.at", {"at": iso(at)}
        )

    async def get_all(self, scope: AnyScope, session_ids: Iterable[str]) -> list[StoredSession]:
        """Those among them that are there."""
        found = await asyncio.gather(*(self.get(scope, session_id) for session_id in session_ids))
        return [stored for stored in found if stored is not None]

    async def move(self, scope: Scope, stored: StoredSession, lineage: Lineage) -> bool:
        """Take a session elsewhere. False when it has changed since it was read."""
        return await self._changed(scope, stored, lineage.source())

    async def note_automatic(self, scope: AnyScope, stored: StoredSession, ordinal: int) -> bool:
        """Note where its present is now that a checkpoint was taken by itself. False when it has changed."""
        changes = {"automatic_branch": stored.lineage.branch, "automatic_ordinal": ordinal}
        return await self._changed(scope, stored, changes)

    async def _changed(self, scope: AnyScope, stored: StoredSession, changes: JsonObject) -> bool:
        try:
            await self._index.update(scope, stored.document, changes)
        except (VersionConflict, MissingDocument):
            return False
        return True

    async def branches(self, scope: Scope, session_ids: Iterable[str]) -> dict[str, int]:
        """Session id → the branch it is on, of those among them that the caller can write to."""
        wanted = list(session_ids)
        found = await asyncio.gather(*(self.get(scope, session_id) for session_id in wanted))
        return {stored.session.session_id: stored.lineage.branch for stored in found if stored is not None}

    async def page(self, scope: Scope, page: Page) -> tuple[list[StoredSession], int]:
        """A page of the caller's sessions, newest first, and how many there are."""
        reachable = page.offset + page.limit <= _MAX_RESULT_WINDOW
        query = ScopedQuery(
            scope,
            sort=[{"created_at": "desc"}, {"ordinal": "desc"}, {"session_id": "asc"}],
            size=page.limit if reachable else 0,
            offset=page.offset if reachable else 0,
            fields=["*"],
            count_up_to=True,
        )
        found = await self._index.search(query)
        return [_stored(hit.document()) for hit in found.hits], found.total


def _stored(document: Document) -> StoredSession:
    return StoredSession(_session(document.source), lineage_of(document.source), document)


def _written_at(source: JsonObject) -> datetime:
    return from_iso(source["created_at"])


def _session(source: dict[str, Any]) -> Session:
    return Session(
        session_id=source["session_id"],
        org_id=source["org_id"],
        created_at=from_iso(source["created_at"]),
        metadata=source.get("metadata") or {},
    )
