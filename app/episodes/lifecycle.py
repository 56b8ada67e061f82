"""What becomes of stored episodes: hidden, brought back, removed for good, and listed by period."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from datetime import datetime

from app.elastic.client import MissingDocument, VersionConflict
from app.elastic.index import Document, Engine, Found, ScopedIndex
from app.elastic.indices import EPISODES
from app.elastic.scope import Scope, ScopedQuery, SystemScope, UserScope
from app.episodes import queries
from app.episodes.models import DiffQuery, Episode
from app.episodes.store import episode_of
from app.types import JsonObject, iso, utc_now

_CONTEXTS = SystemScope("what one agent said is context of what another one answered")
_PURGE = SystemScope("what can't be restored any more is purged for all organisations")
_TRIES = 5
_PURGE_PAGE = 500


class LifecycleStore:
    """Deletes and restores of episodes."""

    def __init__(self, engine: Engine) -> None:
        self._index = ScopedIndex(engine, EPISODES)

    async def find(self, scope: Scope, episode_id: str) -> Episode | None:
        """The episode, deleted or not; None where it is missing or someone else's."""
        document = await self._index.get(scope, episode_id)
        return episode_of(document.id, document.source) if document else None

    async def hide_session(self, scope: Scope, session_id: str, at: datetime) -> int:
        """Soft-delete what the caller reads of a session; returns how many. See `update_matching`."""
        return await self._index.update_matching(queries.of_session(scope, session_id), queries.HIDE, {"at": iso(at)})

    async def hide_user(self, scope: UserScope, at: datetime) -> int:
        """Soft-delete all of a user's episodes; returns how many. See `update_matching`."""
        return await self._index.update_matching(ScopedQuery(scope), queries.HIDE, {"at": iso(at)})

    async def restore(self, scope: Scope, episode_id: str) -> bool:
        """Bring a deleted episode back. False when there is none that is deleted."""
        for _ in range(_TRIES):
            document = await self._index.get(scope, episode_id)
            if document is None or document.source.get("deleted_at") is None:
                return False
            try:
                # Guarded, so that of two at once only one is told that it did it, and a purge isn't undone.
                await self._index.update(scope, document, {"deleted_at": None})
            except (VersionConflict, MissingDocument):
                continue
            return True
        raise RuntimeError("an episode kept changing while it was restored")

    async def remove(
        self, scope: Scope, episode_id: str, before: Callable[[JsonObject], Awaitable[None]] | None = None
    ) -> bool:
        """Remove an episode for good, deleted or not, and from the contexts of others. False when there is none.

        before: called with the document that is about to go, again where it has changed meanwhile.
        """
        for _ in range(_TRIES):
            document = await self._index.get(scope, episode_id)
            if document is None:
                return False
            try:
                if document.source.get("deleted_at") is None:
                    # Hidden first: no context is taken from it any more, and a removal that ends half-way
                    # is met by the next one.
                    revision = await self._index.update(scope, document, {"deleted_at": iso(utc_now())})
                    document = replace(document, revision=revision)
                if document.source.get("session_id") is not None:
                    await self._drop_contexts([episode_id])
                if before is not None:
                    await before(document.source)
                await self._index.delete(scope, document)
            except (VersionConflict, MissingDocument):
                continue
            return True
        raise RuntimeError("an episode kept changing while it was removed")

    async def purge(self, before: datetime) -> int:
        """Remove for good what was deleted before that moment, in every organisation; returns how many."""
        removed = 0
        while True:
            found = await self._index.search(queries.expired(_PURGE, before, _PURGE_PAGE))
            documents = [Document(hit.id, hit.source, hit.revision) for hit in found.hits if hit.revision is not None]
            if not documents:
                return removed
            # First, so that a purge that ends between the two is made up for by the next one.
            await self._drop_contexts([document.id for document in documents])
            gone = await self._remove_all(documents)
            removed += gone
            if gone == 0:
                # All of them were brought back or removed meanwhile; what is left is the next run's.
                return removed

    async def _remove_all(self, documents: list[Document]) -> int:
        gone = 0
        for result in await self._index.delete_all(_PURGE, documents):
            if isinstance(result, BaseException):
                if not isinstance(result, (VersionConflict, MissingDocument)):
                    raise result
            else:
                gone += 1
        return gone

    async def _drop_contexts(self, of: Collection[str]) -> None:
        await self._index.update_matching(
            queries.with_context_of(_CONTEXTS, of), queries.DROP_CONTEXT, {"now": iso(utc_now())}
        )

    async def added(self, scope: Scope, wanted: DiffQuery) -> list[Episode]:
        """What was said in a period, oldest first."""
        found = await self._index.search(queries.added(scope, wanted))
        return [episode_of(hit.id, hit.source) for hit in found.hits]

    async def taken_away(self, scope: Scope, wanted: DiffQuery) -> Found:
        """What was soft-deleted in a period: session_id and deleted_at of each, oldest deletion first."""
        return await self._index.search(queries.taken_away(scope, wanted), fresh=False)
