"""The demo: a conversation is remembered, searched in every way, and partly forgotten again."""

from __future__ import annotations

import statistics

from rich.console import Console

from app.demo import show
from app.demo.client import Client, DemoError
from app.demo.conversation import FLIGHT
from app.demo.recall import TOP, Recall
from app.demo.remember import Embedded, embed, register, remember
from app.demo.stage import Stage


async def play(base_url: str, *, console: Console, pace_s: float = 0.1) -> bool:
    """Play the demo against a running server, as a freshly registered organisation.

    base_url: with or without `/api/v1`. pace_s: seconds that each turn stays the newest on the
    screen; on a console that is no terminal nobody watches, and it is taken as 0. Returns True when
    each question's answer came among the first three of the mode that it shows off, and what was
    just stored or deleted was found or gone at once. What stops the demo is printed, and returns False.
    """
    try:
        async with Client.connect(base_url) as client:
            stage = Stage(client, console, pace_s if console.is_terminal else 0.0)
            recall = Recall(stage)
            await register(stage)
            session_ids = await remember(stage)
            embedded = await embed(stage, session_ids.values())
            last = session_ids[FLIGHT.title]
            secret = await recall.read_own_write(last)
            await recall.ask_all()
            await recall.look_at_window(last)
            await recall.forget(secret)
    except DemoError as failure:
        console.print()
        show.note(console, str(failure), style="bold red")
        return False
    return _finish(console, len(session_ids), embedded, recall)


def _finish(console: Console, sessions: int, embedded: Embedded, recall: Recall) -> bool:
    asked = len(recall.ranks)
    first = sum(rank == 1 for rank in recall.ranks)
    top = sum(rank is not None and rank <= TOP for rank in recall.ranks)
    failed = f", {embedded.failed} failed" if embedded.failed else ""
    show.act(console, "In figures")
    show.summary(
        console,
        {
            "episodes": f"{embedded.ready + embedded.failed} in {sessions} sessions",
            "embedded": f"{embedded.seconds:.1f} s after the last was stored{failed}",
            "median search": f"{statistics.median(recall.server_ms):.0f} ms in the server, "
            f"{statistics.median(recall.seen_ms):.1f} ms as this client saw it",
            "answers": f"{first} of {asked} first, {top} of {asked} among the first {TOP}",
        },
    )
    return recall.consistent and top == asked
