"""Commands that run something until they are told to stop."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from app.cli.output import AsJson, command, console, give, tell

Workers = Annotated[
    int | None,
    typer.Option(help="Server processes that share the port; else REMEMBR_WORKERS.", min=1, max=64, show_default=False),
]


def serve(
    workers: Workers = None,
    one_of_them: Annotated[bool, typer.Option("--one-of-them", hidden=True)] = False,
) -> None:
    """Serve the REST API from the Elasticsearch and Redis of the settings."""
    from app import server, stack

    with command() as settings:
        if workers is not None:
            settings = settings.model_copy(update={"workers": workers})
        if settings.workers == 1 or one_of_them:
            server.run(settings)
            return
        try:
            with stack.serving(settings, console) as started:
                started.keep_running(console)
        except stack.Stopped:
            return


def worker() -> None:
    """Run one worker process: it embeds what is due, and sends webhooks."""
    from workers import run

    with command() as settings:
        run.run(settings)


def dev(workers: Workers = None) -> None:
    """Run everything on this machine in the foreground: engines, migrations, server and worker."""
    from app import stack

    with command() as settings:
        if workers is not None:
            settings = settings.model_copy(update={"workers": workers})
        try:
            with stack.running(settings, console) as started:
                _greet(started.base_url)
                started.keep_running(console)
        except stack.Stopped:
            tell("Stopped; everything that was answered is stored.")


def _greet(base_url: str) -> None:
    from app.main import BASE_PATH

    console.print(f"\n[bold green]Remembr is ready[/] at [bold]{base_url}[/]\n", highlight=False)
    console.print(f"The console:  {base_url.removesuffix(BASE_PATH)}/console\n\nOr a first key:", highlight=False)
    register = (
        f"  curl -s {base_url}/auth/register -H 'Content-Type: application/json' \\\n"
        '    -d \'{"email": "you@example.com", "password": "correct-horse-battery-staple", "org_name": "Acme"}\'\n'
        f"  curl -s {base_url}/api-keys -H 'Content-Type: application/json' \\\n"
        "    -H 'Authorization: Bearer <the access_token of that answer>' -d '{\"name\": \"first\"}'\n"
    )
    console.print(register, markup=False, highlight=False, soft_wrap=True)
    console.print("Ctrl-C stops it.\n")


def demo(as_json: AsJson = False) -> None:
    """Play a conversation on a stack of its own: remembered, embedded, and found again. Ends by itself."""
    from app import engines, stack
    from app.demo import play, terminal

    with command(as_json=as_json) as settings, tempfile.TemporaryDirectory(prefix="remembr-demo-") as folder:
        own = {"port": 0, "data_dir": Path(folder), "workers": 1, "index_prefix": "demo", "log_level": "WARNING"}
        brief = f"{engines.SHORT_LIVED} {settings.elasticsearch_java_options}"
        settings = settings.model_copy(update=own | {"elasticsearch_java_options": brief})
        Path(folder).chmod(0o755)
        try:
            with stack.running(settings, console) as started:
                succeeded = asyncio.run(play(started.base_url, console=console if as_json else terminal()))
        except stack.Stopped:
            raise typer.Exit(130) from None
    if as_json:
        give({"succeeded": succeeded})
    raise typer.Exit(0 if succeeded else 1)
