"""Episodes on their way out of the service: whole memories instead of single answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection

from app.elastic.index import Engine, Hit, ScopedIndex
from app.elastic.indices import EPISODES
from app.elastic.scope import Scope, ScopedQuery
from app.episodes import queries


class EpisodeArchive:
    """Reads all that a query matches, page by page."""

    def __init__(self, engine: Engine) -> None:
        self._index = ScopedIndex(engine, EPISODES)

    def walk(self, query: ScopedQuery) -> AsyncGenerator[list[Hit], None]:
        """See `ScopedIndex.walk`."""
        return self._index.walk(query)

    async def readable(self, scope: Scope, episode_ids: Collection[str], *, deleted: bool) -> set[str]:
        """Those of these episodes that the caller reads. deleted: whether soft-deleted ones count."""
        if not episode_ids:
            return set()
        found = await self._index.search(queries.those(scope, episode_ids, deleted=deleted))
        return {hit.id for hit in found.hits}
