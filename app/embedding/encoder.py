"""What every text encoder has in common, whatever runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
"""One vector of shape (dims,), or several of shape (n, dims)."""

# Measured at one and two threads: fewer texts waste the second thread, more only add padding.
RUN_BATCH = 16

_CHARS_PER_TOKEN = 16


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What the rest of the service must know of a model.

    model_id: names model and precision. It is stored with each vector; only vectors of one id may be
    compared. dims: length of a vector. scale: the cosines that mean "unrelated" (0) and "the same" (1): the
    cosines of a model crowd somewhere, and must be spread before they are mixed with other scores.
    """

    model_id: str
    dims: int
    scale: tuple[float, float]


class EncodingError(Exception):
    """A text could not be encoded; the message is a reason that may be stored and shown."""


class Encoder(Protocol):
    """Turns texts into L2-normalised float32 vectors. Blocks: call it in a thread or another process."""

    @property
    def info(self) -> ModelInfo:
        """Identity, size and scale of the model."""
        ...

    def encode_query(self, text: str) -> Vector:
        """Vector of a search query, shape (dims,)."""
        ...

    def encode_documents(self, texts: Sequence[str]) -> Vector:
        """Vectors of texts to be found, shape (n, dims), in the order of `texts`."""
        ...


class AsyncEncoder(Protocol):
    """An Encoder that waits elsewhere than on the event loop.

    Both methods raise EncodingError when the texts can't be encoded (in time), and EngineError when the model
    can't be had at all.
    """

    @property
    def info(self) -> ModelInfo:
        """Identity, size and scale of the model."""
        ...

    async def encode_query(self, text: str) -> Vector:
        """Vector of a search query, shape (dims,)."""
        ...

    async def encode_documents(self, texts: Sequence[str]) -> Vector:
        """Vectors of texts to be found, shape (n, dims), in the order of `texts`."""
        ...

    async def close(self) -> None:
        """Give everything back; may be called twice."""
        ...


def cut(text: str, max_tokens: int) -> str:
    """The beginning of `text` that a model of `max_tokens` can see; a short text stays as it is.

    Tokenising costs by length whatever is kept of it: 100,000 characters take 125 ms of prose and 360 ms of
    Chinese. A long text has its runs of white space made one space first, so that none hides the words;
    its words have to be longer than 16 characters on average to make it end before the last token.
    Lone surrogates, which no tokenizer takes, become `?`.
    """
    limit = max_tokens * _CHARS_PER_TOKEN
    if len(text) > limit:
        text = " ".join(text.split())[:limit]
    return text.encode("utf-8", "replace").decode()
