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

Part = Callable[[Settings, argparse.Namespace], tuple[Any, str]]


def _workloads(settings: Settings, options: argparse.Namespace) -> tuple[object, str]:
    """What agents do, by many clients and at a pace"""
    figures = [
        workloads.run(settings, size=size, organisations=options.organisations)
        for size in _sizes(options, workloads.SIZES)
    ]
    return [each for one in figures for each in one], "\n\n".join(map(workloads.table, figures))


def _store(settings: Settings, _: argparse.Namespace) -> tuple[object, str]:
    """Storing: the service beside bare Elasticsearch"""
    figures = store.run(settings)
    return figures, store.table(figures)


def _search(settings: Settings, options: argparse.Namespace) -> tuple[object, str]:
    """Hybrid search: the service beside its own query sent bare"""
    figures = search.run(settings, sizes=_sizes(options, search.SIZES))
    return figures, search.table(figures)


def _latency(settings: Settings, _: argparse.Namespace) -> tuple[object, str]:
    """From store to found"""
    figures = latency.run(settings)
    return figures, latency.table(figures)


def _importing(settings: Settings, _: argparse.Namespace) -> tuple[object, str]:
    """Searches while an import is embedded"""
    figures = importing.run(settings)
    return figures, importing.table(figures)


def _embedding(_: Settings, __: argparse.Namespace) -> tuple[object, str]:
    """Embedding: the encoders side by side"""
    figures = embedding.run(_EMBEDDING_DOCUMENTS, _EMBEDDING_ROUNDS)
    return figures, embedding.table(figures)


def _maintenance(settings: Settings, options: argparse.Namespace) -> tuple[object, str]:
    """Reindex, backup, restore"""
    figures = maintenance.run(settings, max(_sizes(options, _SMALL)))
    return figures, maintenance.table(figures)


def _vector_index(settings: Settings, options: argparse.Namespace) -> tuple[object, str]:
    """Vector index types"""
    figures = vector_index.run(settings, sizes=tuple(_sizes(options, _SMALL)))
    return figures, vector_index.table(figures)


def _retrieval(settings: Settings, options: argparse.Namespace) -> tuple[object, str]:
    """Retrieval: what is found, and what each lever adds"""
    if options.data is None:
        raise SystemExit("retrieval: name the file of conversations by --data")
    figures = retrieval.run(settings, options.data)
    return figures, retrieval.table(figures)


def _webhooks(settings: Settings, _: argparse.Namespace) -> tuple[object, str]:
    """Webhooks: from an event to its receivers"""
    figures = webhooks.run(settings)
    return figures, webhooks.table(figures)


def _rest(settings: Settings, _: argparse.Namespace) -> tuple[object, str]:
    """A stack at rest"""
    figures = rest.run(settings)
    return figures, rest.table(figures)


def _sizes(options: argparse.Namespace, otherwise: Sequence[int]) -> Sequence[int]:
    return options.episodes or otherwise


PARTS: dict[str, tuple[Part, ModuleType]] = {
    "workloads": (_workloads, workloads),
    "store": (_store, store),
    "search": (_search, search),
    "latency": (_latency, latency),
    "importing": (_importing, importing),
    "webhooks": (_webhooks, webhooks),
    "rest": (_rest, rest),
    "embedding": (_embedding, embedding),
    "vector_index": (_vector_index, vector_index),
    "maintenance": (_maintenance, maintenance),
    "retrieval": (_retrieval, retrieval),
}


def main() -> None:
    options = _options()
    began, on = datetime.now(UTC), report.machine()
    sections = {}
    console = Console(stderr=True)
    with stack.stores(options.elasticsearch_url, options.redis_url) as settings:
        for name in options.parts or [part for part in PARTS if part != "retrieval" or options.data]:
            part, module = PARTS[name]
            with console.status(f"measuring {name}"):
                start = time.perf_counter()
                figures, table = part(settings, options)
            picture = partial(plots.draw, name, figures) if name in plots.PICTURES else None
            if picture and options.plot is not None:
                picture(options.plot / f"{name}.svg")
            about = (inspect.getdoc(module) or "").split("\n\n    python", 1)[0]
            title = inspect.getdoc(part) or name
            sections[name] = Section(title, about, figures, table, time.perf_counter() - start, picture)
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
