"""What the demo asks of its memory, one question for each thing that search can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

Mode = Literal["semantic", "keyword", "hybrid"]
MODES: tuple[Mode, ...] = ("semantic", "keyword", "hybrid")


@dataclass(frozen=True, slots=True)
class Question:
    """A search whose right answer is known.

    mode: the one that it shows off. answer: a piece of text that only the right turn contains.
    filters: further fields of the body of `POST /memory/search`. since_days: when set, `from_time`
    is that many days before the demo runs. explain: also show what each score is made of.
    """

    ask: str
    shows: str
    mode: Mode
    answer: str
    filters: Mapping[str, Any] = field(default_factory=dict)
    since_days: int | None = None
    explain: bool = False

    def body(self, mode: Mode, now: datetime, *, limit: int) -> dict[str, Any]:
        """The body of `POST /memory/search` that asks this in the given mode."""
        body: dict[str, Any] = {"query": self.ask, "search_mode": mode, "limit": limit, **self.filters}
        if self.since_days is not None:
            body["from_time"] = (now - timedelta(days=self.since_days)).isoformat()
        if self.explain:
            body["explain"] = True
        return body


QUESTIONS = (
    Question(
        "Does anybody have a food allergy?",
        "meaning alone, no word in common",
        "semantic",
        "walnuts make my throat swell",
    ),
    Question(
        "Does frost stop us from filming?",
        "meaning alone, no word in common",
        "semantic",
        "gave up after 38 minutes",
    ),
    Question(
        "HG-48813",
        "an order number, to the letter",
        "keyword",
        "order HG-48813",
    ),
    Question(
        "ERR-GPS-0417 solved",
        "an error code and what became of it",
        "keyword",
        "airborne mode is now written to flash",
    ),
    Question(
        "What does Corvin Gases get for the cylinders?",
        "words and meaning together",
        "hybrid",
        "deposit 180 euros",
    ),
    Question(
        "How should urgent news reach Adaeze?",
        "only what is tagged kind:preference",
        "hybrid",
        "If it is urgent, phone me",
        filters={"tag_filters": [{"key": "kind", "op": "eq", "value": "preference"}]},
    ),
    Question(
        "What might the wind do to us?",
        "tagged kind:risk and confidence >= 0.5",
        "hybrid",
        "jet stream could carry us past the coast",
        filters={
            "tag_filters": [
                {"key": "kind", "op": "eq", "value": "risk"},
                {"key": "confidence", "op": "gte", "value": "0.5"},
            ]
        },
    ),
    Question(
        "Which cylinder leaks?",
        "only the last seven days",
        "hybrid",
        "Cylinder two hisses",
        since_days=7,
    ),
    Question(
        "What was the greatest height?",
        "only what the tools reported",
        "semantic",
        "alt 31240 m",
        filters={"role": "tool"},
    ),
    Question(
        "Where do we take off from?",
        "a decision that was reversed, recency weighs 0.3",
        "hybrid",
        "we take off from Halloran's pasture",
        filters={"weights": {"semantic": 0.4, "keyword": 0.3, "recency": 0.3}},
        explain=True,
    ),
)
