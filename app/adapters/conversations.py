"""Conversations of frameworks as sessions: each message is an episode, found like any other, and comes back whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.adapters.batches import store
from app.client import Call, Steps

_PAGE = 500


@dataclass(frozen=True)
class Message:
    """text: what is found. whole: the framework's own form, without the text where that is all of its content."""

    role: str
    text: str
    whole: Mapping[str, Any] | None = None
    episode_id: str = ""


def start(metadata: Mapping[str, Any]) -> Steps[str]:
    """A new session's id."""
    (session,) = yield [Call("POST", "/sessions", {"metadata": dict(metadata)})]
    return str(session["session_id"])


def add(session_id: str, framework: str, messages: Sequence[Message]) -> Steps[list[str]]:
    """Add them in this order; their episodes' ids. framework: the name that their own form is kept under. Raises
    ApiError."""
    return store(
        [
            {
                "role": each.role,
                "content": each.text,
                "session_id": session_id,
                "metadata": {framework: each.whole} if each.whole is not None else {},
            }
            for each in messages
        ]
    )


def read(session_id: str, framework: str, newest: int | None = None) -> Steps[list[Message]]:
    """All of them, or the newest so many, oldest first. Raises ApiError."""
    messages: list[Message] = []
    while newest is None or len(messages) < newest:
        limit = _PAGE if newest is None else min(_PAGE, newest - len(messages))
        query = {"limit": limit, "offset": len(messages), "order": "desc"}
        (page,) = yield [Call("GET", f"/sessions/{session_id}/history", query=query)]
        got = [
            Message(each["role"], each["content"], each["metadata"].get(framework), each["episode_id"])
            for each in page["episodes"]
        ]
        messages = got + messages
        if len(got) < limit or len(messages) >= page["total"]:
            break
    return messages


def forget(episode_id: str) -> Steps[None]:
    """Delete one; it can be restored for a while. Raises ApiError."""
    yield [Call("DELETE", f"/memory/{episode_id}")]


def clear(session_id: str) -> Steps[None]:
    """Delete all of a session; the same. Raises ApiError."""
    yield [Call("DELETE", f"/memory/session/{session_id}")]
