"""Every benchmark in one run, in some half an hour on two idle cores.

    python -m bench                       all
    python -m bench store search          some
    python -m bench workloads --episodes 10000 100000 --organisations 10000
    python -m bench search --episodes 10000 100000 1000000 --plot docs/images     how it grows
    python -m bench vector_index --episodes 30000 100000     for the choice of the default
    python -m bench.compare BEFORE.json NOW.json             with another run

Starts an Elasticsearch of its own (1 GiB heap) and a Redis unless it is given theirs. Ratios within a run mean
something; digits belong to the machine and the minute, and nothing here fails because something is slow. Figures,
tables and pictures are left in bench/results.
"""

from __future__ import annotations

import argparse
import inspect
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.markdown import Markdown

from app.settings import Settings
from bench import (
    embedding,
    importing,
    latency,
    maintenance,
    plots,
    report,
    rest,
    retrieval,
    search,
    stack,
    store,
    vector_index,
    webhooks,
    workloads,
)
from bench.report import Section

_EMBEDDING_DOCUMENTS = 96
_EMBEDDING_ROUNDS = 2

_SMALL = (5_000,)


@dataclass(frozen=True)
class Part:
    """One benchmark. module: its docstring and its `table` tell of the figures that run gives."""

    title: str
    module: ModuleType
    run: Callable[[Settings, argparse.Namespace], Any]


def _workloads(settings: Settings, options: argparse.Namespace) -> list[workloads.Result]:
    runs = (
        workloads.run(settings, size=size, organisations=options.organisations)
        for size in _sizes(options, workloads.SIZES)
    )
    return [result for run in runs for result in run]


def _retrieval(settings: Settings, options: argparse.Namespace) -> list[retrieval.Result]:
    if options.data is None:
        raise SystemExit("retrieval: name the file of conversations by --data")
    return retrieval.run(settings, options.data)


def _sizes(options: argparse.Namespace, otherwise: Sequence[int]) -> Sequence[int]:
    return options.episodes or otherwise


PARTS = {
    "workloads": Part("What agents do, by many clients and at a pace", workloads, _workloads),
    "store": Part("Storing: the service beside bare Elasticsearch", store, lambda settings, _: store.run(settings)),
    "search": Part(
        "Hybrid search: the service beside its own query sent bare",
        search,
        lambda settings, options: search.run(settings, sizes=_sizes(options, search.SIZES)),
    ),
    "latency": Part("From store to found", latency, lambda settings, _: latency.run(settings)),
    "importing": Part("Searches while an import is embedded", importing, lambda settings, _: importing.run(settings)),
    "webhooks": Part("Webhooks: from an event to its receivers", webhooks, lambda settings, _: webhooks.run(settings)),
    "rest": Part("A stack at rest", rest, lambda settings, _: rest.run(settings)),
    "embedding": Part(
        "Embedding: the encoders side by side",
        embedding,
        lambda *_: embedding.run(_EMBEDDING_DOCUMENTS, _EMBEDDING_ROUNDS),
    ),
    "vector_index": Part(
        "Vector index types",
        vector_index,
        lambda settings, options: vector_index.run(settings, sizes=tuple(_sizes(options, _SMALL))),
    ),
    "maintenance": Part(
        "Reindex, backup, restore",
        maintenance,
        lambda settings, options: maintenance.run(settings, max(_sizes(options, _SMALL))),
    ),
    "retrieval": Part("Retrieval: what is found, and what each lever adds", retrieval, _retrieval),
}


def main() -> None:
    options = _options()
    began, on = datetime.now(UTC), report.machine()
    sections = {}
    console = Console(stderr=True)
    with stack.stores(options.elasticsearch_url, options.redis_url) as settings:
        for name in options.parts or [part for part in PARTS if part != "retrieval" or options.data]:
            part = PARTS[name]
            with console.status(f"measuring {name}"):
                start = time.perf_counter()
                figures = part.run(settings, options)
            picture = partial(plots.draw, name, figures) if name in plots.PICTURES else None
            if picture and options.plot is not None:
                picture(options.plot / f"{name}.svg")
            about = (inspect.getdoc(part.module) or "").split("\n\n    python", 1)[0]
            took_s, table = time.perf_counter() - start, part.module.table(figures)
            sections[name] = Section(part.title, about, figures, table, took_s, picture)
            _show(sections[name].markdown())
    path = report.save(sections, began, on)
    console.print(f"{on}\nThe figures are in {path}.", highlight=False, soft_wrap=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="part", help=" ".join(PARTS))
    parser.add_argument("--elasticsearch-url", metavar="URL", help="use this one; indices are removed again")
    parser.add_argument("--redis-url", metavar="URL")
    parser.add_argument("--episodes", type=int, nargs="+", help="in other numbers than by default")
    parser.add_argument(
        "--organisations", type=int, default=1_000, help="of workloads: small ones, beside the large one"
    )
    parser.add_argument("--data", type=Path, help="of retrieval: conversations with questions")
    parser.add_argument("--plot", type=Path, metavar="FOLDER", help="draw what has a picture as SVG")
    return parser.parse_args()


def _show(markdown: str) -> None:
    if sys.stdout.isatty():
        Console().print(Markdown(markdown))
    else:
        print(markdown, flush=True)


if __name__ == "__main__":
    main()
