"""One score out of three: each part in 0..1, monotone, and taken apart again without a rest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.episodes import ranking
from app.episodes.models import DEFAULT_MIX, Mix, SearchRequest, Weights, mix_of
from app.episodes.ranking import Curves, explain, scoring_moment
from app.types import epoch_ms

HALF_LIFE_MS = 30 * 86_400_000.0
NOW = datetime(2026, 4, 22, 10, 0, tzinfo=UTC)
CURVES = Curves(low=0.7, high=0.92, half_life_ms=HALF_LIFE_MS, now_ms=epoch_ms(NOW))

bm25 = st.floats(0, 1e6)
cosines = st.floats(-1, 1)
ages = st.floats(-1e12, 1e14)
parts = st.floats(0, 1)


@st.composite
def mixes(draw: st.DrawFn) -> Mix:
    first, second = sorted((draw(parts), draw(parts)))
    return Mix(first, second - first, 1 - second)


@given(bm25, bm25)
def test_more_words_never_score_less(left: float, right: float) -> None:
    low, high = sorted((left, right))
    assert 0 <= ranking.keyword(low) <= ranking.keyword(high) < 1


@given(ages, ages)
def test_what_is_older_never_scores_more(left: float, right: float) -> None:
    young, old = sorted((left, right))
    assert 0 <= ranking.recency(old, HALF_LIFE_MS) <= ranking.recency(young, HALF_LIFE_MS) <= 1


@given(cosines, cosines)
def test_a_closer_meaning_never_scores_less(left: float, right: float) -> None:
    far, near = sorted((left, right))
    assert 0 <= ranking.semantic(far, 0.7, 0.92) <= ranking.semantic(near, 0.7, 0.92) <= 1


def test_the_curves_go_through_their_fixed_points() -> None:
    assert ranking.keyword(ranking.BM25_HALF) == 0.5
    assert ranking.recency(HALF_LIFE_MS, HALF_LIFE_MS) == pytest.approx(0.5)
    assert ranking.recency(0, HALF_LIFE_MS) == 1
    assert ranking.semantic(0.7, 0.7, 0.92) == 0
    assert ranking.semantic(0.92, 0.7, 0.92) == pytest.approx(1)
    assert ranking.semantic(0.81, 0.7, 0.92) == pytest.approx(0.5)


@given(mixes(), bm25, cosines, parts, st.integers(0, 10 * 365))
def test_shares_of_an_explanation_sum_to_the_score(
    mix: Mix, words: float, cosine: float, lift: float, days: int
) -> None:
    created = NOW - timedelta(days=days)
    relevance = (
        mix.semantic * ranking.semantic(cosine, CURVES.low, CURVES.high)
        + mix.keyword * ranking.keyword(words)
        + mix.recency * ranking.recency(epoch_ms(NOW) - epoch_ms(created), HALF_LIFE_MS)
    )
    assert 0 <= relevance <= 1 + 1e-9
    relevance = min(1.0, relevance)
    explained = explain(words, created, mix, CURVES, relevance=relevance, lift=lift)
    shown = (explained.semantic, explained.keyword, explained.recency, explained.lift)
    assert sum(part.share for part in shown) == pytest.approx(relevance + (1 - relevance) * lift, abs=5e-6)
    for part in shown:
        assert 0 <= part.score <= 1
        assert part.share == pytest.approx(part.score * part.weight, abs=2e-6)


@given(st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_the_scoring_moment_is_the_next_full_hour(now: datetime) -> None:
    moment = scoring_moment(now)
    assert moment % 3_600_000 == 0
    assert epoch_ms(now) < moment <= epoch_ms(now) + 3_600_000


def test_weights_left_out_are_the_default() -> None:
    assert mix_of(None) == DEFAULT_MIX
    assert mix_of(Weights()) == DEFAULT_MIX


@pytest.mark.parametrize(
    ("given_weights", "mix"),
    [
        ({"keyword": 1}, Mix(0, 1, 0)),
        ({"semantic": 0.5, "keyword": 0.5}, Mix(0.5, 0.5, 0)),
        ({"semantic": 0.6}, DEFAULT_MIX),
        ({"semantic": 0.3, "keyword": 0.6}, Mix(0.3, 0.6, 0.1)),
        ({"semantic": 0.1, "keyword": 0.2, "recency": 0.7}, Mix(0.1, 0.2, 0.7)),
        ({"semantic": 0.9999995}, Mix(0.9999995, 0, 0)),
    ],
)
def test_weights_are_filled_with_nothing_or_with_the_default(given_weights: dict[str, float], mix: Mix) -> None:
    assert mix_of(Weights(**given_weights)) == mix


@given(st.lists(st.one_of(st.none(), parts), min_size=3, max_size=3))
def test_a_mix_always_sums_to_one_or_is_refused(values: list[float | None]) -> None:
    weights = Weights(semantic=values[0], keyword=values[1], recency=values[2])
    try:
        mix = mix_of(weights)
    except ValueError:
        assert abs(sum(value or 0.0 for value in values) - 1) > 1e-6
        return
    assert mix.semantic + mix.keyword + mix.recency == pytest.approx(1, abs=1.1e-6)
    for name, value in zip(("semantic", "keyword", "recency"), values, strict=True):
        assert value is None or getattr(mix, name) == value


def test_wrong_weights_are_refused_in_hybrid_mode_alone() -> None:
    weights = {"semantic": 0.9, "keyword": 0.9, "recency": 0.9}
    with pytest.raises(ValidationError, match="must sum to"):
        SearchRequest.model_validate({"query": "x", "weights": weights})
    assert SearchRequest.model_validate({"query": "x", "weights": weights, "mode": "keyword"}).search_mode == "keyword"
