"""Late interaction: codes of tokens, what they say about cosines, and what tells texts apart."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.embedding import late
from app.embedding.encoder import Vector

DIMS = 96
CENTRE = np.full(DIMS, 0.1, dtype=np.float32)
SCALE = (0.2, 0.6)

seeds = st.integers(0, 2**32 - 1)
counts = st.integers(1, 300)


def tokens(seed: int, count: int) -> Vector:
    """Around a common direction, as a model's are."""
    drawn = np.random.default_rng(seed).standard_normal((count, DIMS)) / np.sqrt(DIMS) + CENTRE
    return np.asarray(drawn, dtype=np.float32)


def query_of(seed: int, count: int) -> Vector:
    drawn = tokens(seed, count)
    return late.query(drawn, drawn, CENTRE).tokens


def codes_of(seed: int, count: int) -> bytes:
    drawn = tokens(seed, count)
    return base64.b64decode(late.passage(drawn, drawn, CENTRE).codes)


@given(seeds, counts)
def test_a_text_has_a_code_for_each_token_up_to_a_limit(seed: int, count: int) -> None:
    drawn = tokens(seed, count)
    encoded = late.passage(drawn, drawn, CENTRE)
    assert len(encoded.codes) == min(count, late.CODES_MAX) * late.chars_of_code(DIMS)
    assert np.linalg.norm(encoded.vector) == pytest.approx(1, abs=1e-5)
    asked = late.query(drawn, drawn, CENTRE)
    assert len(asked.tokens) == min(count, late.QUERY_TOKENS_MAX)
    assert np.linalg.norm(asked.tokens, axis=1) == pytest.approx(1, abs=1e-5)


@given(seeds, st.integers(1, 5), st.lists(counts, min_size=1, max_size=150))
@settings(max_examples=30)
def test_similarities_are_those_of_the_signs_taken_one_by_one(seed: int, asked: int, lengths: list[int]) -> None:
    query = query_of(seed, asked)
    codes = [codes_of(seed + number, count) for number, count in enumerate(lengths)]
    found = late.similarities(query, codes)
    assert found.shape == (asked, len(codes))
    for place, code in enumerate(codes):
        bits = np.unpackbits(np.frombuffer(code, dtype=np.uint8).reshape(-1, DIMS // 8), axis=1)
        signs = (2.0 * bits - 1) / np.sqrt(DIMS)
        assert found[:, place] == pytest.approx((query @ signs.T).max(axis=1), abs=1e-5)


@given(seeds, st.integers(2, 40))
def test_the_text_itself_is_the_most_like_it(seed: int, count: int) -> None:
    codes = [codes_of(seed + number, count) for number in range(5)]
    scores = late.relevance(late.similarities(query_of(seed, count), codes), SCALE)
    assert int(scores.argmax()) == 0
    assert scores.min() >= 0
    assert scores.max() <= 1


def test_a_token_that_all_texts_have_tells_nothing_apart() -> None:
    everywhere = np.full(100, 0.7)
    once = np.concatenate([[0.7], np.full(99, 0.1)])
    weights = late.telling_weights(np.stack([everywhere, once]).astype(np.float32))
    assert weights[0] < 0.1 < 2 < weights[1]


@given(seeds)
def test_of_one_text_alone_every_token_counts_the_same(seed: int) -> None:
    found = late.similarities(query_of(seed, 7), [codes_of(seed + 1, 9)])
    weights = late.telling_weights(found)
    assert weights == pytest.approx(weights[0])
    assert weights[0] > 0
