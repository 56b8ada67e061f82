"""Milliseconds of a hybrid search over HTTP, beside the very query that it makes Elasticsearch run, sent alone.

In organisations of 1,000, 10,000 (each scored exactly) and 30,000 episodes (the best window of an approximate
pass), or as many as asked for, all in one index. Every round measures every way once, one client at a time.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from app.embedding import QueryEmbedder, open_query_embedder
from app.settings import Settings
from bench import stack
from bench.bare import BareSearch
from bench.caller import Caller, post, register
from bench.corpus import Corpus, fill_all, make_corpus
from bench.load import Load, Measured, Request, load
from bench.waiting import index_bytes, wait_for_merges

SIZES = (1_000, 10_000, 30_000)
WAYS = BARE, FRESH, REPEATED, AFTER_WRITE, EMBEDDING = (
    "bare query",
    "POST /memory/search",
    "the same queries again",
    "after a write each",
    "one query embedding",
)


@dataclass(frozen=True)
class Result:
    """ratio: p50 to that of the bare query. aim: p50 to 1.3 bare queries and one embedding; 1 or less meets it.
    bytes_per_episode: of index."""

    episodes: int
    way: str
    p50_ms: float
    p95_ms: float
    ratio: float
    aim: float
    bytes_per_episode: float


def run(settings: Settings, *, sizes: Sequence[int] = SIZES, rounds: int = 4, searches: int = 30) -> list[Result]:
    """searches: of each way and round."""
    corpus = make_corpus(settings)
    results = []
    with stack.indices(settings) as own, stack.server(own) as server, load() as clients:
        callers = {size: register(server.api) for size in sizes}
        per_episode = {}
        for size, caller in callers.items():
            before = index_bytes(own)
            asyncio.run(fill_all(own, corpus, {size: caller.scope}))
            wait_for_merges(own)
            per_episode[size] = (index_bytes(own) - before) / size
        for size, caller in callers.items():
            measured = asyncio.run(_compare(own, clients, server.api, caller, corpus, size, rounds, searches))
            results += _results(size, measured, per_episode[size])
    return results


async def _compare(
    settings: Settings,
    clients: Load,
    api: str,
    caller: Caller,
    corpus: Corpus,
    size: int,
    rounds: int,
    searches: int,
) -> dict[str, list[Measured]]:
    dice = random.Random(size)
    measured: dict[str, list[Measured]] = {}
    assert settings.elasticsearch_url is not None
    es = settings.elasticsearch_url
    async with open_query_embedder(settings) as embedder:
        bare = BareSearch(settings, embedder, caller, size)
        for number in range(rounds + 1):
            asked = corpus.questions(searches, dice)
            embedding = await _embedding(embedder, asked)
            bodies = [await bare.search(text) for text in asked]
            requests = [post("/memory/search", {"query": text}) for text in asked]
            mixed = [each for request in requests for each in (_write(corpus, dice), request)]
            one = {EMBEDDING: embedding}
            # First in one round and last in the next, so that what the others leave behind meets it as well.
            if number % 2:
                one[BARE] = clients.run(es, [bodies])
            one[FRESH] = clients.run(api, [requests], caller.headers)
            one[REPEATED] = clients.run(api, [requests], caller.headers)
            one[AFTER_WRITE] = _every_other(clients.run(api, [mixed], caller.headers))
            if BARE not in one:
                one[BARE] = clients.run(es, [bodies])
            # The first round warms up.
            if number:
                for way, each in one.items():
                    measured.setdefault(way, []).append(each)
    return measured


async def _embedding(embedder: QueryEmbedder, texts: list[str]) -> Measured:
    seconds = []
    began = time.perf_counter()
    for text in texts:
        start = time.perf_counter()
        await embedder.embed(text)
        seconds.append(time.perf_counter() - start)
    return Measured(seconds, time.perf_counter() - began)


def _write(corpus: Corpus, dice: random.Random) -> Request:
    return post("/memory", {"role": "user", "content": corpus.turn(dice)})


def _every_other(measured: Measured) -> Measured:
    return Measured(measured.seconds[1::2], measured.wall_s)


def _results(size: int, measured: dict[str, list[Measured]], bytes_per_episode: float) -> list[Result]:
    def aim(way: Measured, bare: Measured, embedding: Measured) -> float:
        return way.p50_ms / (1.3 * bare.p50_ms + embedding.p50_ms)

    return [
        Result(
            size,
            way,
            p50_ms=statistics.median(each.p50_ms for each in rounds),
            p95_ms=statistics.median(each.p95_ms for each in rounds),
            ratio=statistics.median(
                each.p50_ms / bare.p50_ms for each, bare in zip(rounds, measured[BARE], strict=True)
            ),
            aim=statistics.median(map(aim, rounds, measured[BARE], measured[EMBEDDING])),
            bytes_per_episode=bytes_per_episode,
        )
        for way in WAYS
        for rounds in [measured[way]]
    ]


def table(results: list[Result]) -> str:
    lines = [
        "| episodes in scope | way | p50 ms | p95 ms | ratio to bare | to the aim (≤ 1) | index bytes an episode |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {each.episodes:,} | {each.way} | {each.p50_ms:.1f} | {each.p95_ms:.1f} "
        f"| {each.ratio:.2f} | {each.aim:.2f} | {each.bytes_per_episode:,.0f} |"
        for each in results
    ]
    return "\n".join(lines)
