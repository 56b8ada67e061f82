"""Figures as pictures, to be read in a document."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from bench import retrieval as retrieval_bench
from bench import search as search_bench
from bench import workloads as workloads_bench

_COLOURS = ("#2f6f9f", "#e08a1e", "#8a8f98")


def draw(part: str, figures: object, path: Path) -> None:
    """The picture of a part that has one. SVG or PNG, as the name's end says."""
    save(PICTURES[part](figures), path)


def save(figure: Figure, path: Path) -> None:
    """As its name's end says: SVG or PNG."""
    # Text stays text, and the same figures make the same file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "remembr"}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=120)


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def retrieval(results: Sequence[retrieval_bench.Result]) -> Figure:
    """Recall@10, nDCG@10 and recall@50 of each way, one bar each, the first way at the top."""
    figure = _figure(9, 0.55 * len(results) + 1)
    axes = figure.subplots()
    measures = {
        "recall@10": [one.recall_10 for one in results],
        "nDCG@10": [one.ndcg_10 for one in results],
        "recall@50": [one.recall_50 for one in results],
    }
    height = 0.8 / len(measures)
    for number, (name, values) in enumerate(measures.items()):
        places = [place + (number - 1) * height for place in range(len(results))]
        bars = axes.barh(places, values, height, label=name, color=_COLOURS[number])
        axes.bar_label(bars, fmt="%.3f", padding=2, fontsize=7)
    axes.set_yticks(range(len(results)), [f"{one.mode}: {one.lever}" for one in results])
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(measures), frameon=False)
    return figure


def search(results: Sequence[search_bench.Result]) -> Figure:
    """Milliseconds and bytes against episodes in scope, on logarithmic axes."""
    figure = _figure(9, 3.6)
    times, disk = figure.subplots(1, 2, width_ratios=(2, 1))
    sizes = sorted({one.episodes for one in results})
    for number, way in enumerate((search_bench.FRESH, search_bench.REPEATED, search_bench.BARE)):
        measured = sorted((one for one in results if one.way == way), key=lambda one: one.episodes)
        colour = _COLOURS[number]
        times.plot(sizes, [one.p50_ms for one in measured], "o-", color=colour, label=f"{way}, p50")
        times.plot(sizes, [one.p95_ms for one in measured], "o:", color=colour, alpha=0.6, label="p95")
    stored = {one.episodes: one.bytes_per_episode * one.episodes / 2**20 for one in results}
    disk.plot(sizes, [stored[size] for size in sizes], "o-", color=_COLOURS[0])
    for axes, title in ((times, "milliseconds"), (disk, "MiB of index")):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("episodes in scope")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    times.legend(fontsize=7, frameon=False)
    return figure


def workloads(results: Sequence[workloads_bench.Result]) -> Figure:
    """Of each workload at a pace: the median and the 95th percentile, beside bare Elasticsearch's."""
    paced = [one for one in results if not one.clients]
    figure = _figure(9, 0.5 * len(paced) + 1)
    axes = figure.subplots()
    for number, (name, p50, p95) in enumerate(
        (
            ("service", [one.p50_ms for one in paced], [one.p95_ms for one in paced]),
            ("bare Elasticsearch", [one.bare_p50_ms for one in paced], [one.bare_p95_ms for one in paced]),
        )
    ):
        places = [place + 0.2 * (2 * number - 1) for place in range(len(paced))]
        axes.hlines(places, p50, p95, color=_COLOURS[number], linewidth=3, label=f"{name}: p50 to p95")
        axes.plot(p50, places, "o", color=_COLOURS[number])
    axes.set_yticks(range(len(paced)), [f"{one.workload}\n{one.per_s:,.0f} a second" for one in paced], fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("milliseconds from when it was due")
    axes.grid(alpha=0.3, axis="x")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
    return figure


PICTURES: dict[str, Callable[[Any], Figure]] = {"workloads": workloads, "search": search, "retrieval": retrieval}
"""By part."""
