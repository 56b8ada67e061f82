"""What sessions take and answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from app.pages import Page
from app.types import JsonObject, Metadata, UtcDateTime
from app.validation import Input, examples

HISTORY_MAX = 1_000


class NewSession(Input):
    """What a session is about, in the caller's own terms."""

    model_config = ConfigDict(json_schema_extra=examples({"metadata": {"user": "ada", "channel": "web"}}))

    metadata: Metadata = Field(default_factory=dict)


class HistoryQuery(Page):
    """Which part of a session's history."""

    limit: int = Field(50, ge=1, le=HISTORY_MAX)
    order: Literal["asc", "desc"] = Field(
        "desc", description="`desc`: the newest `limit`, offset counting back; `asc`: from the oldest."
    )
    include_superseded: bool = Field(
        False, description="Also what was said between a checkpoint and the restore that went back to it."
    )
    from_time: UtcDateTime | None = None
    to_time: UtcDateTime | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A session as it is shown."""

    session_id: str
    org_id: str
    created_at: datetime
    metadata: JsonObject


@dataclass(frozen=True, slots=True)
class CreatedSession(Session):
    """The receipt of a new session."""

    request_id: str


@dataclass(frozen=True, slots=True)
class ListedSession(Session):
    """A session in a listing."""

    message_count: int


@dataclass(frozen=True, slots=True)
class Sessions:
    """A page of sessions, newest first."""

    request_id: str
    org_id: str
    sessions: list[ListedSession]
    total: int
    limit: int
    offset: int


@dataclass(frozen=True, slots=True)
class WindowMessage:
    """A message of the short-term window. priority_score: role weight × exp(-age / 24 h)."""

    role: str
    content: str
    tokens: int
    priority_score: float
    timestamp: datetime
    episode_id: str


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """How full the window is. percentage: of `max`, 0..100."""

    message_count: int
    estimated_tokens: int
    used: int
    max: int
    percentage: float


@dataclass(frozen=True, slots=True)
class SessionWindow:
    """A session with its window."""

    request_id: str
    session: Session
    messages: list[WindowMessage]
    token_usage: TokenUsage


@dataclass(frozen=True, slots=True)
class HistoryEpisode:
    """An episode in a history."""

    episode_id: str
    session_id: str | None
    role: str
    content: str
    created_at: datetime
    tags: list[str]
    metadata: JsonObject
    embedding_status: str


@dataclass(frozen=True, slots=True)
class History:
    """Part of a session's history, ascending by time."""

    request_id: str
    session_id: str
    episodes: list[HistoryEpisode]
    total: int
    limit: int
    offset: int


@dataclass(frozen=True, slots=True)
class EmbeddingCounts:
    """How many of a session's episodes are in which state."""

    session_id: str
    pending: int
    ready: int
    failed: int
    total: int
