"""Late interaction: a text as the vectors of its tokens, each read in its context, in one bit per dimension.

One vector per text blurs what it says in detail. Here each token of the query looks for the token of the text that is
most like it, and what they find is added up (MaxSim of ColBERT, Khattab & Zaharia 2020). The text is read together with
what was said before it and only its own tokens are kept (late chunking, Günther et al. 2024), so that "yes, on Friday"
knows what happens on Friday. The vectors of all tokens of a model point into one common direction; without it, the
sign of each dimension says as much as its value (docs/decisions/0014-late-interaction.md).

Pure functions on numpy arrays; nothing here knows a model or a store.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from app.embedding.encoder import EncodedPassage, EncodedQuery, Vector

CODES_MAX = 128
"""Codes of one text: 6 KB at 384 dimensions. A longer one has neighbouring tokens made one."""

QUERY_TOKENS_MAX = 48

_BLOCK = 32
"""Texts that are compared at once: some 2 MB of signs, which a core's cache holds."""

_LANES = 16
"""Query tokens come in multiples of these: a product with 13 columns takes longer than one with 16."""

_SHARPNESS = 0.1
_PRIOR_TEXTS = 10
_PRIOR_SHARE = 0.3


def passage(own: Vector, telling: Vector, centre: Vector) -> EncodedPassage:
    """own: vectors of all tokens of a text, shape (n, dims), n >= 1. telling: of those to be kept one by one (without
    punctuation), n >= 1. centre: mean of the model's normalised token vectors, shape (dims,)."""
    kept = _condensed(_unit(telling), CODES_MAX)
    return EncodedPassage(_pooled(own), base64.b64encode(np.packbits(kept > centre, axis=1).tobytes()))


def query(everything: Vector, telling: Vector, centre: Vector) -> EncodedQuery:
    """everything: vectors of all tokens, the model's marks too, since a query is embedded as a whole. Else as for
    `passage`."""
    kept = _unit(_condensed(_unit(telling), QUERY_TOKENS_MAX) - centre)
    return EncodedQuery(_pooled(everything), kept)


def similarities(tokens: Vector, codes: Sequence[bytes]) -> Vector:
    """For each token of a query and each text the cosine of the token that is most like it, shape (tokens, texts).

    tokens: shape (n, dims). codes: of texts, decoded from base64, none empty. Blocks for a few milliseconds per
    hundred texts.
    """
    asked, dims = tokens.shape
    width = dims // 8
    columns = np.zeros((dims, -(-asked // _LANES) * _LANES), dtype=np.float32)
    columns[:, :asked] = tokens.T
    best = np.empty((len(codes), columns.shape[1]), dtype=np.float32)
    for start in range(0, len(codes), _BLOCK):
        block = codes[start : start + _BLOCK]
        bits = np.unpackbits(np.frombuffer(b"".join(block), dtype=np.uint8)).reshape(-1, dims).astype(np.float32)
        starts = np.cumsum([0, *(len(code) // width for code in block[:-1])])
        best[start : start + len(block)] = np.maximum.reduceat(bits @ columns, starts, axis=0)
    # Of signs ±1: twice the sum over the ones, less the sum over all.
    cosines = (2 * best[:, :asked] - tokens.sum(axis=1)) / np.float32(np.sqrt(dims))
    return cast(Vector, cosines.T)


def chars_of_code(dims: int) -> int:
    """Characters of one token's code in base64. dims: a multiple of 24."""
    return dims // 6


def telling_weights(found: Vector) -> Vector:
    """How much each token of a query tells the texts apart, shape (tokens,), each >= 0.

    found: see `similarities`. The negative logarithm of how many texts have something nearly as like it as the best
    has: an inverse document frequency without words to be counted. Few texts say little about that, so some more are
    imagined, of which every token finds the same share.
    """
    near = np.exp((found - found.max(axis=1, keepdims=True)) / _SHARPNESS).sum(axis=1)
    share = (near + _PRIOR_TEXTS * _PRIOR_SHARE) / (found.shape[1] + _PRIOR_TEXTS)
    return cast(Vector, -np.log(share))


def relevance(found: Vector, scale: tuple[float, float]) -> NDArray[np.float64]:
    """0..1 for each text: the weighted mean over the query's tokens, mapped scale[0] → 0, scale[1] → 1, clipped."""
    low, high = scale
    mean = np.average(found, axis=0, weights=telling_weights(found))
    return cast(NDArray[np.float64], np.clip((mean.astype(np.float64) - low) / (high - low), 0, 1))


def _pooled(tokens: Vector) -> Vector:
    mean = tokens.mean(axis=0)
    return cast(Vector, mean / np.linalg.norm(mean))


def _unit(tokens: Vector) -> Vector:
    return cast(Vector, tokens / np.linalg.norm(tokens, axis=1, keepdims=True))


def _condensed(tokens: Vector, most: int) -> Vector:
    if len(tokens) <= most:
        return tokens
    starts = np.linspace(0, len(tokens), most, endpoint=False).astype(int)
    return _unit(cast(Vector, np.add.reduceat(tokens, starts, axis=0)))
