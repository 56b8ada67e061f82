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
    cosines of a model crowd somewhere, and must be spread before they are mixed with other scores. token_scale: the
    same for the similarities of single words (`app.embedding.late`); None: the model gives none.
    """

    model_id: str
    dims: int
    scale: tuple[float, float]
    token_scale: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """A text to be found, with what was said before it, oldest first. What is too long loses its context first."""

    text: str
    context: str = ""


@dataclass(frozen=True, slots=True)
class EncodedPassage:
    """vector: of shape (dims,), L2-normalised. codes: for each token of the text itself, read in its context, a bit per
    dimension, as base64; empty where the model gives none."""

    vector: Vector
    codes: bytes = b""


@dataclass(frozen=True, slots=True)
class EncodedQuery:
    """vector: of shape (dims,), L2-normalised. tokens: of shape (n, dims), to be compared with codes; n is 0 where the
    model gives none."""

    vector: Vector
    tokens: Vector


class EncodingError(Exception):
    """A text could not be encoded; the message is a reason that may be stored and shown."""


class Encoder(Protocol):
    """Turns texts into float32 vectors. Blocks: call it in a thread or another process."""

    @property
    def info(self) -> ModelInfo:
        """Identity, size and scale of the model."""
        ...

    def encode_query(self, text: str) -> EncodedQuery:
        """A search query."""
        ...

    def encode_documents(self, passages: Sequence[Passage]) -> list[EncodedPassage]:
        """Texts to be found, in the order of `passages`."""
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

    async def encode_query(self, text: str) -> EncodedQuery:
        """A search query."""
        ...

    async def encode_documents(self, passages: Sequence[Passage]) -> list[EncodedPassage]:
        """Texts to be found, in the order of `passages`."""
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
