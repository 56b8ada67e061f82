"""Everything that agents do, by 1, 16 and 64 clients at once, and at a steady pace, each beside bare Elasticsearch.

*1, 16, 64 clients*: each sends the next request when the last one is answered. *At a pace*: requests arrive at their
times, at half of what 16 clients reached, whether or not those before them were answered, and their milliseconds count
from when they were due. Both ways take turns, after a round that warms up; the median of the rounds counts. Bare
Elasticsearch does the least that the work takes: it embeds nothing, checks no key, and has no second stage.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

from app.container import Core, open_core
from app.elastic.scope import Scope
from app.embedding import open_query_embedder
from app.settings import Settings
from bench import stack, tables
from bench.bare import BareSearch, BareWrites
from bench.caller import Caller, post, register
from bench.corpus import Corpus, fill, make_corpus
from bench.load import Load, Measured, Request, load
from bench.waiting import wait_for_merges

SIZES = (10_000,)
CLIENTS = (1, 16, 64)
PACE_OF = 16
_SHARE_OF_FASTEST = 0.5
BATCH = 100
_PAGE = 50
_SESSIONS, _TURNS = 20, 60
_EXPORTED = 5_000
_OF_A_SMALL_ONE = 10
_SMALL_CALLERS = 100
_AT_ONCE = 64
MODES = ("hybrid", "semantic", "keyword")
_WRITES = 0.2
_FOUND_BY = 10
_FIRST_TRY = 4
_CELL_S = 1.0
_PACED_S = 2.0
_QUESTIONS = 400


@dataclass(frozen=True)
class Result:
    """clients: 0 at a pace. per_s: episodes where they are stored or exported, else requests. ratio: of the service's
    median milliseconds to the bare engine's. bare_*: the same work sent to Elasticsearch alone."""

    episodes: int
    workload: str
    clients: int
    per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    bare_per_s: float
    bare_p50_ms: float
    bare_p95_ms: float
    ratio: float


@dataclass(frozen=True)
class _Workload:
    """One request, made anew each time. episodes: in each. alone: by one client only."""

    name: str
    asked: Callable[[], Request]
    bare: Callable[[], Request]
    episodes: int = 1
    alone: bool = False


def run(settings: Settings, *, size: int = 10_000, organisations: int = 1_000, rounds: int = 3) -> list[Result]:
    """size: episodes of the large organisation. organisations: of ten episodes each, in the same index."""
    corpus = make_corpus(settings)
    with stack.indices(settings) as own, stack.server(own) as server, load() as clients:
        large, exporter, writer = (register(server.api) for _ in range(3))
        small = [register(server.api) for _ in range(min(organisations, _SMALL_CALLERS))]
        asyncio.run(_fill(own, corpus, {size: large, _EXPORTED: exporter}, small, organisations))
        sessions = _sessions(server.api, writer, corpus)
        wait_for_merges(own)
        workloads = asyncio.run(_workloads(own, server.api, corpus, size, large, exporter, writer, small, sessions))
        assert own.elasticsearch_url is not None
        addresses = {"service": server.api, "bare": own.elasticsearch_url}
        results = []
        for workload in workloads:
            results += _Measure(clients, addresses, workload, size, rounds).all()
        return results


async def _fill(
    settings: Settings, corpus: Corpus, large: Mapping[int, Caller], small: Sequence[Caller], organisations: int
) -> None:
    async with open_core(settings) as core:
        for size, caller in large.items():
            await fill(core, caller.scope, corpus, size, seed=size)
        scopes = [caller.scope for caller in small]
        scopes += [Scope(str(uuid.uuid4()), str(uuid.uuid4())) for _ in range(organisations - len(small))]
        for start in range(0, len(scopes), _AT_ONCE):
            await _fill_small(core, corpus, scopes[start : start + _AT_ONCE], seed=1_000_000_000 + start)


async def _fill_small(core: Core, corpus: Corpus, scopes: Sequence[Scope], seed: int) -> None:
    fills = (fill(core, scope, corpus, _OF_A_SMALL_ONE, seed=seed + number) for number, scope in enumerate(scopes))
    await asyncio.gather(*fills)


def _sessions(api: str, caller: Caller, corpus: Corpus) -> list[str]:
    """Ids of sessions of 60 turns each."""
    dice, ids = random.Random(7), []
    for _ in range(_SESSIONS):
        ids.append(caller.call(api, "POST", "/sessions", {})["session_id"])
        turns = [{"role": "user", "content": corpus.turn(dice), "session_id": ids[-1]} for _ in range(_TURNS)]
        caller.call(api, "POST", "/memory/batch", {"episodes": turns})
    return ids


async def _workloads(
    settings: Settings,
    api: str,
    corpus: Corpus,
    size: int,
    large: Caller,
    exporter: Caller,
    writer: Caller,
    small: Sequence[Caller],
    sessions: Sequence[str],
) -> list[_Workload]:
    dice = random.Random(size)
    writes = BareWrites(settings, api, writer)
    async with open_query_embedder(settings) as embedder:
        bare = BareSearch(settings, embedder, large, size)
        texts = corpus.questions(_QUESTIONS, dice)
        by_mode = {
            mode: [await bare.search(text, mode) for text in texts] for mode in ("hybrid", "semantic", "keyword")
        }
        small_bare = [
            await BareSearch(settings, embedder, caller, _OF_A_SMALL_ONE).search(text)
            for caller, text in zip(small, texts, strict=False)
        ]
        everything = BareSearch(settings, embedder, exporter, _EXPORTED).everything(_EXPORTED)
        written = BareSearch(settings, embedder, writer, size)
        pages = [written.history(session, _PAGE) for session in sessions]
        newest = written.newest()
        by_words = [await written.search(text, "keyword") for text in texts]

    def by(caller: Caller, request: Request) -> Request:
        return replace(request, headers=caller.headers)

    def turn() -> dict[str, str]:
        return {"role": "user", "content": corpus.turn(dice)}

    def store() -> Request:
        return by(writer, post("/memory", turn()))

    def create() -> Request:
        return writes.create(corpus.turn(dice))

    def batch() -> Request:
        return by(writer, post("/memory/batch", {"episodes": [turn() for _ in range(BATCH)]}))

    def bulk() -> Request:
        return writes.bulk([corpus.turn(dice) for _ in range(BATCH)])

    def search(mode: str = "hybrid", caller: Caller = large) -> Request:
        return by(caller, post("/memory/search", {"query": corpus.language.question(dice), "search_mode": mode}))

    def searched(mode: str = "hybrid") -> Request:
        return dice.choice(by_mode[mode])

    def mixed(read: Callable[[], Request], write: Callable[[], Request]) -> Request:
        return write() if dice.random() < _WRITES else read()

    def found_next() -> Request:
        said = turn()
        query = {"query": " ".join(said["content"].split()[:_FOUND_BY]), "search_mode": "keyword"}
        return replace(by(writer, post("/memory", said)), then=by(writer, post("/memory/search", query)))

    def found_next_bare() -> Request:
        return replace(create(), then=replace(writes.refresh(), then=dice.choice(by_words)))

    def page() -> Request:
        return by(writer, Request("GET", f"/sessions/{dice.choice(sessions)}/history?limit={_PAGE}"))

    def export() -> Request:
        return by(exporter, Request("GET", "/export?format=ndjson"))

    return [
        _Workload("store", store, create),
        _Workload(f"store {BATCH} in a batch", batch, bulk, BATCH),
        *(_Workload(f"search, {mode}", partial(search, mode), partial(searched, mode)) for mode in MODES),
        _Workload(
            "search, hybrid, a small organisation",
            lambda: search(caller=dice.choice(small)),
            lambda: dice.choice(small_bare),
        ),
        _Workload("the newest", lambda: by(writer, post("/memory/search", {})), lambda: newest),
        _Workload("a page of a session", page, lambda: dice.choice(pages)),
        _Workload("four searches to a store", lambda: mixed(search, store), lambda: mixed(searched, create)),
        _Workload("store, then find it by its words", found_next, found_next_bare),
        _Workload(f"export {_EXPORTED:,}", export, lambda: everything, _EXPORTED, alone=True),
    ]


@dataclass(frozen=True)
class _Measure:
    """Both ways of one workload."""

    load: Load
    addresses: Mapping[str, str]
    workload: _Workload
    size: int
    rounds: int

    def all(self) -> list[Result]:
        results = [self._fastest(clients) for clients in CLIENTS if clients == 1 or not self.workload.alone]
        if not self.workload.alone:
            fastest = next(each.per_s for each in results if each.clients == PACE_OF) / self.workload.episodes
            results.append(self._paced(fastest * _SHARE_OF_FASTEST))
        return results

    def _fastest(self, clients: int) -> Result:
        each = dict.fromkeys(self.addresses, _FIRST_TRY)

        def measure(way: str) -> Measured:
            measured = self._run(way, clients, each[way])
            # As many as take a second, by what is known so far.
            each[way] = max(_FIRST_TRY, round(measured.per_s * _CELL_S / clients))
            return measured

        return self._result(clients, self._alternating(measure))

    def _paced(self, per_s: float) -> Result:
        count = max(_FIRST_TRY, round(per_s * _PACED_S))
        return self._result(0, self._alternating(lambda way: self._arrive(way, count, per_s)))

    def _alternating(self, measure: Callable[[str], Measured]) -> dict[str, list[Measured]]:
        measured: dict[str, list[Measured]] = {way: [] for way in self.addresses}
        for number in range(self.rounds + 1):
            for way in sorted(self.addresses, reverse=bool(number % 2)):
                one = measure(way)
                # The first round warms up.
                if number:
                    measured[way].append(one)
        return measured

    def _run(self, way: str, clients: int, each: int) -> Measured:
        sent = [[self._request(way) for _ in range(each)] for _ in range(clients)]
        return self.load.run(self.addresses[way], sent)

    def _arrive(self, way: str, count: int, per_s: float) -> Measured:
        sent = [self._request(way) for _ in range(count)]
        return self.load.arrive(self.addresses[way], sent, per_s)

    def _request(self, way: str) -> Request:
        return self.workload.asked() if way == "service" else self.workload.bare()

    def _result(self, clients: int, measured: Mapping[str, Sequence[Measured]]) -> Result:
        def median(way: str, figure: Callable[[Measured], float]) -> float:
            return statistics.median(map(figure, measured[way]))

        episodes = self.workload.episodes
        pairs = zip(measured["service"], measured["bare"], strict=True)
        return Result(
            self.size,
            self.workload.name,
            clients,
            per_s=median("service", lambda one: one.per_s) * episodes,
            p50_ms=median("service", lambda one: one.p50_ms),
            p95_ms=median("service", lambda one: one.p95_ms),
            p99_ms=median("service", lambda one: one.p99_ms),
            bare_per_s=median("bare", lambda one: one.per_s) * episodes,
            bare_p50_ms=median("bare", lambda one: one.p50_ms),
            bare_p95_ms=median("bare", lambda one: one.p95_ms),
            ratio=statistics.median(one.p50_ms / bare.p50_ms for one, bare in pairs),
        )


def table(results: Sequence[Result]) -> str:
    """As Markdown, a table for each size."""
    return "\n\n".join(_table(size, each) for size, each in groupby(results, lambda result: result.episodes))


def _table(size: int, results: Iterable[Result]) -> str:
    figures = ("a second", "p50 ms", "p95 ms", "p99 ms", "bare, a second", "its p50", "its p95", "p50 to bare")
    rows = []
    for each in results:
        milliseconds = (each.p50_ms, each.p95_ms, each.p99_ms, each.bare_p50_ms, each.bare_p95_ms)
        p50, p95, p99, bare_p50, bare_p95 = (f"{one:.1f}" for one in milliseconds)
        cells = [each.workload, str(each.clients or "at a pace"), f"{each.per_s:,.0f}", p50, p95, p99]
        rows.append([*cells, f"{each.bare_per_s:,.0f}", bare_p50, bare_p95, f"{each.ratio:.2f}"])
    shown = tables.markdown(["workload", "clients", *figures], rows)
    return f"{size:,} episodes in the large organisation.\n\n{shown}"
