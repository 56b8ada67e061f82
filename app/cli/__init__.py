"""`remembr-server`: the operator's command. (`remembr` is the published client's.)

Exit codes: 0 done; 1 it couldn't be done, or something is bad; 2 wrong arguments or settings; 130 interrupted.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from app.cli import running, upkeep

app = typer.Typer(
    help="Run and look after a Remembr server. Settings are environment variables: docs/configuration.md.",
    epilog="Exit codes: 0 done, 1 it couldn't be done or something is bad, 2 wrong arguments or settings.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (running.serve, running.worker, running.dev, running.demo):
    app.command(rich_help_panel="Run")(command)
for command in (upkeep.doctor, upkeep.templates, upkeep.reindex, upkeep.backup, upkeep.restore):
    app.command(rich_help_panel="Look after")(command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("remembr-server"))
        raise typer.Exit


@app.callback()
def options(
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the release.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Of the command as a whole."""


def main() -> None:
    """Entry point."""
    app(prog_name="remembr-server")
