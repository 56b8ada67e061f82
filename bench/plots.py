"""Figures as pictures: SVG, to be read in a document."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.retrieval import Result

_COLOURS = ("#2f6f9f", "#e08a1e", "#8a8f98")


def retrieval(results: Sequence[Result], path: Path) -> None:
    """Recall@10, nDCG@10 and recall@50 of each way, one bar each, the first way at the top."""
    # Text stays text, and the same figures make the same file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "remembr", "font.size": 10.0}):
        figure = Figure(figsize=(9, 0.55 * len(results) + 1), layout="constrained")
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
        figure.savefig(path, metadata={"Date": None})
