"""The answers of the REST API that the demo reads, each with only the fields it uses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field


class Tokens(BaseModel):
    """`POST /auth/register`."""

    access_token: str


class ApiKey(BaseModel):
    """`POST /api-keys`; the only answer that shows the key itself."""

    api_key: str


class SessionCreated(BaseModel):
    """`POST /sessions`."""

    session_id: str


class Stored(BaseModel):
    """`POST /memory`."""

    episode_id: str
    embedding_status: str


class BatchItem(BaseModel):
    """One episode of `POST /memory/batch`: `episode_id` where it was stored, else `error`."""

    index: int
    episode_id: str | None = None
    error: Any = None


class Batch(BaseModel):
    """`POST /memory/batch`."""

    items: list[BatchItem]


class EmbeddingStatus(BaseModel):
    """`GET /sessions/{id}/embedding-status`: numbers of episodes."""

    pending: int
    ready: int
    failed: int
    total: int


class HistoryEpisode(BaseModel):
    """One episode of `GET /sessions/{id}/history`."""

    episode_id: str
    embedding_status: str


class History(BaseModel):
    """`GET /sessions/{id}/history`."""

    episodes: list[HistoryEpisode]


class EpisodeStatus(BaseModel):
    """`GET /memory/{id}/status`."""

    embedding_error: str | None = None


class Part(BaseModel):
    """What one signal gave to a score: share = score x weight, all in 0..1."""

    score: float
    weight: float
    share: float


class Hit(BaseModel):
    """One result of a search. explanation: by signal, and only when asked for."""

    episode_id: str
    content: str
    role: str
    score: float
    created_at: datetime
    metadata: dict[str, Any] = Field(default_factory=dict)
    explanation: dict[str, Part] | None = None


class Found(BaseModel):
    """`POST /memory/search`. query_time_ms: as the server measured it."""

    results: list[Hit]
    total: int
    query_time_ms: int


class Message(BaseModel):
    """One message of a session's short-term window."""

    role: str
    content: str
    tokens: int


class TokenUsage(BaseModel):
    """How full the window is, in tokens."""

    used: int
    max: int


class Window(BaseModel):
    """`GET /sessions/{id}`."""

    messages: list[Message]
    token_usage: TokenUsage


class Deleted(BaseModel):
    """`DELETE /memory/{id}`."""

    deleted: bool
    restorable_until: datetime
