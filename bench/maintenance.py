"""What an operator waits for: a reindex and the way back, a backup and a restore, with episodes in one organisation."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from app.backup import Backup
from app.container import open_core
from app.elastic.client import open_elasticsearch
from app.elastic.indices import EPISODES
from app.elastic.scope import Scope
from app.reindex.service import Reindex, Report
from app.settings import Settings
from app.types import new_id
from bench import stack
from bench.corpus import fill, make_corpus

_PATIENT_S = 120.0


@dataclass(frozen=True)
class Figures:
    """Seconds, but for `episodes`. *_paused_s: how long writes would have waited."""

    episodes: int
    reindex_s: float
    reindex_paused_s: float
    rollback_s: float
    rollback_paused_s: float
    backup_s: float
    second_backup_s: float
    restore_s: float


def run(settings: Settings, episodes: int = 20_000) -> Figures:
    """On indices of their own."""
    corpus = make_corpus(settings)
    with stack.indices(settings, elasticsearch_timeout_s=_PATIENT_S) as own:

        async def measured() -> Figures:
            async with open_core(own) as core:
                await fill(core, Scope(new_id(), new_id()), corpus, episodes)
            assert own.elasticsearch_url is not None
            async with open_elasticsearch(own, own.elasticsearch_url) as es:
                work = Reindex(es, own, EPISODES, lambda *_: None)
                there: Report = await work.run()
                back = await work.rollback()
                await work.finish()
                backup, taken = Backup(es, own), []
                for _ in range(2):
                    began = time.perf_counter()
                    snapshot = await backup.take(lambda *_: None)
                    taken.append(time.perf_counter() - began)
                began = time.perf_counter()
                await backup.restore(snapshot, lambda *_: None, replace=True)
                restored_s = time.perf_counter() - began
                await backup.keep(1)
            return Figures(
                episodes, there.took_s, there.paused_s, back.took_s, back.paused_s, taken[0], taken[1], restored_s
            )

        return asyncio.run(measured())


def table(figures: Figures) -> str:
    """As Markdown."""
    count = figures.episodes
    rows = [
        ("reindex, compared whole", figures.reindex_s, f"{figures.reindex_paused_s:.2f}"),
        ("back again, at once", figures.rollback_s, f"{figures.rollback_paused_s:.2f}"),
        ("backup, the first", figures.backup_s, ""),
        ("backup, nothing new", figures.second_backup_s, ""),
        ("restore", figures.restore_s, ""),
    ]
    lines = [f"{count:,} episodes.", "", "| | s | episodes/s | writes wait, s |", "| --- | ---: | ---: | ---: |"]
    lines += [f"| {name} | {took:.1f} | {count / took:,.0f} | {paused} |" for name, took, paused in rows]
    return "\n".join(lines)
