"""The first stage of a search: one score out of meaning, words and recency, each in 0..1 before they are mixed.

    semantic = cosine of the query's vector and the text's, read in its context, mapped linearly so that the
               model's usual range of cosines fills 0..1, clipped
    keyword  = b / (b + HALF), b = BM25 of the own text + half the BM25 of the context
    recency  = 2 ^ (-age / half-life)

Of a text whose tokens are known one by one, the vector gives only VECTOR_SHARE of the semantic part; its tokens give
the rest, in the second stage (`rescoring`).

The scripts run in Elasticsearch (Painless); the functions beside them are the same curves in Python,
for explanations and tests. Raw BM25 and cosines are on different scales, and adding them as they are
is the common mistake (docs/decisions/0004-scoring.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.episodes.models import Explanation, Mix, ScorePart
from app.types import epoch_ms

BM25_HALF = 40.0
"""The BM25 score at which the keyword part is 0.5."""

VECTOR_SHARE = 0.3
"""What one vector says of a text's meaning, where its tokens say the rest."""

SCORE_DIGITS = 6

CONTEXT_BOOST = 0.5

_KEYWORD = "double k = _score / (_score + params.half);"
_RECENCY = (
    "double r = Math.exp(-params.decay * Math.max(0, params.now - doc['created_at'].value.toInstant().toEpochMilli()));"
)
# All vectors are of length 1, so the product is the cosine, at less than its price.
_COSINE = "double c = dotProduct(params.vector, 'context_vector');"
_AND_OF_ITS_OWN = (
    " if (doc.containsKey('content_vector') && doc['content_vector'].size() != 0) {"
    " c = 0.5 * (c + dotProduct(params.vector, 'content_vector')); }"
)
_MIXED = (
    " double s = params.share * Math.min(1.0, Math.max(0.0, (c - params.low) / (params.high - params.low)));"
    " return params.ws * s + params.wk * k + params.wr * r;"
)

WITH_VECTOR = f"{_KEYWORD} {_RECENCY} {_COSINE} {_MIXED}"
WITH_EARLIER_VECTORS = f"{_KEYWORD} {_RECENCY} {_COSINE} {_AND_OF_ITS_OWN} {_MIXED}"
"""For episodes of 0.1.0, which may have another vector, of the text alone."""

WITHOUT_VECTORS = f"{_KEYWORD} {_RECENCY} return params.wk * k + params.wr * r;"


@dataclass(frozen=True, slots=True)
class Curves:
    """The constants of the three curves.

    low, high: the cosines that map to 0 and to 1, a property of the embedding model.
    half_life_ms: the age at which recency is 0.5. now_ms: the moment that ages are counted from.
    """

    low: float
    high: float
    half_life_ms: float
    now_ms: int

    def params(self, mix: Mix, vector: list[float] | None, vector_share: float = 1.0) -> dict[str, Any]:
        """Parameters of the scripts. vector_share: of the semantic part, what the vector gives."""
        params: dict[str, Any] = {
            "half": BM25_HALF,
            "decay": math.log(2) / self.half_life_ms,
            "now": self.now_ms,
            "wk": mix.keyword,
            "wr": mix.recency,
        }
        if vector is not None:
            params |= {"vector": vector, "low": self.low, "high": self.high, "ws": mix.semantic, "share": vector_share}
        return params


def scoring_moment(now: datetime) -> int:
    """`now` rounded up to the hour, in epoch milliseconds: pages that are asked for one after the
    other are then cut from the same list, though time passes between them."""
    floor = now.replace(minute=0, second=0, microsecond=0)
    return epoch_ms(floor + timedelta(hours=1))


def keyword(bm25: float) -> float:
    """b / (b + 40). bm25 >= 0; in 0..1, never 1."""
    return bm25 / (bm25 + BM25_HALF)


def recency(age_ms: float, half_life_ms: float) -> float:
    """1 now, 0.5 after one half-life; the future counts as now."""
    return math.exp(-math.log(2) * max(0.0, age_ms) / half_life_ms)


def semantic(cosine: float, low: float, high: float) -> float:
    """The cosine mapped low → 0, high → 1, clipped."""
    mapped = (cosine - low) / (high - low)
    return min(1.0, max(0.0, mapped))


def explain(
    bm25: float, created_at: datetime, mix: Mix, curves: Curves, *, relevance: float, lift: float
) -> Explanation:
    """Take a score apart. bm25: the named clauses' sum. relevance: the score before it was lifted. The semantic share
    is what the others leave of it."""
    words = keyword(bm25)
    recent = recency(curves.now_ms - epoch_ms(created_at), curves.half_life_ms)
    rest = max(0.0, relevance - mix.keyword * words - mix.recency * recent)
    meaning = min(1.0, rest / mix.semantic) if mix.semantic > 0 else 0.0
    return Explanation(
        semantic=_part(meaning, mix.semantic),
        keyword=_part(words, mix.keyword),
        recency=_part(recent, mix.recency),
        lift=_part(lift, 1 - relevance),
    )


def _part(score: float, weight: float) -> ScorePart:
    return ScorePart(round(score, SCORE_DIGITS), round(weight, SCORE_DIGITS), round(score * weight, SCORE_DIGITS))
