"""Episodes by the hundred thousand: conversations made up word by word, and vectors that lie as those of the model do.

A few hundred turns are embedded with the real model; a session's centre is between the vectors of two of them, and its
episodes' vectors are that centre with noise, so that neighbourhoods, cosines and queries (which are embedded for real)
are of the model's kind, at no hour's cost. Written as an import of episodes with their vectors is.
"""

from __future__ import annotations

import asyncio
import base64
import random
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.container import Core, open_core
from app.elastic.scope import Scope
from app.embedding.catalogue import E5
from app.embedding.encoder import EncodedPassage, Encoder, Passage
from app.embedding.load import ModelSpec, load_onnx
from app.episodes.embed import CONTEXT_TURNS
from app.episodes.embedded import ready
from app.episodes.models import NewEpisode, Role
from app.episodes.store import Draft, EpisodeStore, Given
from app.settings import Settings
from app.types import utc_now
from bench.conversations import Language, english

CENTRES = 600
# With it two turns of one session have a cosine of about 0.9, as turns on one topic have.
_NOISE = 0.3
_FLIPPED = 0.05
_CHUNK = 1_000
_OVER_DAYS = 90
_BETWEEN_TURNS = timedelta(seconds=40)

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Corpus:
    """vectors (shape (CENTRES, dims)) and token codes of the turns that were embedded; what all others are near to."""

    vectors: Vectors
    codes: list[bytes]
    encoder: Encoder
    language: Language

    def episodes(self, seed: int) -> Iterator[Given]:
        """Sessions of embedded episodes, as many as are taken, at any time of the last 90 days. One seed, the same."""
        dice, noise = random.Random(seed), np.random.default_rng(seed)
        while True:
            yield from self._session(dice, noise)

    def _session(self, dice: random.Random, noise: np.random.Generator) -> Iterator[Given]:
        session_id, said_at = str(uuid.UUID(int=dice.getrandbits(128), version=4)), self._some_time(dice)
        near, also = dice.sample(range(CENTRES), 2)
        centre = _unit(self.vectors[near] + self.vectors[also] * dice.random())
        before: list[tuple[str, str]] = []
        for number, content in enumerate(self.language.session(dice)):
            role: Role = "assistant" if number % 2 else "user"
            new = NewEpisode(role=role, content=content, session_id=session_id)
            at = said_at + number * _BETWEEN_TURNS
            episode_id = str(uuid.UUID(int=dice.getrandbits(128), version=4))
            context = {"context": " ".join(text for _, text in before), "context_of": [one for one, _ in before]}
            fields = ready(self._encoded(centre, near, noise), content, self.encoder.info.model_id) | context
            yield Given(episode_id, Draft(0, new, at, len(content) // 4), embedding=fields)
            before = [*before, (episode_id, content)][-CONTEXT_TURNS:]

    def _encoded(self, centre: Vectors, near: int, noise: np.random.Generator) -> EncodedPassage:
        """As an episode near a centre would be; of its codes, one bit in twenty is another."""
        codes = np.frombuffer(base64.b64decode(self.codes[near]), dtype=np.uint8)
        flipped = np.packbits(noise.random(8 * len(codes), dtype=np.float32) < _FLIPPED)
        vector = _unit(centre + _NOISE * _unit(noise.standard_normal(len(centre), dtype=np.float32)))
        return EncodedPassage(vector, base64.b64encode((codes ^ flipped).tobytes()))

    def _some_time(self, dice: random.Random) -> datetime:
        return utc_now() - timedelta(days=dice.random() * _OVER_DAYS, hours=1)

    def turn(self, dice: random.Random) -> str:
        """One of some session."""
        return self.language.turn(self.language.topic(dice), dice)

    def questions(self, count: int, dice: random.Random) -> list[str]:
        """Different ones each time."""
        return [self.language.question(dice) for _ in range(count)]


def make_corpus(settings: Settings) -> Corpus:
    """Raises EngineError when the model's files can't be had."""
    dice, language = random.Random(5), english(settings)
    encoder = load_onnx(ModelSpec(E5, settings.cache_dir, 0))
    encoded = encoder.encode_documents([Passage(language.turn(language.topic(dice), dice)) for _ in range(CENTRES)])
    return Corpus(np.stack([one.vector for one in encoded]), [one.codes for one in encoded], encoder, language)


async def fill(core: Core, scope: Scope, corpus: Corpus, count: int, seed: int = 1) -> None:
    """Add `count` embedded episodes to an organisation. Raises Unavailable."""
    store = EpisodeStore(core.engine, core.once)
    coming = islice(corpus.episodes(seed), count)

    async def write(chunk: list[Given]) -> None:
        assert set(await store.create_given(scope, chunk)) == {"created"}

    async with asyncio.TaskGroup() as writes:
        writing = None
        # While one chunk is written, the next is made.
        while chunk := await asyncio.to_thread(lambda: list(islice(coming, _CHUNK))):
            if writing:
                await writing
            writing = writes.create_task(write(chunk))


async def fill_all(settings: Settings, corpus: Corpus, scopes: Mapping[int, Scope]) -> None:
    """Add to each of these organisations as many embedded episodes as it stands under."""
    async with open_core(settings) as core:
        for size, scope in scopes.items():
            await fill(core, scope, corpus, size, seed=size)


def _unit(vector: NDArray[Any]) -> Vectors:
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)
