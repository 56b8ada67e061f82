"""Hours in minutes: a constant mixed load, and whether memory, file handles and latencies stay where they are.

    python -m bench.soak --minutes 20 --per-s 20

Requests arrive at their times whether or not those before them were answered, so a server that falls behind shows as
latency. Organisations are changed as they go, so that none grows without end: what grows is the index. Memory and
handles are those of the processes, worker and model included, from /proc. A straight line is laid through the second
half of the samples; its slope is what would be gained in an hour. The exit code is 1 when a request failed, a process
grew by a tenth in that half, or handles were left open.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
import numpy as np
from rich.console import Console
from rich.progress import Progress

from app.settings import Settings
from bench import report, stack
from bench.caller import Caller, register
from bench.load import USER_AGENT
from bench.processes import family, handles, resident
from bench.report import Section

ORGANISATIONS = 8
SAMPLE_S = 5.0
KEPT = 60
"""Requests of an organisation before another takes its place."""

_TIMEOUT_S = 30.0
_GROWTH = 0.10
_HANDLES = 16
_WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "inlet", "jetty", "knoll", "lagoon")


@dataclass
class Tenant:
    """An organisation with a session, and what it has stored."""

    caller: Caller
    session_id: str
    episodes: list[str] = field(default_factory=list)
    asked: int = 0


@dataclass
class Watched:
    """A process and its children. samples: seconds since the start, bytes resident, open files."""

    name: str
    pid: int
    samples: list[tuple[float, int, int]] = field(default_factory=list)

    def look(self, at: float) -> None:
        pids = family(self.pid)
        self.samples.append((at, sum(map(resident, pids)), sum(map(handles, pids))))

    @property
    def half(self) -> list[tuple[float, int, int]]:
        return self.samples[len(self.samples) // 2 :]


@dataclass
class Answers:
    """seconds: kind → (arrival, how long it took). failed: what went wrong."""

    seconds: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Figures:
    """What is kept of a run. slopes: MB an hour and its standard error, by process."""

    minutes: float
    per_s: float
    requests: int
    failed: list[str]
    slopes: dict[str, tuple[float, float]]
    samples: dict[str, list[tuple[float, int, int]]]
    p99_ms: dict[str, tuple[float, float]]

    @property
    def problems(self) -> list[str]:
        """Why it isn't flat."""
        found = [f"{len(self.failed)} requests failed, first {self.failed[0]}"] if self.failed else []
        for name, samples in self.samples.items():
            half = samples[len(samples) // 2 :]
            third = max(1, len(half) // 3)
            first, last = (np.median([sample[1] for sample in part]) for part in (half[:third], half[-third:]))
            if last > first * (1 + _GROWTH):
                found.append(f"{name} grew from {first / 1e6:.0f} to {last / 1e6:.0f} MB")
            opened = np.median([s[2] for s in half[-third:]]) - np.median([s[2] for s in half[:third]])
            if opened > _HANDLES:
                found.append(f"{name} has {opened:.0f} more open files")
        return found


def run(settings: Settings, minutes: float, per_s: float, console: Console) -> Figures:
    """Start a server and a worker and load them."""
    # The server's cache of query vectors fills up within minutes, rather than all the while.
    with stack.indices(settings, query_cache_size=200) as own, stack.server(own) as server, stack.worker(own) as worker:
        assert server.service.pid is not None
        assert worker.pid is not None
        watched = [Watched("server", server.service.pid), Watched("worker and its model", worker.pid)]
        answers = asyncio.run(_load(server.api, watched, minutes * 60, per_s, console))
    return Figures(
        minutes,
        per_s,
        sum(map(len, answers.seconds.values())),
        answers.failed,
        {process.name: _slope(process.half) for process in watched},
        {process.name: process.samples for process in watched},
        {kind: _p99s(seconds) for kind, seconds in sorted(answers.seconds.items())},
    )


async def _load(api: str, watched: Sequence[Watched], seconds: float, per_s: float, console: Console) -> Answers:
    answers, began = Answers(), time.monotonic()
    headers, timeout = {"User-Agent": USER_AGENT}, aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as http:
        tenants = [await _tenant(http, api) for _ in range(ORGANISATIONS)]
        with Progress(console=console) as bar:
            task = bar.add_task("soaking", total=seconds)
            watching = asyncio.create_task(_watch(watched, began))
            under_way: set[asyncio.Task[None]] = set()
            for number in range(int(seconds * per_s)):
                at = began + number / per_s
                await asyncio.sleep(max(0.0, at - time.monotonic()))
                place = random.randrange(len(tenants))
                sending = asyncio.create_task(_ask(http, api, tenants, place, at, answers))
                under_way.add(sending)
                sending.add_done_callback(under_way.discard)
                bar.update(task, completed=time.monotonic() - began)
            await asyncio.gather(*under_way)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    return answers


async def _tenant(http: aiohttp.ClientSession, api: str) -> Tenant:
    caller = await asyncio.to_thread(register, api)
    async with http.post(f"{api}/sessions", json={}, headers=caller.headers) as answer:
        return Tenant(caller, (await answer.json())["data"]["session_id"])


async def _ask(
    http: aiohttp.ClientSession, api: str, tenants: list[Tenant], place: int, at: float, answers: Answers
) -> None:
    tenant = tenants[place]
    tenant.asked += 1
    if tenant.asked == KEPT:
        tenants[place] = await _tenant(http, api)
    kind, method, path, body, good = _request(tenant)
    try:
        headers = tenant.caller.headers
        async with http.request(method, api + path, json=body, headers=headers) as answer:
            content = await answer.read()
            if answer.status not in good:
                answers.failed.append(f"{method} {kind}: {answer.status} {content[:200]!r}")
                return
    except (aiohttp.ClientError, TimeoutError) as error:
        answers.failed.append(f"{method} {kind}: {error!r}")
        return
    answers.seconds[kind].append((at, time.monotonic() - at))
    if kind == "store":
        tenant.episodes.append(json.loads(content)["data"]["episode_id"])


def _request(tenant: Tenant) -> tuple[str, str, str, Any, tuple[int, ...]]:
    said = " ".join(random.choices(_WORDS, k=random.randint(4, 24)))
    draw, session = random.random(), tenant.session_id
    if draw < 0.45 or not tenant.episodes:
        body = {"role": "user", "content": said, "session_id": session, "tags": [f"topic:{said.split()[0]}"]}
        return "store", "POST", "/memory", body, (201,)
    if draw < 0.50:
        episodes = [{"role": "user", "content": f"{said} {number}", "session_id": session} for number in range(20)]
        return "batch of 20", "POST", "/memory/batch", {"episodes": episodes}, (201,)
    if draw < 0.75:
        mode = random.choice(["hybrid", "hybrid", "keyword", "semantic"])
        return f"search, {mode}", "POST", "/memory/search", {"query": said[:60], "search_mode": mode}, (200,)
    if draw < 0.87:
        return "session", "GET", f"/sessions/{session}", None, (200,)
    if draw < 0.92:
        return "history", "GET", f"/sessions/{session}/history?limit=20", None, (200,)
    if draw < 0.96:
        return "delete", "DELETE", f"/memory/{tenant.episodes.pop()}", None, (200,)
    if draw < 0.98:
        return "checkpoint", "POST", f"/sessions/{session}/checkpoint", None, (201,)
    return "export", "GET", "/export?format=ndjson", None, (200,)


async def _watch(watched: Sequence[Watched], began: float) -> None:
    while True:
        for process in watched:
            process.look(time.monotonic() - began)
        await asyncio.sleep(SAMPLE_S)


def _slope(samples: Sequence[tuple[float, int, int]]) -> tuple[float, float]:
    """MB an hour and its standard error, by least squares."""
    hours = np.array([sample[0] for sample in samples]) / 3600
    megabytes = np.array([sample[1] for sample in samples]) / 1e6
    if len(hours) < 3:
        return 0.0, float("inf")
    away = hours - hours.mean()
    slope = float((away * megabytes).sum() / (away**2).sum())
    rest = megabytes - megabytes.mean() - slope * away
    return slope, float(np.sqrt((rest**2).sum() / (len(hours) - 2) / (away**2).sum()))


def _p99s(seconds: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Of the first and of the last third, in milliseconds."""
    ordered = [took for _, took in sorted(seconds)]
    third = max(1, len(ordered) // 3)
    return tuple(float(np.percentile(part, 99)) * 1e3 for part in (ordered[:third], ordered[-third:]))  # type: ignore[return-value]


def table(figures: Figures) -> str:
    """As Markdown."""
    lines = [
        f"{figures.requests:,} requests in {figures.minutes:g} minutes, {len(figures.failed)} failed.",
        "",
        "| process | MB at the start | after half | at the end | MB an hour, second half | open files, half and end |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, samples in figures.samples.items():
        start, half, end = samples[min(2, len(samples) - 1)], samples[len(samples) // 2], samples[-1]
        slope, error = figures.slopes[name]
        sizes = " | ".join(f"{sample[1] / 1e6:.0f}" for sample in (start, half, end))
        lines.append(f"| {name} | {sizes} | {slope:+.0f} ± {error:.0f} | {half[2]}, {end[2]} |")
    lines += ["", "| request | p99, first third, ms | p99, last third, ms |", "| --- | ---: | ---: |"]
    lines += [f"| {kind} | {first:.0f} | {last:.0f} |" for kind, (first, last) in figures.p99_ms.items()]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser("soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--per-s", type=float, default=20)
    options = parser.parse_args()
    began, on, console = datetime.now(UTC), report.machine(), Console(stderr=True)
    with stack.stores(None, None) as settings:
        figures = run(settings, options.minutes, options.per_s, console)
    shown = table(figures)
    section = Section("Soak", (__doc__ or "").split("\n\n")[0], figures, shown, options.minutes * 60)
    print(shown, flush=True)
    console.print(f"{on}\nThe figures are in {report.save({'soak': section}, began, on)}.", highlight=False)
    for problem in figures.problems:
        console.print(f"[bold red]Not flat:[/] {problem}", highlight=False, soft_wrap=True)
    return 1 if figures.problems else 0


if __name__ == "__main__":
    sys.exit(main())
