"""Stores a second, by 16 clients and by one: the service with and without group commit, and bare Elasticsearch.

Every round measures every way once. What bare Elasticsearch is sent are the very documents of the service, into an
index of the same template: durable like the service's, but found by the next search only with `refresh=true`.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from app.settings import Settings
from bench import stack
from bench.bare import BareWrites
from bench.caller import post, register
from bench.embedding import turns
from bench.load import Load, Measured, Request, load

CLIENTS = 16
BATCH = 100
_BASELINE = "bare index request"


@dataclass(frozen=True)
class Result:
    """per_s: episodes. ratio: to the bare index request from as many clients."""

    way: str
    clients: int
    per_s: float
    p50_ms: float
    p95_ms: float
    ratio: float


@dataclass(frozen=True)
class Report:
    fsync_p50_ms: float
    results: list[Result]


@dataclass(frozen=True)
class _Way:
    """requests: as many as asked for. episodes: in each request."""

    name: str
    url: str
    headers: dict[str, str]
    requests: Callable[[int], list[Request]]
    episodes: int = 1


def run(settings: Settings, *, rounds: int = 3, requests: int = 50) -> Report:
    """requests: of each client and round."""
    with (
        stack.indices(settings) as own,
        stack.server(own) as grouped,
        stack.server(own.model_copy(update={"group_commit": False})) as single,
        load() as clients,
    ):
        ways = list(_ways(own, grouped.api, single.api))
        results = []
        for count, each in ((CLIENTS, requests), (1, requests)):
            measured = _measure(clients, ways, count, each, rounds)
            results += _results(ways, measured, count)
        return Report(fsync_p50_ms(), results)


def _ways(settings: Settings, grouped: str, single: str) -> Iterator[_Way]:
    caller = register(grouped)
    session = caller.call(grouped, "POST", "/sessions", {})["session_id"]
    writes = BareWrites(settings, grouped, caller)
    dice = Random(11)

    def episodes(count: int, **fields: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": content, **fields} for content in turns(count, dice)]

    def bare(count: int, query: str = "") -> list[Request]:
        return [writes.create(content, query) for content in turns(count, dice)]

    def bulk(count: int) -> list[Request]:
        return [writes.bulk(turns(BATCH, dice)) for _ in range(count)]

    def store(count: int, **fields: str) -> list[Request]:
        return [post("/memory", episode) for episode in episodes(count, **fields)]

    def batches(count: int) -> list[Request]:
        return [post("/memory/batch", {"episodes": episodes(BATCH)}) for _ in range(count)]

    assert settings.elasticsearch_url is not None
    es, key = settings.elasticsearch_url, caller.headers
    yield _Way(_BASELINE, es, {}, bare)
    yield _Way(f"{_BASELINE}, refresh=true", es, {}, lambda count: bare(max(1, count // 6), "&refresh=true"))
    yield _Way("POST /memory", grouped, key, store)
    yield _Way("POST /memory in a session", grouped, key, lambda count: store(count, session_id=session))
    yield _Way("POST /memory, group commit off", single, key, store)
    yield _Way(f"bare _bulk of {BATCH}", es, {}, lambda count: bulk(max(1, count // 20)), BATCH)
    yield _Way(f"POST /memory/batch of {BATCH}", grouped, key, lambda count: batches(max(1, count // 20)), BATCH)


def _measure(clients: Load, ways: list[_Way], count: int, each: int, rounds: int) -> dict[str, list[Measured]]:
    measured: dict[str, list[Measured]] = {way.name: [] for way in ways}
    dice = Random()
    for number in range(rounds + 1):
        # In another order each round: merges that one way leaves to Elasticsearch slow down the next.
        for way in dice.sample(ways, len(ways)):
            one = clients.run(way.url, [way.requests(each) for _ in range(count)], way.headers)
            # The first round warms up both virtual machines.
            if number:
                measured[way.name].append(one)
    return measured


def _results(ways: list[_Way], measured: dict[str, list[Measured]], count: int) -> list[Result]:
    baseline = measured[_BASELINE]
    return [
        Result(
            way.name,
            count,
            per_s=statistics.median(each.per_s * way.episodes for each in measured[way.name]),
            p50_ms=statistics.median(each.p50_ms for each in measured[way.name]),
            p95_ms=statistics.median(each.p95_ms for each in measured[way.name]),
            # Round by round, since the disk's speed changes from one moment to the next.
            ratio=statistics.median(
                own.per_s * way.episodes / bare.per_s for own, bare in zip(measured[way.name], baseline, strict=True)
            ),
        )
        for way in ways
    ]


def fsync_p50_ms(times: int = 100) -> float:
    """Milliseconds that the disk takes to make a small write durable: what group commit shares."""
    seconds = []
    with tempfile.TemporaryFile(buffering=0) as file:
        for _ in range(times):
            file.write(b"x" * 1000)
            began = time.perf_counter()
            os.fsync(file.fileno())
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds) * 1e3


def table(report: Report) -> str:
    lines = [
        f"An fsync of the disk takes {report.fsync_p50_ms:.2f} ms.",
        "",
        "| way | clients | episodes/s | ratio | p50 ms | p95 ms |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {each.way} | {each.clients} | {each.per_s:.0f} | {each.ratio:.2f} | {each.p50_ms:.1f} | {each.p95_ms:.1f} |"
        for each in report.results
    ]
    return "\n".join(lines)
