"""`remembr-server`: the operator's command. (`remembr` is the published client's.)"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from app import logs
from app.errors import EngineError, RemembrError
from app.settings import Settings

if TYPE_CHECKING:
    from app.backup import Backup
    from app.doctor import Finding

app = typer.Typer(
    help="Run and look after a Remembr server. Settings are environment variables: docs/configuration.md.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
console = Console(stderr=True)


@contextmanager
def _settings() -> Iterator[Settings]:
    """The settings; what stops a command is said in a sentence, without a trace."""
    try:
        settings = Settings()
        logs.configure(settings.log_level)
        yield settings
    except ValidationError as error:
        for item in error.errors(include_url=False, include_input=False):
            name = "_".join(str(part) for part in item["loc"]).upper()
            console.print(f"[bold red]REMEMBR_{name}[/]: {item['msg']}", soft_wrap=True)
        raise typer.Exit(2) from None
    except (EngineError, RemembrError) as error:
        console.print(f"[bold red]Stopped:[/] {error}", soft_wrap=True, markup=True, highlight=False)
        raise typer.Exit(1) from None
    except OSError as error:
        console.print(f"[bold red]Stopped:[/] {error}", soft_wrap=True, highlight=False)
        raise typer.Exit(1) from None


@app.command()
def serve() -> None:
    """Run one server process against the Elasticsearch and Redis of the settings."""
    from app import server

    with _settings() as settings:
        server.run(settings)


@app.command()
def worker() -> None:
    """Run one worker process: it embeds what is due."""
    from workers import run

    with _settings() as settings:
        run.run(settings)


@app.command()
def dev() -> None:
    """Run everything on this machine in the foreground: engines, migrations, server and worker."""
    from app import stack

    with _settings() as settings:
        try:
            with stack.running(settings, console) as started:
                _greet(started.base_url)
                started.keep_running(console)
        except stack.Stopped:
            console.print("Stopped; everything that was answered is stored.")


def _greet(base_url: str) -> None:
    console.print(f"\n[bold green]Remembr is ready[/] at [bold]{base_url}[/]\n", highlight=False)
    console.print("A first key:", highlight=False)
    register = (
        f"  curl -s {base_url}/auth/register -H 'Content-Type: application/json' \\\n"
        '    -d \'{"email": "you@example.com", "password": "correct-horse-battery-staple", "org_name": "Acme"}\'\n'
        f"  curl -s {base_url}/api-keys -H 'Content-Type: application/json' \\\n"
        "    -H 'Authorization: Bearer <the access_token of that answer>' -d '{\"name\": \"first\"}'\n"
    )
    console.print(register, markup=False, highlight=False, soft_wrap=True)
    console.print("Ctrl-C stops it.\n")


@app.command()
def demo() -> None:
    """Play a conversation on a stack of its own: remembered, embedded, and found again. Ends by itself."""
    from app import engines, stack
    from app.demo import play, terminal

    with _settings() as settings, tempfile.TemporaryDirectory(prefix="remembr-demo-") as folder:
        own = {"port": 0, "data_dir": Path(folder), "workers": 1, "index_prefix": "demo", "log_level": "WARNING"}
        brief = f"{engines.SHORT_LIVED} {settings.elasticsearch_java_options}"
        settings = settings.model_copy(update=own | {"elasticsearch_java_options": brief})
        Path(folder).chmod(0o755)
        try:
            with stack.running(settings, console) as started:
                succeeded = asyncio.run(play(started.base_url, console=terminal()))
        except stack.Stopped:
            raise typer.Exit(130) from None
    raise typer.Exit(0 if succeeded else 1)


@app.command()
def templates(
    apply: Annotated[bool, typer.Option(help="Apply what differs; else it is only shown.")] = False,
) -> None:
    """Compare the cluster's index templates with this release's, and show or apply the difference."""
    with _settings() as settings:
        asyncio.run(_templates(settings, apply))


async def _templates(settings: Settings, apply: bool) -> None:
    from app.elastic import indices
    from app.elastic.client import open_elasticsearch
    from app.embedding import describe
    from app.migrate import migrate

    if not settings.elasticsearch_url:
        raise EngineError("Set REMEMBR_ELASTICSEARCH_URL to the cluster to look at.")
    if apply:
        changes = await migrate(settings)
    else:
        async with open_elasticsearch(settings, settings.elasticsearch_url) as es:
            changes = await indices.plan(es, settings, (await describe(settings)).dims)
    out = Console()
    for change in changes:
        out.print(f"{change.state:8}{change.kind:10}{change.name}", highlight=False)
        if change.diff and change.state != "create":
            out.print(change.diff, markup=False, highlight=False, soft_wrap=True)


def main() -> None:
    """Entry point."""
    app(prog_name="remembr-server")


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Findings as JSON on standard output.")] = False,
) -> None:
    """Look the installation over and say what to do. Exit code 1 when something is bad."""
    with _settings() as settings:
        findings = asyncio.run(_examine(settings))
    if as_json:
        typer.echo(orjson.dumps(findings, option=orjson.OPT_INDENT_2).decode())
    else:
        for finding in findings:
            advice = f" [dim]{escape(finding.advice)}[/]" if finding.advice else ""
            console.print(
                f"{_MARKS[finding.state]} [bold]{finding.about}[/]: {escape(finding.said)}.{advice}", soft_wrap=True
            )
    raise typer.Exit(1 if any(finding.state == "bad" for finding in findings) else 0)


async def _examine(settings: Settings) -> list[Finding]:
    from app.container import open_core
    from app.doctor import examine, wait_for

    # What isn't fit for production is a finding here, and no reason to stop.
    lenient = settings.model_copy(update={"environment": "development"})
    async with open_core(lenient) as core:
        return await wait_for(examine(replace(core, settings=settings)), _DOCTOR_S)


_MARKS = {"good": "[green]✓[/]", "look": "[yellow]![/]", "bad": "[bold red]✗[/]"}
_DOCTOR_S = 60.0


@app.command()
def backup(
    keep: Annotated[int, typer.Option(help="Remove all backups but the newest so many; 0 keeps all.", min=0)] = 0,
    show: Annotated[bool, typer.Option("--list", help="Only list the backups that there are.")] = False,
) -> None:
    """Take a snapshot of everything, while all goes on."""
    with _settings() as settings:
        asyncio.run(_backup(settings, keep, show))


async def _backup(settings: Settings, keep: int, show: bool) -> None:
    async with _backups(settings) as backups:
        if not show:
            with _shards("Backing up") as progress:
                taken = await backups.take(progress)
            console.print(f"{taken.name}: {sum(taken.documents.values())} documents", highlight=False)
            for name in await backups.keep(keep) if keep else []:
                console.print(f"{name} removed", highlight=False)
            return
        for snapshot in await backups.all():
            state = "" if snapshot.complete else "  (not complete)"
            count = sum(snapshot.documents.values())
            console.print(
                f"{snapshot.name}  {snapshot.taken_at:%Y-%m-%d %H:%M}  {count} documents{state}", highlight=False
            )


@app.command()
def restore(
    name: Annotated[str | None, typer.Argument(help="Which backup; the newest when left out.")] = None,
    replace: Annotated[bool, typer.Option(help="Replace what is there now: it is lost.")] = False,
) -> None:
    """Put everything back as it was in a backup. Stop servers and workers before."""
    with _settings() as settings:
        asyncio.run(_restore(settings, name, replace))


async def _restore(settings: Settings, name: str | None, replace: bool) -> None:
    from app.migrate import migrate

    async with _backups(settings) as backups:
        snapshot = await backups.find(name)
        with _shards("Restoring") as progress:
            restored = await backups.restore(snapshot, progress, replace=replace)
    await migrate(settings)
    for index, count in sorted(restored.items()):
        console.print(f"{index}: {count} documents", highlight=False)
    console.print(f"[bold green]Restored[/] {snapshot.name}; start servers and workers again.", highlight=False)


@app.command()
def reindex(
    index: Annotated[str, typer.Argument(help="Which index.")] = "episodes",
    model: Annotated[str | None, typer.Option(help="Embed everything by this model, as in the settings.")] = None,
    rollback: Annotated[bool, typer.Option("--rollback", help="Go back to the index before.")] = False,
    finish: Annotated[bool, typer.Option("--finish", help="Remove the index before.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Only show which indices there are.")] = False,
    per_second: Annotated[float, typer.Option(help="Documents a second at most; -1: no limit.", min=-1)] = -1,
) -> None:
    """Make an index anew by this release's template, or for another model, while servers and workers go on."""
    from app.reindex.command import Action, reindex

    chosen: dict[Action, bool] = {"rollback": rollback, "finish": finish, "status": status}
    actions = [action for action, wanted in chosen.items() if wanted] or ["run"]
    with _settings() as settings:
        if len(actions) > 1:
            raise EngineError("Say one of --rollback, --finish and --status.")
        asyncio.run(reindex(settings, console, actions[0], index=index, model=model, per_s=per_second))


@asynccontextmanager
async def _backups(settings: Settings) -> AsyncIterator[Backup]:
    from app.backup import Backup
    from app.elastic.client import open_patiently

    async with open_patiently(settings) as es:
        yield Backup(es, settings)


@contextmanager
def _shards(doing: str) -> Iterator[Callable[[int, int], None]]:
    with Progress(console=console) as bar:
        task = bar.add_task(doing)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield show


if __name__ == "__main__":
    main()
