"""What commands say, and how they end: sentences on standard error, or one JSON document on standard output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import orjson
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from app import logs
from app.errors import EngineError, RemembrError
from app.settings import Settings

AsJson = Annotated[bool, typer.Option("--json", help="What came of it as JSON on standard output.")]

console = Console(stderr=True)


@contextmanager
def command(*, as_json: bool = False) -> Iterator[Settings]:
    """The settings; what stops a command is said in a sentence without a trace, and sets the exit code."""
    try:
        settings = Settings()
        logs.configure(settings.log_level)
        yield settings
    except ValidationError as error:
        problems = [
            (f"REMEMBR_{'_'.join(str(part) for part in item['loc']).upper()}", item["msg"])
            for item in error.errors(include_url=False, include_input=False)
        ]
        if as_json:
            give({"error": "; ".join(f"{name}: {problem}" for name, problem in problems)})
        for name, problem in problems:
            console.print(f"[bold red]{name}[/]: {escape(problem)}", soft_wrap=True)
        raise typer.Exit(2) from None
    except (EngineError, RemembrError, OSError) as error:
        if as_json:
            give({"error": str(error)})
        console.print(f"[bold red]Stopped:[/] {escape(str(error))}", soft_wrap=True, highlight=False)
        raise typer.Exit(1) from None


def give(result: Any) -> None:
    """Write it to standard output as JSON."""
    typer.echo(orjson.dumps(result, option=orjson.OPT_INDENT_2).decode())


def tell(*sentences: str) -> None:
    """Say them to whoever looks on, with rich's markup."""
    for sentence in sentences:
        console.print(sentence, highlight=False, soft_wrap=True)


def shown_or_given(result: Any, sentences: Sequence[str], *, as_json: bool) -> None:
    """The result in the form that was asked for."""
    if as_json:
        give(result)
    else:
        tell(*sentences)


@contextmanager
def progress_bar(doing: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error; what it yields is called with what is done and of how much."""
    with Progress(console=console) as bar:
        task = bar.add_task(doing)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield show
