"""What every part of the demo is handed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from app.demo.cast import Turn
from app.demo.client import Client


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demo plays. pace_s: seconds that one turn stays the newest on the screen."""

    client: Client
    console: Console
    pace_s: float
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def pause(self, turns: int = 1) -> None:
        """Leave the time in which so many turns are read."""
        await asyncio.sleep(self.pace_s * turns)


def episode(turn: Turn, session_id: str, when: datetime | None = None) -> dict[str, Any]:
    """The body of `POST /memory` for a turn; without `created_at` where it is said now."""
    body: dict[str, Any] = {
        "role": turn.role,
        "content": turn.text,
        "session_id": session_id,
        "tags": list(turn.tags),
        "metadata": {"speaker": turn.speaker.name},
    }
    return body if when is None else body | {"created_at": when.isoformat()}
