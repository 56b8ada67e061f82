"""What the audit log holds and answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field

from app.pages import OFFSET_MAX, PAGE_MAX
from app.types import CleanText, Id, UtcDateTime
from app.validation import Input

_ActionName = Annotated[CleanText, Field(min_length=1, max_length=64)]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from. address: as for rate limits, of IPv6 the first 64 bits."""

    address: str
    user_agent: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One action. credential: `key:<id>` or `user:<id>`. targets: ids of what it was done to. status: as the caller
    was answered; null where the server ended before it knew."""

    id: str
    at: datetime
    action: str
    user_id: str
    agent_id: str | None
    credential: str
    targets: list[str]
    address: str
    user_agent: str
    request_id: str
    status: int | None


@dataclass(frozen=True, slots=True)
class Entries:
    """Entries of the organisation, newest first."""

    request_id: str
    entries: list[Entry]
    total: int
    limit: int
    offset: int


class EntriesQuery(Input):
    """Which entries to list."""

    action: _ActionName | None = Field(None, description="Of this name, such as `api_key.create`.")
    user_id: Id | None = None
    target: Id | None = Field(None, description="Done to the thing of this id.")
    from_time: UtcDateTime | None = None
    to_time: UtcDateTime | None = None
    limit: int = Field(20, ge=1, le=PAGE_MAX)
    offset: int = Field(0, ge=0, le=OFFSET_MAX)
