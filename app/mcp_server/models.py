"""What the tools answer: the part of the REST API's answers that a model has a use for."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field


class Remembered(BaseModel):
    """An episode that was stored."""

    episode_id: str
    session_id: str | None
    created_at: datetime


class Turn(BaseModel):
    """Something that was said beside a result."""

    role: str
    content: str


class Memory(BaseModel):
    """An episode that was found. score: 0 to 1. before, after: what was said around it, oldest first."""

    episode_id: str
    session_id: str | None
    role: str
    content: str
    score: float
    created_at: datetime
    tags: list[str]
    before: list[Turn] = Field(default_factory=list)
    after: list[Turn] = Field(default_factory=list)


class Memories(BaseModel):
    """Best first. total: how many there are in all."""

    memories: list[Memory]
    total: int


class Session(BaseModel):
    """A conversation."""

    session_id: str
    created_at: datetime
    metadata: dict[str, Any]
    message_count: int = 0


class Sessions(BaseModel):
    """Newest first."""

    sessions: list[Session]
    total: int


class Message(BaseModel):
    """One message of a session's window."""

    episode_id: str
    role: str
    content: str
    timestamp: datetime


class Window(BaseModel):
    """What of a session fits the token budget, oldest first."""

    session: Session
    messages: list[Message]
    tokens_used: int
    tokens_max: int


class Checkpoint(BaseModel):
    """A window that can be gone back to."""

    checkpoint_id: str
    created_at: datetime
    message_count: int


class Checkpoints(BaseModel):
    """Newest first."""

    checkpoints: list[Checkpoint]


class Restored(BaseModel):
    """A window that was gone back to."""

    message_count: int
    checkpoint_created_at: datetime


class Forgotten(BaseModel):
    """How many episodes are gone from every read, and until when they can be restored."""

    episodes: int
    restorable_until: datetime
