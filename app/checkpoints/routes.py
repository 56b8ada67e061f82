"""Checkpoints of /sessions."""

from __future__ import annotations

from app.checkpoints.models import Checkpoints, CheckpointsQuery, CreatedCheckpoint, Restored, RestoreRequest
from app.http.routing import Call, Nothing, Routes

routes = Routes()
_MISSING = "SESSION_NOT_FOUND"


@routes.add("POST", "/sessions/{session_id}/checkpoint", answer=CreatedCheckpoint, status=201, keyed=True)
async def checkpoint(call: Call[Nothing, Nothing]) -> CreatedCheckpoint:
    """Remember what the session's window is now."""
    session_id = call.path_id("session_id", _MISSING)
    creation = call.creation(session_id)
    return await call.container.checkpoints.create(creation, session_id, call.answered, call.request_id)


@routes.add("GET", "/sessions/{session_id}/checkpoints", query=CheckpointsQuery, answer=Checkpoints)
async def checkpoints(call: Call[Nothing, CheckpointsQuery]) -> Checkpoints:
    """List a session's checkpoints, newest first."""
    session_id = call.path_id("session_id", _MISSING)
    return await call.container.checkpoints.page(call.scope, session_id, call.query, call.request_id)


@routes.add("POST", "/sessions/{session_id}/restore", body=RestoreRequest, answer=Restored, audit="checkpoint.restore")
async def restore(call: Call[RestoreRequest, Nothing]) -> Restored:
    """Go back to a checkpoint: the window is its messages again. Nothing is deleted, and search finds it all."""
    session_id = call.path_id("session_id", _MISSING)
    return await call.container.checkpoints.restore(call.scope, session_id, call.body.checkpoint_id, call.request_id)
