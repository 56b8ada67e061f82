"""/sessions."""

from __future__ import annotations

from app.http.routing import Call, Nothing, Routes
from app.pages import Page
from app.sessions.models import (
    CreatedSession,
    EmbeddingCounts,
    History,
    HistoryQuery,
    NewSession,
    Sessions,
    SessionWindow,
)

routes = Routes()
_MISSING = "SESSION_NOT_FOUND"


@routes.add("POST", "/sessions", body=NewSession, answer=CreatedSession, status=201, keyed=True)
async def create(call: Call[NewSession, Nothing]) -> CreatedSession:
    """Create a session."""
    return await call.container.sessions.create(call.creation(), call.body, call.answered, call.request_id)


@routes.add("GET", "/sessions", query=Page, answer=Sessions)
async def list_sessions(call: Call[Nothing, Page]) -> Sessions:
    """List sessions, newest first."""
    return await call.container.sessions.page(call.scope, call.query, call.request_id)


@routes.add("GET", "/sessions/{session_id}", answer=SessionWindow)
async def read(call: Call[Nothing, Nothing]) -> SessionWindow:
    """A session with its short-term window and token usage."""
    session_id = call.path_id("session_id", _MISSING)
    return await call.container.sessions.read(call.scope, session_id, call.request_id)


@routes.add("GET", "/sessions/{session_id}/history", query=HistoryQuery, answer=History)
async def history(call: Call[Nothing, HistoryQuery]) -> History:
    """A session's episodes, ascending by time."""
    session_id = call.path_id("session_id", _MISSING)
    return await call.container.sessions.history(call.scope, session_id, call.query, call.request_id)


@routes.add("GET", "/sessions/{session_id}/embedding-status", answer=EmbeddingCounts)
async def embedding_status(call: Call[Nothing, Nothing]) -> EmbeddingCounts:
    """How many of a session's episodes are embedded."""
    return await call.container.sessions.embedding_counts(call.scope, call.path_id("session_id", _MISSING))
