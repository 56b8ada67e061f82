"""Commands that look after an installation, and end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from app.cli.output import AsJson, command, console, give, progress_bar, shown_or_given
from app.errors import EngineError
from app.settings import Settings

if TYPE_CHECKING:
    from app.backup import Backup
    from app.doctor import Finding
    from app.elastic.indices import TemplateChange

_MARKS = {"good": "[green]✓[/]", "look": "[yellow]![/]", "bad": "[bold red]✗[/]"}
_DOCTOR_S = 60.0


def doctor(as_json: AsJson = False) -> None:
    """Look the installation over and say what to do. Exit code 1 when something is bad."""
    with command(as_json=as_json) as settings, console.status("Looking it over"):
        findings = asyncio.run(_examine(settings))
    sentences = []
    for finding in findings:
        advice = f" [dim]{escape(finding.advice)}[/]" if finding.advice else ""
        sentences.append(f"{_MARKS[finding.state]} [bold]{finding.about}[/]: {escape(finding.said)}.{advice}")
    shown_or_given(findings, sentences, as_json=as_json)
    raise typer.Exit(1 if any(finding.state == "bad" for finding in findings) else 0)


async def _examine(settings: Settings) -> list[Finding]:
    from app.container import open_core
    from app.doctor import examine, wait_for

    # What isn't fit for production is a finding here, and no reason to stop.
    lenient = settings.model_copy(update={"environment": "development"})
    async with open_core(lenient) as core:
        return await wait_for(examine(replace(core, settings=settings)), _DOCTOR_S)


def templates(
    apply: Annotated[bool, typer.Option(help="Apply what differs; else it is only shown.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 where something differs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare the cluster's index templates with this release's, and show or apply the difference."""
    with command(as_json=as_json) as settings:
        changes = asyncio.run(_templates(settings, apply))
    if as_json:
        give([{"kind": each.kind, "name": each.name, "state": each.state, "diff": each.diff} for each in changes])
    else:
        out = Console()
        for change in changes:
            out.print(f"{change.state:8}{change.kind:10}{change.name}", highlight=False)
            if change.diff and change.state != "create":
                out.print(change.diff, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1 if check and any(change.state != "keep" for change in changes) else 0)


async def _templates(settings: Settings, apply: bool) -> list[TemplateChange]:
    from app.elastic import indices
    from app.elastic.client import open_elasticsearch
    from app.embedding import describe
    from app.migrate import migrate

    if not settings.elasticsearch_url:
        raise EngineError("Set REMEMBR_ELASTICSEARCH_URL to the cluster to look at.")
    if apply:
        return await migrate(settings)
    async with open_elasticsearch(settings, settings.elasticsearch_url) as es:
        return await indices.plan(es, settings, (await describe(settings)).dims)


def backup(
    keep: Annotated[int, typer.Option(help="Remove all backups but the newest so many; 0 keeps all.", min=0)] = 0,
    show: Annotated[bool, typer.Option("--list", help="Only list the backups that there are.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take a snapshot of everything, while all goes on."""
    with command(as_json=as_json) as settings:
        asyncio.run(_backup(settings, keep, show, as_json))


async def _backup(settings: Settings, keep: int, show: bool, as_json: bool) -> None:
    async with _backups(settings) as backups:
        if show:
            snapshots = await backups.all()
            lines = [
                f"{each.name}  {each.taken_at:%Y-%m-%d %H:%M}  {sum(each.documents.values())} documents"
                + ("" if each.complete else "  (not complete)")
                for each in snapshots
            ]
            shown_or_given(snapshots, lines, as_json=as_json)
            return
        with progress_bar("Backing up") as progress:
            taken = await backups.take(progress)
        removed = await backups.keep(keep) if keep else []
        lines = [f"{taken.name}: {sum(taken.documents.values())} documents", *(f"{name} removed" for name in removed)]
        shown_or_given({**asdict(taken), "removed": removed}, lines, as_json=as_json)


def restore(
    name: Annotated[str | None, typer.Argument(help="Which backup; the newest when left out.")] = None,
    replace: Annotated[bool, typer.Option(help="Replace what is there now: it is lost.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put everything back as it was in a backup. Stop servers and workers before."""
    with command(as_json=as_json) as settings:
        asyncio.run(_restore(settings, name, replace, as_json))


async def _restore(settings: Settings, name: str | None, replace: bool, as_json: bool) -> None:
    from app.migrate import migrate

    async with _backups(settings) as backups:
        snapshot = await backups.find(name)
        with progress_bar("Restoring") as progress:
            restored = await backups.restore(snapshot, progress, replace=replace)
    await migrate(settings)
    lines = [f"{index}: {count} documents" for index, count in sorted(restored.items())]
    lines.append(f"[bold green]Restored[/] {snapshot.name}; start servers and workers again.")
    shown_or_given({"name": snapshot.name, "documents": restored}, lines, as_json=as_json)


@asynccontextmanager
async def _backups(settings: Settings) -> AsyncIterator[Backup]:
    from app.backup import Backup
    from app.elastic.client import open_patiently

    async with open_patiently(settings) as es:
        yield Backup(es, settings)


def _indices(begun: str) -> list[str]:
    from app.elastic.indices import INDICES

    return [definition.name for definition in INDICES if definition.name.startswith(begun)]


def reindex(
    index: Annotated[str, typer.Argument(help="Which index.", autocompletion=_indices)] = "episodes",
    model: Annotated[str | None, typer.Option(help="Embed everything by this model, as in the settings.")] = None,
    rollback: Annotated[bool, typer.Option("--rollback", help="Go back to the index before.")] = False,
    finish: Annotated[bool, typer.Option("--finish", help="Remove the index before.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Only show which indices there are.")] = False,
    per_second: Annotated[float, typer.Option(help="Documents a second at most; -1: no limit.", min=-1)] = -1,
    as_json: AsJson = False,
) -> None:
    """Make an index anew by this release's template, or for another model, while servers and workers go on."""
    from app.reindex.command import Action, reindex

    chosen: dict[Action, bool] = {"rollback": rollback, "finish": finish, "status": status}
    actions = [action for action, wanted in chosen.items() if wanted] or ["run"]
    with command(as_json=as_json) as settings:
        if len(actions) > 1:
            raise EngineError("Say one of --rollback, --finish and --status.")
        done = asyncio.run(reindex(settings, console, actions[0], index=index, model=model, per_s=per_second))
        shown_or_given(done.result, done.sentences, as_json=as_json)
