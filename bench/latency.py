"""From store to found: by keyword with the very next request, to another server process, and by meaning.

One caller; a worker is running and has nothing else to do.
"""

from __future__ import annotations

import random
import statistics
import time
from dataclasses import dataclass
from typing import Any

from app.settings import Settings
from bench import stack, tables
from bench.caller import Caller, register
from bench.embedding import turns

_POLL_S = 0.01
_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Result:
    """found_next: share found by the first request after the store's answer. p50, p95: from that answer until found."""

    way: str
    found_next: float
    p50_ms: float
    p95_ms: float


def run(settings: Settings, *, times: int = 20) -> list[Result]:
    with (
        stack.indices(settings) as own,
        stack.server(own) as one,
        stack.server(own) as other,
        stack.worker(own),
    ):
        caller = register(one.api)
        measure = _Measure(caller, one.api, other.api)
        # The worker loads its model meanwhile.
        measure.until_found("semantic")
        return [
            _result("by keyword, same server", [measure.until_found("keyword") for _ in range(times)]),
            _result(
                "by keyword, another server", [measure.until_found("keyword", elsewhere=True) for _ in range(times)]
            ),
            _result("by meaning", [measure.until_found("semantic") for _ in range(times)]),
        ]


@dataclass(frozen=True)
class _Found:
    seconds: float
    requests: int


class _Measure:
    """Stores at one server and searches until it is found, at the same or the other."""

    def __init__(self, caller: Caller, api: str, other: str) -> None:
        self._caller = caller
        self._api = api
        self._other = other
        self._dice = random.Random(3)

    def until_found(self, mode: str, *, elsewhere: bool = False) -> _Found:
        """Raises TimeoutError when it isn't found within two minutes."""
        api = self._other if elsewhere else self._api
        content = f"{turns(1, self._dice)[0]} {self._dice.getrandbits(64):x}"
        query = {"query": content, "search_mode": mode, "limit": 100}
        # Embedded before, so that the search alone is measured.
        self._search(api, query)
        stored = self._caller.call(self._api, "POST", "/memory", {"role": "user", "content": content})
        answered = time.perf_counter()
        requests = 0
        while time.perf_counter() - answered < _TIMEOUT_S:
            requests += 1
            if any(hit["episode_id"] == stored["episode_id"] for hit in self._search(api, query)):
                return _Found(time.perf_counter() - answered, requests)
            time.sleep(_POLL_S)
        raise TimeoutError(f"an episode was not found in {mode} mode within {_TIMEOUT_S:.0f} s")

    def _search(self, api: str, query: dict[str, Any]) -> list[dict[str, Any]]:
        results: list[dict[str, Any]] = self._caller.call(api, "POST", "/memory/search", query)["results"]
        return results


def _result(way: str, found: list[_Found]) -> Result:
    seconds = sorted(each.seconds for each in found)
    return Result(
        way,
        found_next=sum(each.requests == 1 for each in found) / len(found),
        p50_ms=statistics.median(seconds) * 1e3,
        p95_ms=seconds[int(len(seconds) * 0.95)] * 1e3,
    )


def table(results: list[Result]) -> str:
    rows = ([each.way, f"{each.found_next:.0%}", f"{each.p50_ms:.1f}", f"{each.p95_ms:.1f}"] for each in results)
    return tables.markdown(["way", "found by the next request", "p50 ms", "p95 ms"], rows)
