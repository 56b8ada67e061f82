"""Who talks in the demo, and the shapes of what is said."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

TURN_EVERY = timedelta(seconds=75)


@dataclass(frozen=True, slots=True)
class Speaker:
    """Someone who talks. role: the role of the episode, as `POST /memory` takes it."""

    name: str
    role: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing said. tags: each `key:value`."""

    speaker: Speaker
    text: str
    tags: tuple[str, ...] = ()

    @property
    def role(self) -> str:
        """The role of who speaks."""
        return self.speaker.role


@dataclass(frozen=True, slots=True)
class Session:
    """One meeting. days_ago: days between its last turn and the moment the demo runs."""

    title: str
    days_ago: int
    turns: tuple[Turn, ...]

    def times(self, now: datetime) -> list[datetime]:
        """When each turn was said: TURN_EVERY apart, the last one a turn before `now - days_ago`.

        Counting back keeps every time in the past, which the server insists on, and leaves a
        client whose clock runs a little ahead some room.
        """
        end = now - timedelta(days=self.days_ago)
        return [end - TURN_EVERY * (len(self.turns) - index) for index in range(len(self.turns))]


BRIEF = Speaker("Brief", "system")
MIRA = Speaker("Mira", "user")
TOMASZ = Speaker("Tomasz", "user")
ADAEZE = Speaker("Adaeze", "user")
PIP = Speaker("Pip", "assistant")
TRACKER = Speaker("Tracker", "tool")
FORECAST = Speaker("Forecast", "tool")
