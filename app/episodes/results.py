"""From hits to results: order among equals, pages, explanations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from app.elastic.index import Found, Hit
from app.episodes.models import DetailedResult, Mix, SearchRequest, SearchResult, Surroundings
from app.episodes.ranking import SCORE_DIGITS, Curves, explain
from app.episodes.rescoring import Rescored
from app.types import from_iso


@dataclass(frozen=True, slots=True)
class Ranked:
    """Hits in their final order. total: how many could be paged through. mix: None where nothing was
    scored and the order is by time. closely: by id, those that went through the second stage. duplicates: by id, how
    many each stands for; None where none were collapsed."""

    hits: list[Hit]
    total: int
    mix: Mix | None
    curves: Curves
    closely: Mapping[str, Rescored] = field(default_factory=dict)
    duplicates: Mapping[str, int] | None = None

    def scores_end_before(self, end: int) -> bool:
        """Whether a group of equal scores that reaches over position `end` is whole."""
        return end < len(self.hits) and self.hits[-1].score < self.hits[max(0, end - 1)].score

    def from_score(self, least: float) -> Ranked:
        """Without what scores less."""
        if not least:
            return self
        hits = [hit for hit in self.hits if hit.score >= least]
        return replace(self, hits=hits, total=len(hits))

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


def page_of(
    found: Ranked, request: SearchRequest, around: Mapping[str, Surroundings] | None = None
) -> list[DetailedResult | SearchResult]:
    """The results, each with what the request asks for beside it. around: by id, where that is asked for."""
    return [_result(hit, found, request.explain, around) for hit in found.hits]


def _result(
    hit: Hit, found: Ranked, explained: bool, around: Mapping[str, Surroundings] | None
) -> DetailedResult | SearchResult:
    source = hit.source
    closely = found.closely.get(hit.id)
    if closely is not None:
        score = closely.score
    else:
        score = 1.0 if found.mix is None else min(1.0, round(hit.score, SCORE_DIGITS))
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
    explained = explained and found.mix is not None
    if not explained and around is None and found.duplicates is None:
        return plain
    explanation = None
    if explained:
        assert found.mix is not None
        relevance, lift = (closely.relevance, closely.lift) if closely is not None else (score, 0.0)
        bm25 = sum(hit.named.values())
        explanation = explain(bm25, plain.created_at, found.mix, found.curves, relevance=relevance, lift=lift)
    return DetailedResult(
        plain.episode_id,
        plain.session_id,
        plain.content,
        plain.role,
        plain.score,
        plain.created_at,
        plain.tags,
        plain.metadata,
        explanation,
        list(hit.marked) if explained else None,
        around.get(hit.id) if around is not None else None,
        found.duplicates[hit.id] if found.duplicates is not None else None,
    )
