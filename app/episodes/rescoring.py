"""The best candidates of a search, looked at closely: token by token, and as parts of a conversation.

A candidate comes with the score of the first stage, in which one vector stood for its text. Here

    relevance = first stage + what its tokens add to the semantic part      (app.embedding.late)
    score     = relevance + (1 - relevance) * lift

so that nothing falls and everything stays in 0..1: whatever was not among the candidates still ranks below them.
The lift is for what a single text can't show; what has nothing of the query is not lifted. All of it was measured, each
part alone (docs/retrieval.md):

- the turn after it fits as well: an answer explains its question,
- its session fits as a whole: the mean of its three best,
- it says much, and states rather than asks,
- it was said by who is named in the query,
- it was said about when the query names (`moments`).

Pure, and takes some ten milliseconds for two hundred candidates: run it in a thread.
"""

from __future__ import annotations

import base64
import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.elastic.index import Hit
from app.embedding import Vector, late
from app.episodes import moments
from app.episodes.embedded import FORM
from app.episodes.models import Mix
from app.episodes.ranking import SCORE_DIGITS, VECTOR_SHARE, Curves, recency
from app.types import epoch_ms, from_epoch_ms, from_iso

SESSION_BEST = 3
FEW_TOKENS, MANY_TOKENS = 8, 80

FITTING = 0.1
"""From how much of meaning and words on a text is lifted in full: what has nothing of the query isn't lifted at all."""

_TINY = 1e-9
_WORD = re.compile(r"\w+")

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tuning:
    """What counts how much; each lift is the share of what is missing to 1 that it gives at most.

    tokens: whether texts are compared token by token, where the model can.
    """

    tokens: bool = True
    next_turn: float = 0.08
    session: float = 0.2
    says_much: float = 0.05
    states: float = 0.05
    named: float = 0.06
    dated: float = 0.15


DEFAULT_TUNING = Tuning()


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is looked at of an episode that the first stage has found. said_after: id of the turn before it, if it has
    one. codes: of its tokens, decoded; empty until it is embedded, and with a model that gives none."""

    episode_id: str
    session_id: str | None
    created_ms: int
    ordinal: int
    role: str
    speaker: str | None
    token_count: int
    is_question: bool
    said_after: str | None
    codes: bytes


def candidate_of(hit: Hit, model_id: str) -> Candidate:
    """A hit that was read with `queries.CANDIDATE_FIELDS`. model_id: only tokens of that model can be compared."""
    source = hit.source
    current = (source.get("embedding_model"), source.get("embedding_form")) == (model_id, FORM)
    return Candidate(
        hit.id,
        source.get("session_id"),
        epoch_ms(from_iso(source["created_at"])),
        source["ordinal"],
        source["role"],
        source.get("speaker"),
        source["token_count"],
        bool(source.get("is_question")),
        (source.get("context_of") or [None])[-1],
        base64.b64decode(source.get("token_codes") or "") if current else b"",
    )


@dataclass(frozen=True, slots=True)
class Rescored:
    """relevance: 0..1. lift: how much of what is missing to 1 it was given."""

    episode_id: str
    relevance: float
    lift: float

    @property
    def score(self) -> float:
        """0..1, rounded as it is shown, so that what looks equal is ordered as equal."""
        return round(self.relevance + (1 - self.relevance) * self.lift, SCORE_DIGITS)


def rescore(
    found: Sequence[tuple[Candidate, float]],
    words: str,
    tokens: Vector,
    token_scale: tuple[float, float] | None,
    mix: Mix,
    curves: Curves,
    tuning: Tuning = DEFAULT_TUNING,
) -> list[Rescored]:
    """All of them, best first; among equals the newest, then by id.

    found: each with its score of the first stage, 0..1. words: the query. tokens: its token vectors. token_scale: the
    model's; None where it compares none.
    """
    if not found:
        return []
    candidates = [candidate for candidate, _ in found]
    relevance = np.array([min(1.0, score) for _, score in found])
    if token_scale is not None:
        of_tokens = mix.semantic * (1 - VECTOR_SHARE)
        relevance = np.minimum(1.0, relevance + of_tokens * _by_token(candidates, tokens, token_scale))
    # Being new is no reason to lift something, or what is around it.
    fit = np.maximum(0.0, relevance - mix.recency * _recency(candidates, curves))
    asked = mix.semantic + mix.keyword
    fitting = np.clip(fit / max(FITTING * asked, _TINY), 0, 1)
    lift = (asked * fitting) * (
        tuning.next_turn * _next_turn(candidates, fit)
        + tuning.session * _session(candidates, fit)
        + tuning.says_much * _says_much(candidates)
        + tuning.states * np.array([not candidate.is_question for candidate in candidates])
        + tuning.named * _named(candidates, words)
        + tuning.dated * _dated(candidates, words, curves)
    )
    rescored = [
        Rescored(candidate.episode_id, float(one), float(other))
        for candidate, one, other in zip(candidates, relevance, lift, strict=True)
    ]
    order = sorted(zip(rescored, candidates, strict=True), key=_best_first)
    return [one for one, _ in order]


def _by_token(candidates: Sequence[Candidate], tokens: Vector, scale: tuple[float, float]) -> Scores:
    scores = np.zeros(len(candidates))
    places = [place for place, candidate in enumerate(candidates) if candidate.codes]
    if places and len(tokens):
        found = late.similarities(tokens, [candidates[place].codes for place in places])
        scores[places] = late.relevance(found, scale)
    return scores


def _recency(candidates: Sequence[Candidate], curves: Curves) -> Scores:
    return np.array([recency(curves.now_ms - candidate.created_ms, curves.half_life_ms) for candidate in candidates])


def _next_turn(candidates: Sequence[Candidate], fit: Scores) -> Scores:
    """The fit of the turn said right after; of several (a session was restored) the best."""
    after: dict[str, float] = defaultdict(float)
    for candidate, score in zip(candidates, fit, strict=True):
        if candidate.said_after is not None:
            after[candidate.said_after] = max(after[candidate.said_after], float(score))
    return np.array([after.get(candidate.episode_id, 0.0) for candidate in candidates])


def _session(candidates: Sequence[Candidate], fit: Scores) -> Scores:
    """The mean fit of the three best of its session, those that aren't there counting as 0."""
    scores: dict[str, list[float]] = defaultdict(list)
    for candidate, score in zip(candidates, fit, strict=True):
        if candidate.session_id is not None:
            scores[candidate.session_id].append(float(score))
    means = {session: sum(sorted(those)[-SESSION_BEST:]) / SESSION_BEST for session, those in scores.items()}
    return np.array([means.get(candidate.session_id or "", 0.0) for candidate in candidates])


def _says_much(candidates: Sequence[Candidate]) -> Scores:
    counts = np.array([max(1, candidate.token_count) for candidate in candidates])
    return np.clip(np.log(counts / FEW_TOKENS) / math.log(MANY_TOKENS / FEW_TOKENS), 0, 1)


def _named(candidates: Sequence[Candidate], words: str) -> Scores:
    """1 for those whose speaker the query names, or else whose role, where it names no other."""
    asked = set(_WORD.findall(words.casefold()))
    for said_by in ([candidate.speaker for candidate in candidates], [candidate.role for candidate in candidates]):
        named = {name for name in set(said_by) if name and set(_WORD.findall(name.casefold())) <= asked}
        if len(named) == 1:
            return np.array([name in named for name in said_by], dtype=float)
    return np.zeros(len(candidates))


def _dated(candidates: Sequence[Candidate], words: str, curves: Curves) -> Scores:
    """How near it was said to a day, month or year that the query names."""
    # The moment is rounded up to the hour, at the end of a day to the next.
    periods = moments.named(words, from_epoch_ms(curves.now_ms - 1).date())
    if not periods:
        return np.zeros(len(candidates))
    days = [from_epoch_ms(candidate.created_ms).date() for candidate in candidates]
    return np.array(moments.nearness(days, periods))


def _best_first(pair: tuple[Rescored, Candidate]) -> tuple[float, int, int, str]:
    one, candidate = pair
    return (-one.score, -candidate.created_ms, -candidate.ordinal, candidate.episode_id)
