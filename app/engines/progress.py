"""What the person at the terminal sees while something takes its time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

log = logging.getLogger(__name__)

Advance = Callable[[int], None]


@contextmanager
def step(console: Console | None, doing: str, done: str, *, total_bytes: int | None = None) -> Iterator[Advance]:
    """Show `doing` with its seconds (and bytes, when their number is known) and leave one line `done` behind.

    Yields a function to be told the bytes done so far. Without a console the line goes to the log; an
    exception passes through and leaves no line.
    """
    began = time.monotonic()
    if console is None:
        yield lambda _count: None
        log.info("%s in %.1f s", done, time.monotonic() - began)
        return
    if not console.is_terminal:
        console.print(f"{doing} ...", highlight=False)
    columns: list[ProgressColumn] = [SpinnerColumn(), TextColumn("{task.description}")]
    if total_bytes:
        columns += [BarColumn(bar_width=30), DownloadColumn()]
    with Progress(
        *columns, TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(doing, total=total_bytes)
        yield lambda count: progress.update(task, completed=count)
    console.print(f"[green]✓[/green] {done} [dim]{time.monotonic() - began:.1f} s[/dim]", highlight=False)
