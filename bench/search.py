"""Milliseconds of a hybrid search over HTTP, beside the very query that it makes Elasticsearch run, sent alone.

In organisations of 1,000, 10,000 (each scored exactly) and 30,000 episodes (the best window of an approximate
pass), all in one index. Every round measures every way once, one client at a time.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from dataclasses import dataclass
from urllib.parse import urlencode

from app.elastic.indices import EPISODES
from app.elastic.scope import ScopedQuery
from app.embedding import QueryEmbedder, open_query_embedder
from app.episodes import queries
from app.episodes.models import DEFAULT_MIX, SearchRequest
from app.episodes.queries import Meaning
from app.episodes.ranking import Curves, scoring_moment
from app.settings import Settings
from app.types import utc_now
from bench import stack
from bench.caller import Caller, post, register
from bench.corpus import Corpus, fill_all, make_corpus
from bench.load import Load, Measured, Request, load
from bench.waiting import wait_for_merges

SIZES = (1_000, 10_000, 30_000)
BARE, FRESH, REPEATED, AFTER_WRITE, EMBEDDING = (
    "bare query",
    "POST /memory/search",
    "the same queries again",
    "after a write each",
    "one query embedding",
)


@dataclass(frozen=True)
class Result:
    """ratio: p50 to that of the bare query. aim: p50 to 1.5 bare queries and one embedding; 1 or less meets it."""

    episodes: int
    way: str
    p50_ms: float
    p95_ms: float
    ratio: float
    aim: float


def run(settings: Settings, *, rounds: int = 4, searches: int = 30) -> list[Result]:
    """searches: of each way and round."""
    corpus = make_corpus(settings)
    results = []
    with stack.indices(settings) as own, stack.server(own) as server, load() as clients:
        callers = {size: register(server.api) for size in SIZES}
        asyncio.run(fill_all(own, corpus, {size: caller.scope for size, caller in callers.items()}))
        wait_for_merges(own)
        for size, caller in callers.items():
            results += asyncio.run(_compare(own, clients, server.api, caller, corpus, size, rounds, searches))
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
) -> list[Result]:
    dice = random.Random(size)
    measured: dict[str, list[Measured]] = {}
    assert settings.elasticsearch_url is not None
    es = settings.elasticsearch_url
    async with open_query_embedder(settings) as embedder:
        for number in range(rounds + 1):
            asked = corpus.questions(searches, dice)
            embedding = await _embedding(embedder, asked)
            bodies = [await bare_query(settings, embedder, caller, text, size) for text in asked]
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
    return _results(size, measured)


async def _embedding(embedder: QueryEmbedder, texts: list[str]) -> Measured:
    seconds = []
    began = time.perf_counter()
    for text in texts:
        start = time.perf_counter()
        await embedder.embed(text)
        seconds.append(time.perf_counter() - start)
    return Measured(seconds, time.perf_counter() - began)


async def bare_query(settings: Settings, embedder: QueryEmbedder, caller: Caller, text: str, size: int) -> Request:
    """The request to Elasticsearch that the service makes of this query."""
    request, mix = SearchRequest(query=text), DEFAULT_MIX
    low, high = embedder.info.scale
    half_life_ms = settings.recency_half_life_days * 86_400_000
    curves = Curves(low, high, half_life_ms, scoring_moment(utc_now()))
    vector = (await embedder.embed(text)).vector
    meaning = Meaning(vector.tolist(), embedder.info.model_id, embedder.info.token_scale is not None)
    if size <= settings.exact_search_limit:
        query = queries.exact(caller.scope, request, meaning, mix, curves)
    else:
        visible = queries.in_scope(caller.scope, request).visible(EPISODES.ownership, EPISODES.soft_deletes)
        query = queries.windowed(
            caller.scope, request, meaning, mix, curves,
            window=settings.search_window, size=request.limit + 20, visible=visible,
        )  # fmt: skip
    return as_request(settings, caller, query)


def as_request(settings: Settings, caller: Caller, query: ScopedQuery) -> Request:
    org_id = caller.scope.org_id
    parameters = urlencode({"routing": org_id, "preference": org_id, "seq_no_primary_term": "true"})
    path = f"/{EPISODES.alias(settings.index_prefix)}/_search?{parameters}"
    return post(path, query.body(EPISODES.ownership, EPISODES.soft_deletes))


def _write(corpus: Corpus, dice: random.Random) -> Request:
    draft, _ = corpus.draft(dice)
    return post("/memory", {"role": draft.new.role, "content": draft.new.content})


def _every_other(measured: Measured) -> Measured:
    return Measured(measured.seconds[1::2], measured.wall_s)


def _results(size: int, measured: dict[str, list[Measured]]) -> list[Result]:
    def aim(way: Measured, bare: Measured, embedding: Measured) -> float:
        return way.p50_ms / (1.5 * bare.p50_ms + embedding.p50_ms)

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
        )
        for way in (BARE, FRESH, REPEATED, AFTER_WRITE, EMBEDDING)
        for rounds in [measured[way]]
    ]


def table(results: list[Result]) -> str:
    lines = [
        "| episodes in scope | way | p50 ms | p95 ms | ratio to bare | to the aim (≤ 1) |",
        "| ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {each.episodes:,} | {each.way} | {each.p50_ms:.1f} | {each.p95_ms:.1f} "
        f"| {each.ratio:.2f} | {each.aim:.2f} |"
        for each in results
    ]
    return "\n".join(lines)
