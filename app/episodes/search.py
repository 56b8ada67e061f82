"""Searching: which stages a request takes, and its page of what they give.

    first stage    Elasticsearch scores every episode in scope, or, of very many, the candidates of an approximate
                   search; the best come back as ids and scores
    second stage   they are looked at closely (`closeups`, `rescoring`), in a thread
    contents       what the answer shows, of those on the page alone

Requests in which meaning has no part are answered by the first stage. Whatever ranks below the candidates keeps its
order and its score of the first stage, which no candidate falls below: all pages are cut from one list.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.elastic.index import Found, Hit
from app.elastic.scope import Scope, ScopedQuery
from app.embedding import EncodedQuery, ModelInfo, QueryEmbedder
from app.episodes import queries
from app.episodes.closeups import Closeup, Closeups
from app.episodes.duplicates import collapse
from app.episodes.models import Mix, SearchRequest, SearchResults, mix_of
from app.episodes.queries import ORDER_COLUMNS, Meaning
from app.episodes.ranking import Curves, scoring_moment
from app.episodes.rescoring import DEFAULT_TUNING, Rescored, Tuning, rescore
from app.episodes.results import Ranked, page_of, ranked
from app.episodes.store import EpisodeStore
from app.settings import Settings
from app.timespan import check_times
from app.types import utc_now

CANDIDATES = 200
"""Episodes that the second stage looks at. Of half as many recall@50 is 0.01 lower; more win nothing."""

TIES_MARGIN = 20
_ONLY_WORDS = Mix(0.0, 1.0, 0.0)
_ONLY_MEANING = Mix(1.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A search on its way. size: episodes in its scope, as far as they are counted."""

    scope: Scope
    request: SearchRequest
    mix: Mix
    curves: Curves
    query: EncodedQuery
    token_scale: tuple[float, float] | None
    meaning: Meaning
    size: int


class EpisodeSearch:
    """See the module. embedder: gives the one to use now. tuning: other than the best known, for measuring."""

    def __init__(
        self,
        store: EpisodeStore,
        embedder: Callable[[], QueryEmbedder],
        settings: Settings,
        tuning: Tuning = DEFAULT_TUNING,
    ) -> None:
        self._tuning = tuning
        self._store = store
        self._closeups = Closeups(store, settings.closeup_cache_size)
        self._embedder = embedder
        self._settings = settings

    async def search(self, scope: Scope, request: SearchRequest, request_id: str) -> SearchResults:
        """Find episodes. Raises ValidationFailed when the times are out of order, and Unavailable."""
        check_times(request.from_time, request.to_time)
        began = time.perf_counter()
        found = await (self._collapsed if request.collapse else self._ranked)(scope, request)
        turns = request.include_context
        around = await self._store.around(scope, found.hits, turns) if turns else None
        took_ms = int((time.perf_counter() - began) * 1000)
        return SearchResults(request_id, page_of(found, request, around), found.total, took_ms)

    async def _ranked(self, scope: Scope, request: SearchRequest) -> Ranked:
        # The same one throughout: another model may take its place meanwhile.
        embedder = self._embedder()
        curves = self._curves(embedder.info, request.at or utc_now())
        if not request.words:
            return ranked(await self._newest(scope, request), None, curves)
        if request.search_mode == "keyword":
            return ranked(await self._store.find(queries.keyword(scope, request, curves)), _ONLY_WORDS, curves)
        mix = _ONLY_MEANING if request.search_mode == "semantic" else mix_of(request.weights)
        query, size = await asyncio.gather(embedder.embed(request.words), self._scope_size(scope, request))
        token_scale = embedder.info.token_scale if self._tuning.tokens else None
        meaning = Meaning(query.vector.tolist(), embedder.info.model_id, by_token=token_scale is not None)
        wanted = _Wanted(scope, request, mix, curves, query, token_scale, meaning, size)
        # With a least score, how many there are depends on the second stage, whichever page is asked for.
        far = request.offset >= CANDIDATES and not request.min_score
        if mix.semantic == 0 or far:
            return await self._first_stage(wanted, request)
        return await self._both_stages(wanted)

    async def _newest(self, scope: Scope, request: SearchRequest) -> Found:
        """Counted by itself, since that is remembered: a search that needn't count reads no more than its page."""
        size = await self._scope_size(scope, request)
        found = await self._store.find(queries.newest(scope, request), fresh=False)
        return replace(found, total=min(size, queries.COUNT_MAX))

    async def _collapsed(self, scope: Scope, request: SearchRequest) -> Ranked:
        """A page of the best results without near-duplicates; as many of those as there are candidates."""
        best = await self._ranked(scope, request.model_copy(update={"offset": 0, "limit": CANDIDATES}))
        texts = [(hit.source["role"], hit.source["content"]) for hit in best.hits]
        kept = await asyncio.to_thread(collapse, texts)
        page = kept[request.offset : request.offset + request.limit]
        return replace(
            best,
            hits=[best.hits[place] for place, _ in page],
            total=len(kept),
            duplicates={best.hits[place].id: count for place, count in page},
        )

    async def _both_stages(self, wanted: _Wanted) -> Ranked:
        request = wanted.request
        first = await self._candidates(wanted)
        closeups = await self._closeups.of(wanted.scope, first.hits, wanted.meaning.model_id)
        best = await asyncio.to_thread(
            rescore,
            [(one.candidate, score) for one, score in closeups],
            request.words,
            wanted.query.tokens,
            wanted.token_scale,
            wanted.mix,
            wanted.curves,
            self._tuning,
        )
        fitting = [one for one in best if one.score >= request.min_score]
        end = request.offset + request.limit
        page = fitting[request.offset : end]
        # Nothing below the candidates scores more than one of them does.
        more = len(fitting) == CANDIDATES and (end > CANDIDATES or request.min_score > 0)
        hits, rest = await asyncio.gather(
            self._contents(wanted.scope, request, page, [one for one, _ in closeups]),
            self._beyond(wanted, end) if more else _nothing(wanted),
        )
        total = max(len(fitting), rest.total) if request.min_score else first.total
        closely = {one.episode_id: one for one in page}
        return Ranked([*hits, *rest.hits], total, wanted.mix, wanted.curves, closely)

    async def _candidates(self, wanted: _Wanted) -> Ranked:
        """The best of the first stage, in any order."""
        if wanted.size > self._settings.exact_search_limit:
            top = wanted.request.model_copy(update={"offset": 0, "limit": CANDIDATES, "min_score": 0, "explain": False})
            return await self._windowed(wanted, top, ORDER_COLUMNS)

        def query(size: int, *, ordered: bool) -> ScopedQuery:
            return queries.candidates(
                wanted.scope, wanted.request, wanted.meaning, wanted.mix, wanted.curves, size, ordered=ordered
            )

        # One more tells whether equals lie on both sides of the border: those are told apart by their order.
        found = await self._store.find(query(CANDIDATES + 1, ordered=False), fresh=False)
        hits = found.hits[:CANDIDATES]
        if len(found.hits) > CANDIDATES and found.hits[CANDIDATES].score == hits[-1].score:
            found = await self._store.find(query(CANDIDATES, ordered=True), fresh=False)
            hits = found.hits
        return Ranked(hits, found.total, wanted.mix, wanted.curves)

    async def _contents(
        self, scope: Scope, request: SearchRequest, page: Sequence[Rescored], closeups: Sequence[Closeup]
    ) -> list[Hit]:
        """In the page's order, without what has gone by the time it is read."""
        ids = [one.episode_id for one in page]
        by_id: dict[str, Hit] = {}
        if not request.explain:
            shown = {one.candidate.episode_id: one.shown for one in closeups}
            by_id = {
                episode_id: Hit(episode_id, source, 0.0, [], {}, None)
                for episode_id in ids
                if (source := shown[episode_id]) is not None
            }
        if missing := [episode_id for episode_id in ids if episode_id not in by_id]:
            if request.explain:
                read = (await self._store.find(queries.explained(scope, request, missing), fresh=False)).hits
            else:
                read = await self._store.read(scope, missing)
            by_id |= {hit.id: hit for hit in read}
        return [by_id[episode_id] for episode_id in ids if episode_id in by_id]

    async def _beyond(self, wanted: _Wanted, end: int) -> Ranked:
        """What ranks below the candidates, from the page's beginning to `end`."""
        offset = max(CANDIDATES, wanted.request.offset)
        limit = max(0, end - offset)
        rest = wanted.request.model_copy(update={"offset": offset, "limit": limit})
        return await self._first_stage(wanted, rest)

    async def _first_stage(self, wanted: _Wanted, request: SearchRequest) -> Ranked:
        """A page of it alone."""
        if wanted.size <= self._settings.exact_search_limit:
            query = queries.exact(wanted.scope, request, wanted.meaning, wanted.mix, wanted.curves)
            return ranked(await self._store.find(query, fresh=False), wanted.mix, wanted.curves)
        return await self._windowed(wanted, request)

    async def _scope_size(self, scope: Scope, request: SearchRequest) -> int:
        """How many episodes the filters leave; makes them fresh first, for the search that follows."""
        token = await self._store.freshen(scope)
        return await self._store.count(queries.in_scope(scope, request), token)

    async def _windowed(self, wanted: _Wanted, request: SearchRequest, columns: Sequence[str] = ()) -> Ranked:
        """A page of the rescored window. A rescored search can't break ties by time, so the list is
        fetched from its top until the page's last group of equal scores is whole, and ordered here."""
        window = self._settings.search_window
        end = min(request.offset + request.limit, window)
        # How many score enough, only the whole window tells.
        size = window if request.min_score else min(end + TIES_MARGIN, window)
        while True:
            hits = await self._window(wanted, request, columns, size)
            whole = ranked(hits, wanted.mix, wanted.curves, reorder=True).from_score(request.min_score)
            complete = len(hits.hits) < size or size == window
            if complete or whole.scores_end_before(end):
                return whole.cut(request.offset, request.limit, window)
            size = min(size * 2, window)

    async def _window(self, wanted: _Wanted, request: SearchRequest, columns: Sequence[str], size: int) -> Found:
        query = queries.windowed(
            wanted.scope,
            request,
            wanted.meaning,
            wanted.mix,
            wanted.curves,
            window=self._settings.search_window,
            size=size,
            visible=await self._store.knn_filters(queries.in_scope(wanted.scope, request)),
            columns=columns,
        )
        return await self._store.find(query, fresh=False)

    def _curves(self, model: ModelInfo, at: datetime) -> Curves:
        low, high = model.scale
        half_life_ms = self._settings.recency_half_life_days * 86_400_000
        return Curves(low, high, half_life_ms, scoring_moment(at))


async def _nothing(wanted: _Wanted) -> Ranked:
    return Ranked([], 0, wanted.mix, wanted.curves)
