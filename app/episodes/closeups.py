"""What the second stage of a search looks at, remembered for as long as an episode stays as it is.

Token codes are most of what a search would have to read, and the same episodes are candidates again and again. An
entry counts for the very revision that the first stage has found, so a change, a delete or a reindex needs no telling.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from app import metrics
from app.elastic.index import Hit
from app.elastic.scope import Scope
from app.elastic.writes import Revision
from app.episodes import queries
from app.episodes.rescoring import Candidate, candidate_of
from app.episodes.store import EpisodeStore


class Closeups:
    """An LRU of `size` episodes, some 3 KB each (0: none)."""

    def __init__(self, store: EpisodeStore, size: int) -> None:
        self._store = store
        self._size = size
        self._known: OrderedDict[tuple[str, str], tuple[Revision | None, Candidate]] = OrderedDict()

    async def of(self, scope: Scope, hits: Sequence[Hit], model_id: str) -> list[tuple[Candidate, float]]:
        """Each hit's candidate and score, in order, without those that have gone since. model_id: whose tokens are
        wanted. Raises Unavailable."""
        found = {hit.id: known for hit in hits if (known := self._get(hit, model_id)) is not None}
        missing = [hit.id for hit in hits if hit.id not in found]
        metrics.CLOSEUPS.labels("cache").inc(len(found))
        metrics.CLOSEUPS.labels("Elasticsearch").inc(len(missing))
        if missing:
            read = await self._store.find(queries.closely(scope, missing), fresh=False)
            for hit in read.hits:
                found[hit.id] = candidate_of(hit, model_id)
                self._put(hit, model_id, found[hit.id])
        return [(found[hit.id], hit.score) for hit in hits if hit.id in found]

    def _get(self, hit: Hit, model_id: str) -> Candidate | None:
        key = (hit.id, model_id)
        revision, candidate = self._known.get(key, (None, None))
        if candidate is None or revision != hit.revision:
            return None
        self._known.move_to_end(key)
        return candidate

    def _put(self, hit: Hit, model_id: str, candidate: Candidate) -> None:
        if self._size and hit.revision is not None:
            self._known[(hit.id, model_id)] = (hit.revision, candidate)
            if len(self._known) > self._size:
                self._known.popitem(last=False)
