"""Episodes on their way out of the service: whole memories instead of single answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from app.elastic.index import Engine, Hit, ScopedIndex
from app.elastic.indices import EPISODES
from app.elastic.scope import ScopedQuery


class EpisodeArchive:
    """Reads all that a query matches, page by page."""

    def __init__(self, engine: Engine) -> None:
        self._index = ScopedIndex(engine, EPISODES)

    def walk(self, query: ScopedQuery) -> AsyncGenerator[list[Hit], None]:
        """See `ScopedIndex.walk`."""
        return self._index.walk(query)
