"""Made-up conversations whose words come as often, and as unevenly, as those of real ones do.

What BM25 costs depends on how many texts each word of a query is in: sentences of a few templates make it look several
times as dear as it is. The words are those of the default model's own vocabulary, which lists them by how common they
are; how often one of which rank comes was counted in transcripts of everyday talk.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from app.embedding.weights import e5_files
from app.settings import Settings

TURNS_OF_A_SESSION = 22
_MEDIAN_WORDS, _SPREAD, _MOST_WORDS = 24, 0.55, 200
# Rank, and the share of all words that are the one of this rank. Straight lines between them, both axes logarithmic.
_SHARES = (
    (1, 0.05), (11, 0.0106), (21, 0.0075), (51, 0.0037), (101, 0.0019), (201, 0.0009), (501, 0.00027), (1_001, 0.0001),
    (20_001, 0.0000012),
)  # fmt: skip
_TOPIC_WORDS = 12
_OF_THE_TOPIC = 0.2
_TOPICAL_FROM = 300
# Of a question's ten words, in how many ranks each is: what is asked with, what is common, and what it is about.
_ASKED_WITH, _COMMON, _ABOUT = 5, 2, 3


@dataclass(frozen=True)
class Language:
    """words: the commonest first."""

    words: list[str]

    @cached_property
    def _cumulated(self) -> NDArray[np.float64]:
        ranks = np.log(np.arange(1, len(self.words) + 1))
        at, share = np.log(np.array(_SHARES)).T
        shares = np.exp(np.interp(ranks, at, share))
        return cast(NDArray[np.float64], np.cumsum(shares / shares.sum()))

    def topic(self, dice: random.Random) -> list[str]:
        """What a session is about: words of any rank but the commonest."""
        low, high = math.log(_TOPICAL_FROM), math.log(len(self.words))
        return [self.words[int(math.exp(dice.uniform(low, high))) - 1] for _ in range(_TOPIC_WORDS)]

    def turn(self, topic: list[str], dice: random.Random) -> str:
        """What one says: 24 words at the median, one in twenty turns has 9 or fewer, one in twenty 60 or more."""
        count = min(_MOST_WORDS, max(1, round(dice.lognormvariate(math.log(_MEDIAN_WORDS), _SPREAD))))
        return " ".join(
            dice.choice(topic) if dice.random() < _OF_THE_TOPIC else self._word(dice.random()) for _ in range(count)
        )

    def session(self, dice: random.Random) -> Iterator[str]:
        """Its turns."""
        topic = self.topic(dice)
        for _ in range(TURNS_OF_A_SESSION):
            yield self.turn(topic, dice)

    def question(self, dice: random.Random) -> str:
        """About ten words, three of them of some topic."""
        words = [self._word(dice.random() * self._up_to(60)) for _ in range(_ASKED_WITH)]
        words += [self._word(dice.uniform(self._up_to(60), self._up_to(_TOPICAL_FROM))) for _ in range(_COMMON)]
        words += dice.sample(self.topic(dice), _ABOUT)
        return " ".join(words) + "?"

    def _word(self, place: float) -> str:
        return self.words[min(int(np.searchsorted(self._cumulated, place)), len(self.words) - 1)]

    def _up_to(self, rank: int) -> float:
        return float(self._cumulated[rank - 1])


def english(settings: Settings) -> Language:
    """Some 20,000 words. Raises EngineError when the model's files can't be had."""
    ids = Tokenizer.from_file(str(e5_files(settings.cache_dir).tokenizer)).get_vocab()
    words = [token for token in sorted(ids, key=lambda token: ids[token]) if token.isascii() and token.isalpha()]
    return Language([word for word in words if len(word) > 1])
