"""What the second stage of a search looks at, remembered for as long as an episode stays as it is.

Token codes are most of what a search would have to read, and the same episodes are candidates again and again. An
entry counts for the very revision that the first stage has found, so a change, a delete or a reindex needs no telling.
What results show of a short episode comes with it, which saves most pages a request of their own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from app import metrics
from app.elastic.index import Hit
from app.elastic.scope import Scope
from app.elastic.writes import Revision
from app.episodes import queries
from app.episodes.rescoring import Candidate, candidate_of
from app.episodes.store import EpisodeStore
from app.types import JsonObject

_SHORT_TOKENS = 500
_SHORT_BYTES = 2_048


@dataclass(frozen=True, slots=True)
class Closeup:
    """revision: that it was read in. shown: `queries.PUBLIC_FIELDS` of a short one; None has to be read."""

    revision: Revision | None
    candidate: Candidate
    shown: JsonObject | None


class Closeups:
    """An LRU of `size` episodes, some 4 KB each (0: none)."""

    def __init__(self, store: EpisodeStore, size: int) -> None:
        self._store = store
        self._size = size
        self._remembered: OrderedDict[tuple[str, str], Closeup] = OrderedDict()

    async def of(self, scope: Scope, hits: Sequence[Hit], model_id: str) -> list[tuple[Closeup, float]]:
        """Each hit's, with its score, in order, without those that have gone since. model_id: whose tokens are wanted.
        Raises Unavailable."""
        found = {hit.id: known for hit in hits if (known := self._get(hit, model_id)) is not None}
        missing = [hit.id for hit in hits if hit.id not in found]
        metrics.CLOSEUPS.labels("cache").inc(len(found))
        metrics.CLOSEUPS.labels("Elasticsearch").inc(len(missing))
        # The long ones, if any, by themselves: two hundred texts of 100 KB each would be read for a page of ten.
        for short_tokens in (_SHORT_TOKENS, None):
            if missing:
                read = await self._store.find(queries.closely(scope, missing, short_tokens=short_tokens), fresh=False)
                found |= {hit.id: self._put(hit, model_id) for hit in read.hits}
                missing = [episode_id for episode_id in missing if episode_id not in found]
        return [(found[hit.id], hit.score) for hit in hits if hit.id in found]

    def _get(self, hit: Hit, model_id: str) -> Closeup | None:
        key = (hit.id, model_id)
        known = self._remembered.get(key)
        if known is None or known.revision != hit.revision:
            return None
        self._remembered.move_to_end(key)
        return known

    def _put(self, hit: Hit, model_id: str) -> Closeup:
        known = Closeup(hit.revision, candidate_of(hit, model_id), _shown(hit))
        if self._size and hit.revision is not None:
            self._remembered[(hit.id, model_id)] = known
            if len(self._remembered) > self._size:
                self._remembered.popitem(last=False)
        return known


def _shown(hit: Hit) -> JsonObject | None:
    if "content" not in hit.source:
        return None
    shown = {field: hit.source[field] for field in queries.PUBLIC_FIELDS if field in hit.source}
    # Metadata may be long where the text isn't.
    return shown if len(orjson.dumps(shown)) <= _SHORT_BYTES else None
