"""Taking checkpoints, listing them, and going back to one."""

from __future__ import annotations

from app.checkpoints.models import (
    Checkpoints,
    CheckpointsQuery,
    CreatedCheckpoint,
    ListedCheckpoint,
    Restored,
)
from app.checkpoints.store import CheckpointStore, Moment
from app.elastic.scope import Scope
from app.episodes.store import EpisodeStore
from app.errors import NotFound, Unavailable
from app.idempotency.models import Answered, Creation
from app.lineage import Lineage
from app.outbox import WEBHOOKS, Outbox
from app.sessions.present import Windows
from app.sessions.store import SessionStore, StoredSession

_TRIES = 20


class CheckpointService:
    """Every method takes the caller's scope first and raises NotFound where there is no such session."""

    def __init__(
        self,
        store: CheckpointStore,
        sessions: SessionStore,
        episodes: EpisodeStore,
        windows: Windows,
        outbox: Outbox,
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._episodes = episodes
        self._windows = windows
        self._outbox = outbox

    async def create(
        self, creation: Creation, session_id: str, answered: Answered, request_id: str
    ) -> CreatedCheckpoint:
        """Remember what the window is now, or find the checkpoint that the same request made."""
        scope = creation.scope
        stored = await self._require(scope, session_id)
        moment = await moment_of(self._episodes, self._windows, scope, session_id, stored.lineage)
        checkpoint, told = await self._store.create(creation, moment, answered)
        if told:
            self._outbox.nudge(WEBHOOKS)
        return CreatedCheckpoint(request_id, checkpoint.id, checkpoint.created_at, len(checkpoint.episode_ids))

    async def page(self, scope: Scope, session_id: str, page: CheckpointsQuery, request_id: str) -> Checkpoints:
        """A session's checkpoints, newest first."""
        await self._require(scope, session_id)
        found, total = await self._store.page(scope, session_id, page)
        listed = [
            ListedCheckpoint(checkpoint.id, checkpoint.created_at, len(checkpoint.episode_ids), checkpoint.automatic)
            for checkpoint in found
        ]
        return Checkpoints(request_id, listed, total, page.limit, page.offset)

    async def restore(self, scope: Scope, session_id: str, checkpoint_id: str, request_id: str) -> Restored:
        """Go back to a checkpoint. Nothing is deleted: the session goes on from there on a branch of its own."""
        stored = await self._require(scope, session_id)
        checkpoint = await self._store.get(scope, session_id, checkpoint_id)
        if checkpoint is None:
            raise NotFound("There is no such checkpoint in this session.", code="CHECKPOINT_NOT_FOUND")
        for _ in range(_TRIES):
            lineage = stored.lineage.restored(checkpoint.path)
            if await self._sessions.move(scope, stored, lineage):
                break
            stored = await self._require(scope, session_id)
        else:
            raise Unavailable("The session is being restored by others at the same time. Send the same request again.")
        window = await self._windows.of(scope, session_id, lineage)
        back = len({message.episode_id for message in window} & set(checkpoint.episode_ids))
        return Restored(request_id, back, back, checkpoint.created_at)

    async def _require(self, scope: Scope, session_id: str) -> StoredSession:
        stored = await self._sessions.get(scope, session_id)
        if stored is None:
            raise NotFound("There is no such session.", code="SESSION_NOT_FOUND")
        return stored


async def moment_of(
    episodes: EpisodeStore, windows: Windows, scope: Scope, session_id: str, lineage: Lineage
) -> Moment:
    """What a checkpoint of a session holds now. The window is that of a session restored to this very path,
    so that what is stored meanwhile is in both or in neither."""
    last = await episodes.last_ordinal(scope.org_id, session_id, lineage.branch)
    path = lineage.until(last)
    window = await windows.of(scope, session_id, lineage.restored(path))
    return Moment(session_id, path, [message.episode_id for message in window])
