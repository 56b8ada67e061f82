"""e5-small-v2: what it is given to read, and what becomes of its token vectors, whoever runs it."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import cast

import numpy as np
from tokenizers import Tokenizer

from app.embedding import late
from app.embedding.encoder import EncodedPassage, EncodedQuery, ModelInfo, Passage, Vector, cut

MAX_TOKENS = 512

# What e5 was trained with (Wang et al. 2022).
QUERY_PREFIX = "query: "
DOCUMENT_PREFIX = "passage: "

Run = Callable[[Sequence[str]], list[Vector]]
"""Texts to the vectors of their tokens, one array of shape (n, dims) for each, the two marks around a text among them;
of a text that is too long the beginning."""


def centre() -> Vector:
    """Mean of the model's normalised token vectors, shape (384,): `scripts/measure_centre.py` made it."""
    return cast(Vector, np.load(io.BytesIO(files("app.embedding").joinpath("e5_centre.npy").read_bytes())))


class E5Encoder:
    """An Encoder. A passage is read behind its context and remembered by its own tokens alone."""

    def __init__(self, run: Run, tokenizer: Path, info: ModelInfo) -> None:
        """tokenizer: the model's `tokenizer.json`."""
        self.info = info
        self._run = run
        self._centre = centre()
        # One that cuts nothing, since what is cut off a context is its beginning.
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._punctuation = frozenset(
            number
            for token, number in self._tokenizer.get_vocab().items()
            if not any(character.isalnum() for character in token)
        )
        self._query_start = 1 + len(self._ids(QUERY_PREFIX))
        self._room = MAX_TOKENS - 2 - len(self._ids(DOCUMENT_PREFIX))

    def encode_query(self, text: str) -> EncodedQuery:
        """A search query. It is run alone, to be repeatable."""
        text = cut(text, MAX_TOKENS)
        tokens = self._run([QUERY_PREFIX + text])[0]
        own = tokens[self._query_start : -1]
        return late.query(tokens, self._telling(own, self._ids(text)) if len(own) else tokens, self._centre)

    def encode_documents(self, passages: Sequence[Passage]) -> list[EncodedPassage]:
        """Texts to be found."""
        texts = [cut(passage.text, MAX_TOKENS) for passage in passages]
        own_ids = [self._ids(text)[: self._room] for text in texts]
        full = [
            self._behind(passage.context, text, self._room - len(ids))
            for passage, text, ids in zip(passages, texts, own_ids, strict=True)
        ]
        return [self._passage(tokens, ids) for tokens, ids in zip(self._run(full), own_ids, strict=True)]

    def _behind(self, context: str, text: str, room: int) -> str:
        """The text behind its prefix and as much of the end of its context as `room` tokens hold."""
        context = cut(context, MAX_TOKENS)
        offsets = self._tokenizer.encode(context, add_special_tokens=False).offsets
        if len(offsets) > room:
            context = context[offsets[-room][0] :] if room > 0 else ""
        return f"{DOCUMENT_PREFIX}{context}\n{text}" if context else DOCUMENT_PREFIX + text

    def _passage(self, tokens: Vector, ids: Sequence[int]) -> EncodedPassage:
        # White space and control characters alone have no tokens.
        own = tokens[-1 - len(ids) : -1] if ids else tokens
        return late.passage(own, self._telling(own, ids), self._centre)

    def _telling(self, own: Vector, ids: Sequence[int]) -> Vector:
        """Without punctuation, unless there is nothing else."""
        places = [place for place, number in enumerate(ids[: len(own)]) if number not in self._punctuation]
        return own[places] if places else own

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)
