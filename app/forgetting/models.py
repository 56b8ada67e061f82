"""What forgetting answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from typing_extensions import TypedDict


@dataclass(frozen=True, slots=True)
class DeletedSession:
    """The receipt of a session's soft delete. Both spellings of the count are read by clients."""

    request_id: str
    deleted_count: int
    deletedCount: int  # noqa: N815
    session_id: str
    soft: bool
    restorable_until: datetime


@dataclass(frozen=True, slots=True)
class DeletedUser:
    """The receipt of a user's soft delete. Both spellings of the counts are read by clients."""

    request_id: str
    user_id: str
    deleted_episodes: int
    deleted_sessions: int
    deletedEpisodes: int  # noqa: N815
    deletedSessions: int  # noqa: N815
    soft: bool
    restorable_until: datetime


@dataclass(frozen=True, slots=True)
class RemovedEpisode:
    """The receipt of a removal for good."""

    request_id: str
    deleted: bool
    episode_id: str
    soft: bool


@dataclass(frozen=True, slots=True)
class RestoredEpisode:
    """The receipt of a restore."""

    request_id: str
    episode_id: str
    restored: bool


@dataclass(frozen=True, slots=True)
class AddedEpisode:
    """An episode that was said in the period."""

    episode_id: str
    session_id: str | None
    role: str
    content: str
    created_at: datetime
    tags: list[str]


@dataclass(frozen=True, slots=True)
class TakenAwayEpisode:
    """An episode that was soft-deleted in the period, and is deleted still."""

    episode_id: str
    session_id: str | None
    deleted_at: datetime


# `from` is a keyword, so this can't be written as a class.
Period = TypedDict("Period", {"from_time": datetime, "to_time": datetime, "from": datetime, "to": datetime})


@dataclass(frozen=True, slots=True)
class Diff:
    """What changed in a period, both ends inclusive. count: of `added`."""

    request_id: str
    added: list[AddedEpisode]
    deleted: list[TakenAwayEpisode]
    period: Period
    count: int
