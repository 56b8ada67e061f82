"""What a whole stack holds in memory, and what it uses of a core while nothing is asked of it.

One server, one worker, and Elasticsearch and Redis as `remembr-server dev` starts them (with 1 GiB of heap), 10,000
embedded episodes; before and after 200 searches. The server's model is the one that embeds queries.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass

from app.settings import Settings
from bench import stack, tables
from bench.caller import post, register
from bench.corpus import fill_all, make_corpus
from bench.load import load
from bench.processes import command, cpu_s, family, resident
from bench.waiting import wait_for_merges

_EPISODES = 10_000
_SEARCHES = 200
_SETTLES_S = 5.0
_WATCHED_S = 20.0
# By what their command lines hold; the launchers and guards around them belong to them.
_PARTS = {"Elasticsearch": "elasticsearch", "Redis": "valkey", "server": "app.cli serve", "worker": "app.cli worker"}
_LOADED = """
import os
from app.settings import Settings
from app.embedding.load import ModelSpec, load_onnx
from app.embedding.catalogue import E5
import app.server
import numpy, onnxruntime, tokenizers
from bench.processes import resident
before = resident(os.getpid())
encoder = load_onnx(ModelSpec(E5, Settings().cache_dir, 1))
encoder.encode_query("what did she say?")
print(resident(os.getpid()) - before)
"""


@dataclass(frozen=True)
class Result:
    """mb: resident, at first and after searches. core: share of one core at rest, after them."""

    process: str
    mb: float
    mb_after: float
    core: float


@dataclass(frozen=True)
class Figures:
    """model_mb: what loading the model adds to a process that has everything else."""

    model_mb: float
    results: list[Result]


def run(settings: Settings) -> Figures:
    """Raises CalledProcessError when the model can't be loaded."""
    corpus = make_corpus(settings)
    dice = random.Random(4)
    with stack.indices(settings) as own, stack.server(own) as server, stack.worker(own), load() as clients:
        caller = register(server.api)
        time.sleep(_SETTLES_S)
        first = _memory()
        asyncio.run(fill_all(own, corpus, {_EPISODES: caller.scope}))
        wait_for_merges(own)
        searches = [post("/memory/search", {"query": text}) for text in corpus.questions(_SEARCHES, dice)]
        clients.run(server.api, [searches], caller.headers)
        time.sleep(_SETTLES_S)
        after, used = _memory(), _used()
        time.sleep(_WATCHED_S)
        core = {part: (seconds - used.get(part, 0.0)) / _WATCHED_S for part, seconds in _used().items()}
    return Figures(
        _model_mb(), [Result(part, first[part], after[part], core[part]) for part in _PARTS if part in first]
    )


def _by_part() -> dict[str, list[int]]:
    parts: defaultdict[str, list[int]] = defaultdict(list)
    for pid in family(os.getpid()):
        line = command(pid)
        for part, mark in _PARTS.items():
            if mark in line:
                parts[part] += family(pid)
                break
    return {part: list(dict.fromkeys(pids)) for part, pids in parts.items()}


def _memory() -> dict[str, float]:
    return {part: sum(map(resident, pids)) / 1e6 for part, pids in _by_part().items()}


def _used() -> dict[str, float]:
    return {part: sum(map(cpu_s, pids)) for part, pids in _by_part().items()}


def _model_mb() -> float:
    loaded = subprocess.run(  # noqa: S603
        [sys.executable, "-c", _LOADED], cwd=stack.ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    return int(loaded.stdout) / 1e6


def table(figures: Figures) -> str:
    """As Markdown."""
    rows = ([each.process, f"{each.mb:.0f}", f"{each.mb_after:.0f}", f"{each.core:.1%}"] for each in figures.results)
    shown = tables.markdown(["process", "MB at first", "after searches", "of a core at rest"], rows)
    return f"The model that embeds queries is {figures.model_mb:.0f} MB of the server.\n\n{shown}"
