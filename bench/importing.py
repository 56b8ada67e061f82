"""Searches while workers embed what was imported: the same searches, at the same rate, before and meanwhile.

Searches arrive at their times, whether or not those before them were answered, in an organisation of 10,000 episodes;
another one's import is being embedded by a worker. The embedding takes all the cores it is given, so this is the
hardest thing that happens to a search on a small machine.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass

from app.settings import Settings
from bench import stack, tables
from bench.caller import Caller, post, register
from bench.corpus import fill_all, make_corpus
from bench.embedding import turns
from bench.load import Load, Measured, Request, load
from bench.waiting import not_embedded, wait_for_merges

EPISODES_IN_SCOPE = 10_000
PER_S = 4.0
SEARCHES = 120
_WARM_UP = 40
_BACKLOG = 12_000
_BATCH = 100
_EMBEDDING_WITHIN_S = 60.0


@dataclass(frozen=True)
class Result:
    """ratio: p95 to that while nothing else happens. embedded_per_s: episodes, meanwhile."""

    way: str
    p50_ms: float
    p95_ms: float
    ratio: float
    embedded_per_s: float


def run(settings: Settings) -> list[Result]:
    corpus = make_corpus(settings)
    dice = random.Random(9)
    with stack.indices(settings) as own, stack.server(own) as server, load() as clients:
        caller, importer = register(server.api), register(server.api)
        asyncio.run(fill_all(own, corpus, {EPISODES_IN_SCOPE: caller.scope}))
        wait_for_merges(own)

        def searches(count: int) -> list[Request]:
            return [post("/memory/search", {"query": text}) for text in corpus.questions(count, dice)]

        clients.arrive(server.api, searches(_WARM_UP), PER_S, caller.headers)
        idle = clients.arrive(server.api, searches(SEARCHES), PER_S, caller.headers)
        _store(server.api, clients, importer, dice)
        with stack.worker(own):
            left = _until_it_embeds(own)
            began = time.perf_counter()
            busy = clients.arrive(server.api, searches(SEARCHES), PER_S, caller.headers)
            rate = (left - not_embedded(own)) / (time.perf_counter() - began)
        return [_result("nothing else", idle, idle, 0.0), _result("an import is embedded", busy, idle, rate)]


def _store(api: str, clients: Load, importer: Caller, dice: random.Random) -> None:
    episodes = [{"role": "user", "content": content} for content in turns(_BACKLOG, dice)]
    batches = [
        post("/memory/batch", {"episodes": episodes[start : start + _BATCH]}) for start in range(0, _BACKLOG, _BATCH)
    ]
    clients.run(api, [batches], importer.headers)


def _until_it_embeds(settings: Settings) -> int:
    """How many wait still. Raises TimeoutError when the worker doesn't begin."""
    end = time.monotonic() + _EMBEDDING_WITHIN_S
    while (left := not_embedded(settings)) == _BACKLOG:
        if time.monotonic() > end:
            raise TimeoutError("the worker doesn't begin")
        time.sleep(0.5)
    return left


def _result(way: str, measured: Measured, idle: Measured, rate: float) -> Result:
    return Result(way, measured.p50_ms, measured.p95_ms, measured.p95_ms / idle.p95_ms, rate)


def table(results: list[Result]) -> str:
    rows = (
        [each.way, f"{each.p50_ms:.1f}", f"{each.p95_ms:.1f}", f"{each.ratio:.2f}", f"{each.embedded_per_s:.0f}"]
        for each in results
    )
    return tables.markdown(["while", "p50 ms", "p95 ms", "p95 to idle", "episodes embedded a second"], rows)
