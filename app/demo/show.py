"""How the demo looks: everything that it prints, on a terminal or in a plain log."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from app.demo.answers import Hit, Part, Window
from app.demo.cast import Turn

WIDTH = 100
INDENT = 2
BAR_WIDTH = 10
WHO_WIDTH = 8
WHEN_WIDTH = 11
MIN_TEXT_WIDTH = 20
STACK_WIDTH = 40
COLOURS = {
    "Mira": "magenta",
    "Tomasz": "cyan",
    "Adaeze": "yellow",
    "Pip": "green",
    "Tracker": "blue",
    "Forecast": "blue",
}


@dataclass(frozen=True, slots=True)
class _Signal:
    name: str
    colour: str
    block: str
    letter: str


# Told apart by shape as well as colour, since logs and some eyes have no colour.
SIGNALS = (
    _Signal("semantic", "cyan", "█", "S"),
    _Signal("keyword", "magenta", "▓", "k"),
    _Signal("recency", "yellow", "░", "."),
    _Signal("lift", "green", "▒", "+"),
)


def terminal() -> Console:
    """A console on standard output; WIDTH columns where that is no terminal and has no width."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH)


def _width(console: Console) -> int:
    return min(console.width, WIDTH)


def _plain(console: Console, text: str) -> str:
    """The text with what the console's encoding lacks replaced; keeps it to one line."""
    return " ".join(text.split()).encode(console.encoding, "replace").decode(console.encoding)


def _cut(text: str, width: int, keep: str = "") -> str:
    """At most width characters of the text, from the first word on with which `keep` still shows."""
    for start in [0, *(space + 1 for space, character in enumerate(text) if character == " ")]:
        short = textwrap.shorten("... " * (start > 0) + text[start:], width, placeholder=" ...")
        if keep in short:
            return short
    return textwrap.shorten(text, width, placeholder=" ...")


def _ago(when: datetime, now: datetime) -> str:
    days = round((now - when).total_seconds() / 86_400)
    return "today" if days <= 0 else "1 day ago" if days == 1 else f"{days} days ago"


def act(console: Console, title: str) -> None:
    """Begin a part of the demo."""
    console.print()
    console.print(Rule(Text(f"{title} ", style="bold"), align="left", style="dim"), width=_width(console))


def note(console: Console, sentence: str, *, style: str = "") -> None:
    """A sentence or two to the person watching: indented, wrapped, never interpreted as markup."""
    console.print(Padding(Text(sentence, style=style), (0, 0, 0, INDENT)), width=_width(console))


def turn(console: Console, spoken: Turn) -> None:
    """One turn on one line, coloured by who speaks."""
    colour = COLOURS.get(spoken.speaker.name, "white")
    line = Text(" " * INDENT)
    line.append(f"{spoken.speaker.name:<9}", style=f"bold {colour}")
    line.append(_cut(_plain(console, spoken.text), _width(console) - len(line)), style=colour)
    console.print(line)


def embedding_progress(console: Console) -> Progress:
    """The bar over embeddings; in a plain log only its last state is printed."""
    return Progress(
        TextColumn("  embedding"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def results(
    console: Console,
    hits: Sequence[Hit],
    *,
    now: datetime,
    answer: str,
    title: str,
    caption: str,
    top: int = 3,
) -> None:
    """The first hits of a search as a table, and the one that answers wherever it ranks.

    answer: the piece of text that marks the right one. title and caption: the question, and what it shows.
    """
    mark = "*" if console.options.ascii_only else "✔"
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("", width=INDENT, justify="right")
    table.add_column("#", width=2, justify="right")
    table.add_column("score", width=5)
    table.add_column("", width=BAR_WIDTH)
    table.add_column("who", width=WHO_WIDTH)
    table.add_column("when", width=WHEN_WIDTH)
    paddings = 7
    text_width = _width(console) - (INDENT + 2 + 5 + BAR_WIDTH + WHO_WIDTH + WHEN_WIDTH + paddings)
    table.add_column("text", width=max(text_width, MIN_TEXT_WIDTH), no_wrap=True)
    for rank, hit in enumerate(hits, start=1):
        right = answer in hit.content
        if rank > top and not right:
            continue
        who = str(hit.metadata.get("speaker", hit.role))
        text = Text(_cut(_plain(console, hit.content), max(text_width, MIN_TEXT_WIDTH), keep=answer))
        text.highlight_words([answer], style="bold green")
        table.add_row(
            Text(mark if right else "", style="bold green"),
            str(rank),
            f"{hit.score:.3f}",
            ProgressBar(total=1.0, completed=hit.score, width=BAR_WIDTH, complete_style="cyan", finished_style="cyan"),
            Text(_plain(console, who), style=COLOURS.get(who, "")),
            _ago(hit.created_at, now),
            text,
        )
    console.print()
    heading = Text(" " * INDENT)
    heading.append(title, style="bold")
    heading.append(f"  [{caption}]", style="dim")
    console.print(heading, width=_width(console))
    if hits:
        console.print(table)
    else:
        note(console, "nothing found", style="red")


def ranks(console: Console, by_mode: Mapping[str, int | None], shown: str, server_ms: int) -> None:
    """One line under a table: where each mode ranks the answer, and how long the shown one took."""
    line = Text(" " * INDENT)
    line.append("answer ranks  ", style="dim")
    for mode, rank in by_mode.items():
        colour = "green" if rank == 1 else "yellow" if rank is not None and rank <= 3 else "red"
        line.append(f"{mode} ", style="bold" if mode == shown else "dim")
        line.append(f"{f'#{rank}' if rank else 'not found'}   ", style=colour)
    line.append(f"{server_ms} ms", style="dim")
    console.print(line)


def shares(console: Console, hits: Sequence[Hit], *, top: int = 3) -> None:
    """What each of the first scores is made of: a bar, stacked by signal, as long as the score."""
    legend = Text(" " * INDENT)
    legend.append("scores are made of  ", style="dim")
    for signal in SIGNALS:
        legend.append(f"{_block(console, signal) * 2} {signal.name}  ", style=signal.colour)
    console.print(legend)
    for rank, hit in enumerate(hits[:top], start=1):
        if hit.explanation is None:
            continue
        line = Text(f"  {rank}  {hit.score:.3f}  ")
        line.append_text(_stack(console, hit.explanation))
        sums = " + ".join(
            # The weight of the lift is what the others left over: nothing that a user has set.
            f"{part.share:.2f}" if signal.name == "lift" else f"{part.score:.2f} x {part.weight:.1f}"
            for signal in SIGNALS
            if (part := hit.explanation.get(signal.name)) is not None
        )
        line.append(sums, style="dim")
        console.print(line)


def _block(console: Console, signal: _Signal) -> str:
    return signal.letter if console.options.ascii_only else signal.block


def _stack(console: Console, parts: Mapping[str, Part]) -> Text:
    """STACK_WIDTH cells that stand for 0..1. Ends are rounded, not lengths: rounding never adds up."""
    bar = Text()
    filled = 0.0
    for signal in SIGNALS:
        part = parts.get(signal.name)
        if part is None:
            continue
        start, filled = round(filled * STACK_WIDTH), filled + part.share
        bar.append(_block(console, signal) * (round(filled * STACK_WIDTH) - start), style=signal.colour)
    bar.append(" " * max(STACK_WIDTH - len(bar) + 2, 2))
    return bar


def window(console: Console, view: Window, *, newest: int = 4) -> None:
    """The newest messages of a short-term window, and how full it is."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("role", width=9)
    table.add_column("tokens", width=6, justify="right")
    paddings = 3 * 2
    text_width = max(_width(console) - INDENT - 9 - 6 - paddings, MIN_TEXT_WIDTH)
    table.add_column("message", width=text_width, no_wrap=True)
    for message in view.messages[-newest:]:
        text = _cut(_plain(console, message.content), text_width)
        table.add_row(Text(message.role), str(message.tokens), Text(text))
    console.print(Padding(table, (0, 0, 0, INDENT)))
    usage = view.token_usage
    note(console, f"{len(view.messages)} messages, {usage.used:,} of {usage.max:,} tokens")


def summary(console: Console, rows: Mapping[str, str]) -> None:
    """The figures at the end, a name and a value each."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    for name, value in rows.items():
        grid.add_row(Text(name, style="dim"), Text(value, style="bold"))
    console.print(Padding(grid, (0, 0, 0, INDENT)))
