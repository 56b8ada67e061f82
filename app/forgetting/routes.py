"""/memory: deleting, restoring and comparing."""

from __future__ import annotations

from app.episodes.models import DiffQuery
from app.errors import ConflictError, Gone
from app.forgetting.models import DeletedSession, DeletedUser, Diff, RemovedEpisode, RestoredEpisode
from app.http.routing import Call, Nothing, Routes

routes = Routes()
_NO_EPISODE = "EPISODE_NOT_FOUND"


@routes.add("GET", "/memory/diff", query=DiffQuery, answer=Diff)
async def diff(call: Call[Nothing, DiffQuery]) -> Diff:
    """What was said, and what was deleted, in a period."""
    return await call.container.forgetting.diff(call.scope, call.query, call.request_id)


@routes.add("DELETE", "/memory/session/{session_id}", answer=DeletedSession, audit="session.delete")
async def delete_session(call: Call[Nothing, Nothing]) -> DeletedSession:
    """Soft-delete all episodes of a session; the session itself stays, empty."""
    session_id = call.path_id("session_id", "SESSION_NOT_FOUND")
    return await call.container.forgetting.delete_session(call.scope, session_id, call.request_id)


@routes.add("DELETE", "/memory/user/{user_id}", answer=DeletedUser, needs="admin", audit="user.delete")
async def delete_user(call: Call[Nothing, Nothing]) -> DeletedUser:
    """Soft-delete all episodes and sessions of a user."""
    user_id = call.path_id("user_id", "USER_NOT_FOUND")
    return await call.container.forgetting.delete_user(call.scope, user_id, call.request_id)


@routes.add("DELETE", "/memory/{episode_id}/hard", answer=RemovedEpisode, audit="memory.remove")
async def remove(call: Call[Nothing, Nothing]) -> RemovedEpisode:
    """Remove an episode for good, deleted or not."""
    episode_id = call.path_id("episode_id", _NO_EPISODE)
    return await call.container.forgetting.remove(call.scope, episode_id, call.request_id)


@routes.add(
    "POST", "/memory/{episode_id}/restore", answer=RestoredEpisode, errors=(ConflictError, Gone), audit="memory.restore"
)
async def restore(call: Call[Nothing, Nothing]) -> RestoredEpisode:
    """Bring a soft-deleted episode back."""
    episode_id = call.path_id("episode_id", _NO_EPISODE)
    return await call.container.forgetting.restore(call.scope, episode_id, call.request_id)
