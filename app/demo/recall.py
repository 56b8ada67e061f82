"""The second half of the demo: searching, the short-term window, and forgetting."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.demo import answers, show
from app.demo.conversation import SECRET
from app.demo.questions import MODES, QUESTIONS, Mode, Question
from app.demo.stage import Stage, episode

SEARCH_LIMIT = 10
TOP = 3
# A table takes longer to read than a turn.
READING_TURNS = 8


@dataclass
class Recall:
    """Searches, and what they took and found.

    server_ms, seen_ms: of each search, as the server and as this client measured it. ranks: of each
    question's answer in the mode it shows off, from 1, None when it was not found. consistent:
    whether what was stored or deleted was seen so by the search that followed.
    """

    stage: Stage
    server_ms: list[int] = field(default_factory=list)
    seen_ms: list[float] = field(default_factory=list)
    ranks: list[int | None] = field(default_factory=list)
    consistent: bool = True

    async def read_own_write(self, session_id: str) -> str:
        """Store one more sentence and search for it at once. Returns its episode id."""
        show.act(self.stage.console, "Said a moment ago, found at once")
        stored = await self.stage.client.create("/memory", answers.Stored, episode(SECRET, session_id))
        show.turn(self.stage.console, SECRET)
        found = await self._search_secret("keyword")
        self._check(
            stored.episode_id in [hit.episode_id for hit in found.results],
            f"Its embedding is {stored.embedding_status}; the very next search already finds it by its words.",
            "The search that followed did not find it, though the store had answered.",
        )
        return stored.episode_id

    async def ask_all(self) -> None:
        """Ask every question in every mode, and show the mode it is about."""
        show.act(self.stage.console, f"{len(QUESTIONS)} questions, each in three modes")
        for number, question in enumerate(QUESTIONS, start=1):
            await self._ask(number, question)
            await self.stage.pause(READING_TURNS)

    async def _ask(self, number: int, question: Question) -> None:
        found: dict[Mode, answers.Found] = {}
        for mode in MODES:
            found[mode] = await self._search(question.body(mode, self.stage.now, limit=SEARCH_LIMIT))
        by_mode: Mapping[str, int | None] = {mode: _rank(found[mode].results, question.answer) for mode in MODES}
        self.ranks.append(by_mode[question.mode])
        shown = found[question.mode]
        show.results(
            self.stage.console,
            shown.results,
            now=self.stage.now,
            answer=question.answer,
            title=f"{number}. {question.ask}",
            caption=f"{question.mode}; {question.shows}",
            top=TOP,
        )
        show.ranks(self.stage.console, by_mode, question.mode, shown.query_time_ms)
        if question.explain:
            show.shares(self.stage.console, shown.results, top=TOP)

    async def look_at_window(self, session_id: str) -> None:
        """Show a session's short-term window."""
        show.act(self.stage.console, "What an agent sees now: the short-term window of the last session")
        view = await self.stage.client.get(f"/sessions/{session_id}", answers.Window)
        show.window(self.stage.console, view)

    async def forget(self, episode_id: str) -> None:
        """Soft-delete the sentence that `read_own_write` stored, and search for it again."""
        show.act(self.stage.console, "Forgotten on request")
        deleted = await self.stage.client.delete(f"/memory/{episode_id}", answers.Deleted)
        found = await self._search_secret("hybrid")
        self._check(
            episode_id not in [hit.episode_id for hit in found.results],
            "The trophy cupboard is safe again: the very next search no longer finds its code. "
            f"It can be restored until {deleted.restorable_until:%d %B %Y}.",
            "The search that followed still finds the deleted episode.",
        )

    async def _search_secret(self, mode: Mode) -> answers.Found:
        return await self._search({"query": "QUACK-7-NINE", "search_mode": mode, "limit": SEARCH_LIMIT})

    async def _search(self, body: Mapping[str, Any]) -> answers.Found:
        started = time.perf_counter()
        found = await self.stage.client.search(answers.Found, body)
        self.seen_ms.append((time.perf_counter() - started) * 1000)
        self.server_ms.append(found.query_time_ms)
        return found

    def _check(self, holds: bool, good: str, bad: str) -> None:
        self.consistent &= holds
        show.note(self.stage.console, good if holds else bad, style="green" if holds else "bold red")


def _rank(hits: Iterable[answers.Hit], answer: str) -> int | None:
    return next((rank for rank, hit in enumerate(hits, start=1) if answer in hit.content), None)
