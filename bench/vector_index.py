"""The `dense_vector` index types side by side: indexing, size on disk, and the windowed search on them.

Episodes are written with their vectors, as an import of them is, in one organisation; every type
has an index of its own. Recall is that of the service's windowed search (the best `search_window` candidates,
rescored exactly) and of a plain kNN query of ten, each against exact scoring of every episode.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from dataclasses import dataclass
from typing import Any, get_args

from app.container import open_core
from app.elastic.scope import Scope
from app.embedding import open_query_embedder
from app.settings import Settings, VectorIndex
from app.types import new_id
from bench import stack
from bench.bare import BareSearch
from bench.caller import Caller
from bench.corpus import Corpus, fill, make_corpus
from bench.load import Load, Measured, Request, load, send
from bench.waiting import merged_bytes, wait_for_merges

TOP = 10
_KNN_CANDIDATES = 100


@dataclass(frozen=True)
class Result:
    """rate: episodes indexed a second, vectors and all, merges included. *_recall: share of the exact ten."""

    vector_index: str
    episodes: int
    rate: float
    bytes_per_episode: float
    window_recall: float
    knn_recall: float
    window_p50_ms: float
    window_p95_ms: float
    exact_p50_ms: float


def run(settings: Settings, *, sizes: tuple[int, ...] = (5_000,), searches: int = 40, rounds: int = 3) -> list[Result]:
    """searches: different queries, each sent once a round in either way."""
    corpus = make_corpus(settings)
    results = []
    with load() as clients:
        for size in sizes:
            for vector_index in get_args(VectorIndex):
                with stack.indices(settings, vector_index=vector_index) as own:
                    results.append(asyncio.run(_measure(own, clients, corpus, size, searches, rounds)))
    return results


async def _measure(settings: Settings, clients: Load, corpus: Corpus, size: int, searches: int, rounds: int) -> Result:
    assert settings.elasticsearch_url is not None
    es, caller = settings.elasticsearch_url, Caller({}, Scope(new_id(), new_id()))
    began = time.perf_counter()
    async with open_core(settings) as core:
        await fill(core, caller.scope, corpus, size)
    wait_for_merges(settings)
    rate = size / (time.perf_counter() - began)
    asked = corpus.questions(searches, random.Random(size))
    async with open_query_embedder(settings) as embedder:
        # The largest and the smallest scope: the one is always windowed, the other always exact.
        windowed, all_of_it = (
            BareSearch(settings, embedder, caller, size) for size in (settings.exact_search_limit + 1, 0)
        )
        window = [await windowed.search(text) for text in asked]
        exact = [await all_of_it.search(text) for text in asked]
        knn = [
            _knn(each, (await embedder.embed(text)).vector.tolist(), approximate=True)
            for each, text in zip(exact, asked, strict=True)
        ]
        full = [
            _knn(each, (await embedder.embed(text)).vector.tolist(), approximate=False)
            for each, text in zip(exact, asked, strict=True)
        ]
    measured: dict[str, list[Measured]] = {"window": [], "exact": []}
    for number in range(rounds + 1):
        for way, requests in (("window", window), ("exact", exact)):
            one = clients.run(es, [requests])
            if number:
                measured[way].append(one)
    return Result(
        settings.vector_index,
        size,
        rate,
        merged_bytes(settings) / size,
        window_recall=_recall(es, window, exact),
        knn_recall=_recall(es, knn, full),
        window_p50_ms=statistics.median(each.p50_ms for each in measured["window"]),
        window_p95_ms=statistics.median(each.p95_ms for each in measured["window"]),
        exact_p50_ms=statistics.median(each.p50_ms for each in measured["exact"]),
    )


def _knn(exact: Request, vector: list[float], *, approximate: bool) -> Request:
    """The ten nearest vectors in the scope of an exact search."""
    assert exact.body is not None
    visible = json.loads(exact.body)["query"]["bool"]["filter"]
    if approximate:
        nearest: dict[str, Any] = {
            "knn": {
                "field": "context_vector",
                "query_vector": vector,
                "k": TOP,
                "num_candidates": _KNN_CANDIDATES,
                "filter": visible,
            }
        }
    else:
        script = {"source": "cosineSimilarity(params.v, 'context_vector') + 1", "params": {"v": vector}}
        nearest = {"query": {"script_score": {"query": {"bool": {"filter": visible}}, "script": script}}}
    body = {**nearest, "size": TOP, "_source": False, "docvalue_fields": ["episode_id"]}
    return Request("POST", exact.path, json.dumps(body).encode())


def _recall(es: str, approximate: list[Request], exact: list[Request]) -> float:
    shares = []
    for one, other in zip(approximate, exact, strict=True):
        found, wanted = _ids(es, one), _ids(es, other)
        shares.append(len(found & wanted) / len(wanted))
    return statistics.mean(shares)


def _ids(es: str, request: Request) -> set[str]:
    hits = json.loads(send(es, request))["hits"]["hits"]
    return {hit["fields"]["episode_id"][0] for hit in hits[:TOP]}


def table(results: list[Result]) -> str:
    lines = [
        "| index type | episodes | indexed/s | bytes/episode | recall@10 windowed | recall@10 kNN "
        "| windowed p50 ms | p95 ms | exact p50 ms |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {each.vector_index} | {each.episodes:,} | {each.rate:,.0f} | {each.bytes_per_episode:,.0f} "
        f"| {each.window_recall:.3f} | {each.knn_recall:.3f} "
        f"| {each.window_p50_ms:.1f} | {each.window_p95_ms:.1f} | {each.exact_p50_ms:.1f} |"
        for each in results
    ]
    return "\n".join(lines)
