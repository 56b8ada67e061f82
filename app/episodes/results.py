"""From hits to results: order among equals, pages, explanations."""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.elastic.index import Found, Hit
from app.episodes.models import ExplainedResult, Mix, SearchRequest, SearchResult
from app.episodes.ranking import Curves, explain
from app.types import from_iso

_SCORE_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Ranked:
    """Hits in their final order. total: how many could be paged through. mix: None where nothing was
    scored and the order is by time."""

    hits: list[Hit]
    total: int
    mix: Mix | None
    curves: Curves

    def scores_end_before(self, end: int) -> bool:
        """Whether a group of equal scores that reaches over position `end` is whole."""
        return end < len(self.hits) and self.hits[-1].score < self.hits[max(0, end - 1)].score

    def cut(self, offset: int, limit: int, window: int) -> Ranked:
        """The page at `offset` of a list that ends at `window`."""
        return replace(self, hits=self.hits[:window][offset : offset + limit], total=min(self.total, window))


def ranked(found: Found, mix: Mix | None, curves: Curves, *, reorder: bool = False) -> Ranked:
    """Hits of a search. reorder: break ties here (newest, then id), where the engine couldn't."""
    hits = sorted(found.hits, key=_best_first) if reorder else found.hits
    return Ranked(hits, found.total, mix, curves)


def _best_first(hit: Hit) -> tuple[float, float, int, str]:
    created = from_iso(hit.source["created_at"]).timestamp()
    return (-hit.score, -created, -hit.source["ordinal"], hit.id)


def page_of(found: Ranked, request: SearchRequest) -> list[SearchResult]:
    """The results, each with the parts of its score when the request asks for them."""
    return [_result(hit, found, explained=request.explain) for hit in found.hits]


def _result(hit: Hit, found: Ranked, *, explained: bool) -> SearchResult:
    source = hit.source
    score = 1.0 if found.mix is None else min(1.0, round(hit.score, _SCORE_DIGITS))
    plain = SearchResult(
        episode_id=hit.id,
        session_id=source.get("session_id"),
        content=source["content"],
        role=source["role"],
        score=score,
        created_at=from_iso(source["created_at"]),
        tags=source.get("tags") or [],
        metadata=source.get("metadata") or {},
    )
    if not explained or found.mix is None:
        return plain
    bm25 = sum(hit.named.values())
    explanation = explain(score, bm25, plain.created_at, found.mix, found.curves)
    return ExplainedResult(
        plain.episode_id,
        plain.session_id,
        plain.content,
        plain.role,
        plain.score,
        plain.created_at,
        plain.tags,
        plain.metadata,
        explanation,
    )
