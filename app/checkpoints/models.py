"""What checkpoints take and answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydantic import Field

from app.lineage import Path
from app.pages import PAGE_MAX, Page
from app.types import Id
from app.validation import Input


class RestoreRequest(Input):
    """Where to go back to."""

    checkpoint_id: Id


class CheckpointsQuery(Page):
    """Which checkpoints. Published clients ask for no page and get all that a session usually has."""

    limit: int = Field(100, ge=1, le=PAGE_MAX)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint as stored. path: the session's past at that moment; episode_ids: of its window."""

    id: str
    session_id: str
    created_at: datetime
    path: Path
    episode_ids: list[str]
    automatic: bool


@dataclass(frozen=True, slots=True)
class CreatedCheckpoint:
    """The receipt of a checkpoint. message_count: of the window."""

    request_id: str
    checkpoint_id: str
    created_at: datetime
    message_count: int


@dataclass(frozen=True, slots=True)
class ListedCheckpoint:
    """A checkpoint in a listing. automatic: taken because the window was filling up."""

    checkpoint_id: str
    created_at: datetime
    message_count: int
    automatic: bool


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """A page of a session's checkpoints, newest first."""

    request_id: str
    checkpoints: list[ListedCheckpoint]
    total: int
    limit: int
    offset: int


@dataclass(frozen=True, slots=True)
class Restored:
    """The receipt of a restore. restored_message_count: messages of the checkpoint that are in the window
    again; what was deleted since stays deleted. Under both names that published clients read."""

    request_id: str
    restored_message_count: int
    restoredMessageCount: int  # noqa: N815
    checkpoint_created_at: datetime
