"""`remembr-server reindex` and `scripts/reindex.py`: what an operator sees of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app.elastic.client import open_patiently
from app.elastic.generations import Generation, IndexModel, generations
from app.elastic.indices import EPISODES, INDICES, IndexDefinition
from app.embedding import open_document_embedder
from app.errors import EngineError
from app.migrate import migrate
from app.reindex.service import NewModel, Reindex, Report
from app.settings import Settings

Action = Literal["run", "rollback", "finish", "status"]


@dataclass(frozen=True)
class Done:
    """What came of it. result: for programs. sentences: the same for people, with rich's markup."""

    result: Any
    sentences: Sequence[str]


async def reindex(
    settings: Settings,
    console: Console,
    action: Action,
    *,
    index: str = EPISODES.name,
    model: str | None = None,
    per_s: float = -1,
) -> Done:
    """Do it, and show on `console` how it goes. index: as its template is called. model: what to embed by.

    Raises EngineError, Unavailable.
    """
    definition = _definition(index)
    if model is not None and (definition is not EPISODES or action != "run"):
        raise EngineError("--model is for making a new episodes index.")
    alias = definition.alias(settings.index_prefix)
    if action == "status":
        async with open_patiently(settings) as es:
            return _listed(await generations(es, alias))
    # Its templates are what the new index is made by.
    await migrate(settings)
    async with open_patiently(settings) as es:
        with _bars(console) as show:
            done = await _do(Reindex(es, settings, definition, show, per_s=per_s), settings, action, model)
    # New indices are for the model that is in place now.
    await migrate(settings)
    return done


async def _do(work: Reindex, settings: Settings, action: Action, model: str | None) -> Done:
    if action == "finish":
        removed = await work.finish()
        return Done({"removed": removed}, [f"Removed: {', '.join(removed) or 'nothing'}."])
    if action == "rollback":
        return _replaced(await work.rollback())
    if model is None:
        return _replaced(await work.run())
    began = time.monotonic()
    async with open_document_embedder(settings.model_copy(update={"embedding_model": model})) as embedder:
        loading_s = time.monotonic() - began
        named = IndexModel(model, embedder.info.model_id, embedder.info.dims)
        return _replaced(await work.run(NewModel(named, embedder, loading_s)))


def _definition(name: str) -> IndexDefinition:
    wanted = name.replace("-", "_")
    for definition in INDICES:
        if definition.name == wanted:
            return definition
    raise EngineError(f"There is no index {name}: {', '.join(definition.name for definition in INDICES)}.")


def _listed(found: Sequence[Generation]) -> Done:
    result, sentences = [], []
    for generation in found:
        state = "in place" if generation.live else "beside it"
        begun = generation.meta.get("reindex")
        if begun:
            state = f"being made of {begun['from']}, last at {begun['beat_at']}"
        model = generation.meta.get("embedding", {}).get("name", "")
        result.append({"name": generation.name, "live": generation.live, "model": model, "being_made": begun})
        sentences.append(f"{generation.name}  {state}  {model}")
    return Done(result, sentences)


def _replaced(report: Report) -> Done:
    return Done(
        report,
        [
            f"[bold green]{report.new}[/] has taken the place of {report.old}: {report.documents} documents,"
            f" {report.checked} compared, in {report.took_s:.1f} s; writes waited for {report.paused_s:.2f} s.",
            f"{report.old} is kept: `--rollback` goes back to it with what is written since, `--finish` removes it.",
        ],
    )


@contextmanager
def _bars(console: Console) -> Iterator[ShowProgress]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bars:
        yield ShowProgress(bars)


class ShowProgress:
    """A bar for each thing that is being done."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks = {name: bars.add_task(name, visible=False) for name in ("copying", "embedding", "comparing")}

    def __call__(self, doing: str, done: int, total: int) -> None:
        """Show it; what has no bar takes no time."""
        if doing in self._tasks:
            self._bars.update(self._tasks[doing], completed=done, total=total, visible=True)
