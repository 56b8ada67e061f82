"""Deriving a session's short-term window from the episodes of its present."""

from __future__ import annotations

from app.elastic.index import Hit
from app.elastic.scope import Scope
from app.episodes.store import EpisodeStore
from app.lineage import Lineage
from app.sessions import window
from app.types import from_iso

_CANDIDATES_PER_PAGE = 200


class Windows:
    """budget: tokens of a window."""

    def __init__(self, episodes: EpisodeStore, budget: int) -> None:
        self._episodes = episodes
        self.budget = budget

    async def of(self, scope: Scope, session_id: str, lineage: Lineage) -> list[window.Message]:
        """The messages of the window, as they were said."""
        filling, kept = window.Filling(self.budget), []
        after: list[object] | None = None
        while not filling.full:
            hits = await self._episodes.by_priority(
                scope,
                session_id,
                lineage,
                window.ORDER_SCRIPT,
                window.ORDER_PARAMS,
                size=_CANDIDATES_PER_PAGE,
                after=after,
            )
            kept += filling.take([_message(hit) for hit in hits])
            if len(hits) < _CANDIDATES_PER_PAGE:
                break
            after = hits[-1].sort
        return window.by_time(kept)


def _message(hit: Hit) -> window.Message:
    source = hit.source
    return window.Message(
        hit.id,
        source["role"],
        source["content"],
        source["token_count"],
        from_iso(source["created_at"]),
        source["ordinal"],
    )
