"""Forgetting sessions, users and episodes, bringing episodes back, and what changed in a period."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from app.auth.store import AccountStore
from app.checkpoints.store import CheckpointStore
from app.elastic.scope import Scope, UserScope
from app.episodes.lifecycle import LifecycleStore
from app.episodes.models import DiffQuery
from app.errors import AuthorizationError, ConflictError, Gone, NotFound
from app.forgetting.models import (
    AddedEpisode,
    DeletedSession,
    DeletedUser,
    Diff,
    RemovedEpisode,
    RestoredEpisode,
    TakenAwayEpisode,
)
from app.outbox import EMBED, Outbox
from app.sessions.store import SessionStore
from app.timespan import check_times
from app.types import from_iso, utc_now
from app.webhooks.announcer import Announcer


class ForgettingService:
    """Every method takes the caller's scope first. restore_days: how long what is deleted can come back."""

    def __init__(
        self,
        episodes: LifecycleStore,
        sessions: SessionStore,
        checkpoints: CheckpointStore,
        accounts: AccountStore,
        outbox: Outbox,
        announcer: Announcer,
        restore_days: int,
    ) -> None:
        self._episodes = episodes
        self._sessions = sessions
        self._checkpoints = checkpoints
        self._accounts = accounts
        self._outbox = outbox
        self._announcer = announcer
        self._restorable = timedelta(days=restore_days)

    async def delete_session(self, scope: Scope, session_id: str, request_id: str) -> DeletedSession:
        """Hide what the caller reads of a session, which stays and can be used at once.

        Raises NotFound, and StillRunning when it takes longer than clients wait: it goes on.
        """
        if await self._sessions.get(scope, session_id) is None:
            raise NotFound("There is no such session.", code="SESSION_NOT_FOUND")
        now = utc_now()
        await self._checkpoints.hide_session(scope, session_id, now)
        count = await self._episodes.hide_session(scope, session_id, now)
        await self._announcer.session_deleted(scope, session_id, count)
        return DeletedSession(request_id, count, count, session_id, True, now + self._restorable)

    async def delete_user(self, scope: Scope, user_id: str, request_id: str) -> DeletedUser:
        """Hide all that a user has. A user may do so for itself, an owner for all of its organisation.

        Raises AuthorizationError, NotFound, and StillRunning when it takes longer than clients wait.
        """
        theirs = await self._may_forget(scope, user_id)
        now = utc_now()
        # Sessions first: nothing is stored into them from then on.
        sessions = await self._sessions.hide_user(theirs, now)
        await self._checkpoints.hide_user(theirs, now)
        episodes = await self._episodes.hide_user(theirs, now)
        await self._announcer.user_deleted(scope, theirs, episodes, sessions)
        return DeletedUser(request_id, user_id, episodes, sessions, episodes, sessions, True, now + self._restorable)

    async def _may_forget(self, scope: Scope, user_id: str) -> UserScope:
        if scope.agent_id is not None:
            raise AuthorizationError("An agent's key can't delete a user; use the user's own key or token.")
        account = await self._accounts.by_id(user_id)
        if account is None or account.org_id != scope.org_id:
            raise NotFound("There is no such user.", code="USER_NOT_FOUND")
        if user_id != scope.user_id:
            caller = await self._accounts.by_id(scope.user_id)
            if caller is None or caller.org_id != scope.org_id or not caller.is_owner:
                raise AuthorizationError("Only an owner of the organisation can delete another user's memory.")
        return UserScope(scope.org_id, user_id)

    async def remove(self, scope: Scope, episode_id: str, request_id: str) -> RemovedEpisode:
        """Remove an episode for good, deleted or not. Raises NotFound."""
        if not await self._episodes.remove(scope, episode_id, partial(self._announcer.removing, scope)):
            raise _no_episode()
        # Those that were said after it are embedded anew, without it.
        self._outbox.nudge(EMBED)
        return RemovedEpisode(request_id, True, episode_id, False)

    async def restore(self, scope: Scope, episode_id: str, request_id: str) -> RestoredEpisode:
        """Bring a deleted episode back, and its session if that went with the user.

        Raises NotFound, ConflictError when it isn't deleted, and Gone after the time to restore.
        """
        episode = await self._episodes.find(scope, episode_id)
        if episode is None:
            raise _no_episode()
        if episode.deleted_at is None:
            raise _not_deleted()
        if episode.deleted_at + self._restorable <= utc_now():
            raise Gone("This episode was deleted too long ago to be restored.", code="RESTORE_WINDOW_EXPIRED")
        if episode.session_id is not None:
            await self._sessions.restore(scope, episode.session_id)
        if not await self._episodes.restore(scope, episode_id):
            raise _not_deleted()
        # It may have been deleted before it was embedded.
        self._outbox.nudge(EMBED)
        return RestoredEpisode(request_id, episode_id, True)

    async def diff(self, scope: Scope, wanted: DiffQuery, request_id: str) -> Diff:
        """What was said and what was deleted in a period. Raises ValidationFailed for times out of order."""
        check_times(wanted.from_time, wanted.to_time)
        added = await self._episodes.added(scope, wanted)
        taken = await self._episodes.taken_away(scope, wanted)
        return Diff(
            request_id=request_id,
            added=[
                AddedEpisode(
                    episode.id, episode.session_id, episode.role, episode.content, episode.created_at, episode.tags
                )
                for episode in added
            ],
            deleted=[
                TakenAwayEpisode(hit.id, hit.source.get("session_id"), from_iso(hit.source["deleted_at"]))
                for hit in taken.hits
            ],
            period={
                "from_time": wanted.from_time,
                "to_time": wanted.to_time,
                "from": wanted.from_time,
                "to": wanted.to_time,
            },
            count=len(added),
        )


def _no_episode() -> NotFound:
    return NotFound("There is no such episode.", code="EPISODE_NOT_FOUND")


def _not_deleted() -> ConflictError:
    return ConflictError("This episode is not deleted.", code="NOT_DELETED")
