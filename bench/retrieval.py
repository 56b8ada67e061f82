"""How good search is: conversations with questions whose evidence is known, over the REST API.

    python -m bench retrieval --data conversations.json

Each conversation is an organisation's, each question searches its own. The levers of hybrid search are taken away one
by one, in this process, on the same index. Halves: conversations of even and of odd number, so that what was tuned on
one can be seen on the other.

The file: `{"conversations": [{"sessions": [{"started_at", "turns": [{"turn_id", "speaker", "content"}]}],
"questions": [{"question", "evidence": [turn_id]}]}]}`.
"""

from __future__ import annotations

import asyncio
import json
import math
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from app.container import open_core
from app.embedding import open_query_embedder
from app.episodes.models import SearchMode, SearchRequest
from app.episodes.rescoring import DEFAULT_TUNING, Tuning
from app.episodes.search import EpisodeSearch
from app.episodes.store import EpisodeStore
from app.settings import Settings
from app.types import iso
from bench import stack
from bench.caller import Caller, register
from bench.waiting import merged_bytes, not_embedded, stored, wait_for_merges

TOP, DEEP = 10, 50
_TURN_EVERY = timedelta(seconds=30)
_EMBEDDED_WITHIN_S = 1_800
_SPEAKERS = ("user", "assistant")

NO_LIFTS = Tuning(next_turn=0, session=0, says_much=0, states=0, named=0, dated=0)
LEVERS: dict[str, Tuning] = {
    "all": DEFAULT_TUNING,
    "without tokens": replace(DEFAULT_TUNING, tokens=False),
    "without the next turn": replace(DEFAULT_TUNING, next_turn=0),
    "without the session": replace(DEFAULT_TUNING, session=0),
    "without the length": replace(DEFAULT_TUNING, says_much=0),
    "questions as good as statements": replace(DEFAULT_TUNING, states=0),
    "whoever is named": replace(DEFAULT_TUNING, named=0),
    "whenever it was said": replace(DEFAULT_TUNING, dated=0),
    "without any lift": NO_LIFTS,
    "without lifts and tokens": replace(NO_LIFTS, tokens=False),
}
MODES: tuple[SearchMode, ...] = ("semantic", "keyword", "hybrid")


@dataclass(frozen=True)
class Question:
    """half: 0 or 1. evidence: ids of the episodes that answer it."""

    text: str
    evidence: frozenset[str]
    caller: Caller
    half: int


@dataclass(frozen=True)
class Result:
    """Means over all questions. halves: recall@10 of each."""

    mode: str
    lever: str
    recall_10: float
    hit_10: float
    ndcg_10: float
    recall_50: float
    halves: tuple[float, float]
    p50_ms: float
    bytes_per_episode: float


Ask = Callable[[Question], Awaitable[list[str]]]


def run(settings: Settings, data: Path) -> list[Result]:
    conversations = json.loads(data.read_bytes())["conversations"]
    with stack.indices(settings) as own, stack.server(own) as server, stack.worker(own):
        questions = [
            question
            for number, conversation in enumerate(conversations)
            for question in _remember(server.api, conversation, number % 2)
        ]
        _until_embedded(own)
        wait_for_merges(own)
        return asyncio.run(_measure(own, server.api, questions))


async def _measure(settings: Settings, api: str, questions: Sequence[Question]) -> list[Result]:
    size = merged_bytes(settings) / max(1, stored(settings))
    results = []
    for mode in MODES:
        results.append(await _result(mode, "REST API", _over_http(api, mode), questions, size))
    async with open_core(settings) as core, open_query_embedder(settings) as embedder:
        store = EpisodeStore(core.engine, core.once)
        for lever, tuning in LEVERS.items():
            search = EpisodeSearch(store, lambda: embedder, settings, tuning)
            results.append(await _result("hybrid", lever, _here(search), questions, size))
    return results


def _over_http(api: str, mode: str) -> Ask:
    async def ask(question: Question) -> list[str]:
        body = {"query": question.text, "limit": DEEP, "search_mode": mode}
        found = await asyncio.to_thread(question.caller.call, api, "POST", "/memory/search", body)
        return [result["episode_id"] for result in found["results"]]

    return ask


def _here(search: EpisodeSearch) -> Ask:
    async def ask(question: Question) -> list[str]:
        found = await search.search(question.caller.scope, SearchRequest(query=question.text, limit=DEEP), "bench")
        return [result.episode_id for result in found.results]

    return ask


async def _result(mode: str, lever: str, ask: Ask, questions: Sequence[Question], size: float) -> Result:
    rows, seconds = [], []
    for question in questions:
        began = time.perf_counter()
        found = await ask(question)
        seconds.append(time.perf_counter() - began)
        rows.append((*measures(found, question.evidence), question.half))
    recall, hit, ndcg, deep = (statistics.mean(row[column] for row in rows) for column in range(4))
    halves = [statistics.mean([row[0] for row in rows if row[4] == half] or [math.nan]) for half in (0, 1)]
    p50_ms = statistics.median(seconds) * 1e3
    return Result(mode, lever, recall, hit, ndcg, deep, (halves[0], halves[1]), p50_ms, size)


def measures(found: Sequence[str], evidence: frozenset[str]) -> tuple[float, float, float, float]:
    """recall@10, hit@10, nDCG@10 and recall@50 of one question. found: at least 50 ids, the best first."""
    hits = [episode_id in evidence for episode_id in found]
    gain = sum(1 / math.log2(place + 2) for place, hit in enumerate(hits[:TOP]) if hit)
    best = sum(1 / math.log2(place + 2) for place in range(min(TOP, len(evidence))))
    top = sum(hits[:TOP])
    return top / len(evidence), float(top > 0), gain / best, sum(hits[:DEEP]) / len(evidence)


def _remember(api: str, conversation: Any, half: int) -> list[Question]:
    """Store it as an organisation of its own."""
    caller, ids = register(api), {}
    speakers = sorted({turn["speaker"] for session in conversation["sessions"] for turn in session["turns"]})
    for session in conversation["sessions"]:
        session_id = caller.call(api, "POST", "/sessions", {})["session_id"]
        began = datetime.fromisoformat(session["started_at"])
        episodes = [
            {
                "session_id": session_id,
                "role": _SPEAKERS[speakers.index(turn["speaker"]) % 2],
                "content": turn["content"],
                "created_at": iso(began + number * _TURN_EVERY),
            }
            for number, turn in enumerate(session["turns"])
        ]
        stored = caller.call(api, "POST", "/memory/batch", {"episodes": episodes})
        for turn, item in zip(session["turns"], stored["items"], strict=True):
            ids[turn["turn_id"]] = item["episode_id"]
    return [
        Question(asked["question"], evidence, caller, half)
        for asked in conversation["questions"]
        if (evidence := frozenset(ids[turn_id] for turn_id in asked["evidence"] if turn_id in ids))
    ]


def _until_embedded(settings: Settings) -> None:
    until = time.monotonic() + _EMBEDDED_WITHIN_S
    while not_embedded(settings):
        if time.monotonic() > until:
            raise TimeoutError("the worker doesn't come to an end")
        time.sleep(1)


def table(results: Sequence[Result]) -> str:
    head = "| mode | lever | recall@10 | halves | hit@10 | nDCG@10 | recall@50 | p50 ms | bytes per episode |"
    rows = [
        f"| {one.mode} | {one.lever} | {one.recall_10:.3f} | {one.halves[0]:.3f} / {one.halves[1]:.3f}"
        f" | {one.hit_10:.3f} | {one.ndcg_10:.3f} | {one.recall_50:.3f} | {one.p50_ms:.1f}"
        f" | {one.bytes_per_episode:,.0f} |"
        for one in results
    ]
    return "\n".join([head, "| --- | --- " + "| ---: " * 7 + "|", *rows])
