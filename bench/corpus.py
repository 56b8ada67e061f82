"""Episodes by the ten thousand: made-up turns, and vectors that lie as those of the model do.

A few hundred turns are embedded with the real model; every episode's vector is one of theirs with noise, so that
neighbourhoods, cosines and queries (which are embedded for real) are of the model's kind, at no minute's cost.
Written through the service's own stores: created as `POST /memory` does, then replaced as the worker does.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from app.container import Core, open_core
from app.elastic.scope import Scope
from app.embedding.catalogue import E5
from app.embedding.encoder import EncodedPassage, Encoder, Passage
from app.embedding.load import ModelSpec, load_onnx
from app.episodes.due import DueStore
from app.episodes.embedded import ready
from app.episodes.models import NewEpisode
from app.episodes.store import Draft, EpisodeStore
from app.idempotency.models import Answered, Creation
from app.settings import Settings
from app.types import utc_now
from bench.embedding import queries, turns

CENTRES = 600
# With it two turns from one centre have a cosine of about 0.9, as turns on one topic have.
_NOISE = 0.3
_FLIPPED = 0.05
_CHUNK = 1_000
_OVER_DAYS = 90
_VOCABULARY = 4_000
_OWN_WORDS = 4

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Corpus:
    """texts, vectors (shape (CENTRES, dims)) and token codes of the centres; queries about them."""

    texts: list[str]
    vectors: Vectors
    codes: list[bytes]
    encoder: Encoder
    words: list[str]

    def draft(self, dice: random.Random) -> tuple[Draft, int]:
        """A new episode near a centre, and which."""
        centre = dice.randrange(CENTRES)
        own = " ".join(self._word(dice) for _ in range(_OWN_WORDS))
        said = utc_now() - timedelta(days=dice.random() * _OVER_DAYS)
        new = NewEpisode(role=dice.choice(["user", "assistant"]), content=f"{self.texts[centre]} {own}")
        return Draft(0, new, said, len(new.content) // 4), centre

    def encoded(self, centre: int, noise: np.random.Generator) -> EncodedPassage:
        """As an episode near a centre would be; one bit in twenty of its codes is another."""
        codes = np.frombuffer(base64.b64decode(self.codes[centre]), dtype=np.uint8)
        flipped = np.packbits(noise.random(8 * len(codes)) < _FLIPPED)
        return EncodedPassage(self.near(centre, noise), base64.b64encode((codes ^ flipped).tobytes()))

    def near(self, centre: int, noise: np.random.Generator) -> Vectors:
        """A vector near a centre, shape (dims,), of length 1."""
        away = _unit(noise.standard_normal((1, self.vectors.shape[1])))
        return cast(Vectors, _unit(self.vectors[centre] + _NOISE * away)[0])

    def questions(self, count: int, dice: random.Random) -> list[str]:
        """Different ones each time."""
        return [f"{question} {self._word(dice)}" for question in queries(count, dice)]

    def _word(self, dice: random.Random) -> str:
        # Zipf's law, about: few words are everywhere, most are rare.
        return self.words[int(_VOCABULARY ** dice.random()) - 1]


def make_corpus(settings: Settings) -> Corpus:
    dice = random.Random(5)
    encoder = load_onnx(ModelSpec(E5, settings.cache_dir, 0))
    texts = turns(CENTRES, dice)
    syllables = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
    words = ["".join(dice.choices(syllables, k=dice.choice((2, 3, 4)))) for _ in range(_VOCABULARY)]
    encoded = encoder.encode_documents([Passage(text) for text in texts])
    return Corpus(texts, np.stack([one.vector for one in encoded]), [one.codes for one in encoded], encoder, words)


async def fill(core: Core, scope: Scope, corpus: Corpus, count: int, seed: int = 1) -> None:
    """Add `count` embedded episodes to an organisation."""
    episodes, due = EpisodeStore(core.engine, core.once), DueStore(core.engine)
    dice, noise = random.Random(seed), np.random.default_rng(seed)
    info = corpus.encoder.info
    for start in range(0, count, _CHUNK):
        drafts = [corpus.draft(dice) for _ in range(min(_CHUNK, count - start))]
        centres = {}
        stored = await episodes.create_all(Creation(scope, ()), [draft for draft, _ in drafts], Answered())
        for result, (_, centre) in zip(stored, drafts, strict=True):
            if isinstance(result, BaseException):
                raise result
            centres[result.id] = centre
        documents = await due.due(info.model_id, _CHUNK)
        assert {document.id for document in documents} == set(centres)
        outcomes = [
            (
                document,
                ready(corpus.encoded(centres[document.id], noise), document.source["content"], info.model_id)
                | {"context": corpus.texts[centres[document.id]]},
            )
            for document in documents
        ]
        saved = await due.save(outcomes)
        assert saved.written == len(outcomes)


async def fill_all(settings: Settings, corpus: Corpus, scopes: Mapping[int, Scope]) -> None:
    """Add to each of these organisations as many embedded episodes as it stands under."""
    async with open_core(settings) as core:
        for size, scope in scopes.items():
            await fill(core, scope, corpus, size, seed=size)


def _unit(vectors: NDArray[Any]) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / lengths, dtype=np.float32)
