"""State that isn't conversation, as episodes: found by exact tags, carried in their metadata."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.adapters.batches import store
from app.client import ApiError, Call, Steps

PAGE = 100
_AT_ONCE = 16


@dataclass(frozen=True)
class Record:
    """text: what search compares with; short where nobody searches for it. carried: JSON of at most 64 KiB."""

    role: str
    text: str
    tags: Sequence[str]
    carried: dict[str, Any]
    created_at: datetime | None = None


@dataclass(frozen=True)
class Found(Record):
    """A record as it is stored. score: of a search, 0 to 1."""

    episode_id: str = ""
    score: float = 0.0
    at: datetime = field(default_factory=datetime.now)


def _found(result: dict[str, Any]) -> Found:
    return Found(
        role=result["role"],
        text=result["content"],
        tags=result["tags"],
        carried=result["metadata"],
        episode_id=result["episode_id"],
        score=result["score"],
        at=datetime.fromisoformat(result["created_at"]),
    )


def tag(name: str, *parts: str) -> str:
    """A tag for exactly these parts, of any length and alphabet."""
    digest = hashlib.sha256("\0".join(part.replace("\0", "\0\0") for part in parts).encode()).hexdigest()
    return f"{name}:{digest[:32]}"


def put(records: Sequence[Record]) -> Steps[list[str]]:
    """Store them; their episodes' ids. Raises ApiError when one is refused; those before it are stored."""
    return store(
        [
            {
                "role": each.role,
                "content": each.text,
                "tags": list(each.tags),
                "metadata": each.carried,
                "created_at": each.created_at.isoformat() if each.created_at else None,
            }
            for each in records
        ]
    )


def page(
    tags: Sequence[str], *, query: str | None = None, offset: int = 0, limit: int = PAGE
) -> Steps[tuple[list[Found], bool]]:
    """Some of those that have all these tags, the best first where there is a query, else the newest; and whether there
    are more. limit: `PAGE` at most."""
    body = {"query": query, "tags": list(tags), "limit": limit, "offset": offset}
    (answer,) = yield [Call("POST", "/memory/search", body)]
    found = [_found(each) for each in answer["results"]]
    return found, len(found) == limit and offset + limit < answer["total"]


def find(tags: Sequence[str]) -> Steps[list[Found]]:
    """All that have all these tags, the newest first."""
    found: list[Found] = []
    more = True
    while more:
        some, more = yield from page(tags, offset=len(found))
        found += some
    return found


def find_each(tags: Sequence[Sequence[str]]) -> Steps[list[list[Found]]]:
    """What each of these finds, asked at once."""
    found: list[list[Found]] = []
    waiting = list(tags)
    while waiting:
        batch, waiting = waiting[:_AT_ONCE], waiting[_AT_ONCE:]
        answers = yield [Call("POST", "/memory/search", {"tags": list(each), "limit": PAGE}) for each in batch]
        for wanted, answer in zip(batch, answers, strict=True):
            if answer["total"] > PAGE:
                found.append((yield from find(wanted)))
            else:
                found.append([_found(each) for each in answer["results"]])
    return found


def remove(episode_ids: Iterable[str]) -> Steps[None]:
    """Delete them for good; those that are gone already count as removed."""
    waiting = list(dict.fromkeys(episode_ids))
    while waiting:
        batch, waiting = waiting[:_AT_ONCE], waiting[_AT_ONCE:]
        try:
            yield [Call("DELETE", f"/memory/{episode_id}/hard") for episode_id in batch]
        except ApiError as error:
            if error.status != 404:
                raise
            # Somebody else removed one of them: one by one, to know that the others are gone.
            if len(batch) > 1:
                for episode_id in batch:
                    yield from remove([episode_id])
