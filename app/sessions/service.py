"""Creating, listing and reading sessions."""

from __future__ import annotations

from datetime import datetime

from app.elastic.scope import Scope
from app.episodes import queries
from app.episodes.store import EpisodeStore
from app.errors import NotFound
from app.idempotency.models import Answered, Creation
from app.pages import Page
from app.sessions import window
from app.sessions.models import (
    CreatedSession,
    EmbeddingCounts,
    History,
    HistoryEpisode,
    HistoryQuery,
    ListedSession,
    NewSession,
    Sessions,
    SessionWindow,
    TokenUsage,
    WindowMessage,
)
from app.sessions.present import Windows
from app.sessions.store import SessionStore, StoredSession
from app.timespan import check_times
from app.types import utc_now

_PRIORITY_DIGITS = 6


class SessionService:
    """Every method takes the caller's scope first."""

    def __init__(self, store: SessionStore, episodes: EpisodeStore, windows: Windows) -> None:
        self._store = store
        self._episodes = episodes
        self._windows = windows

    async def create(self, creation: Creation, new: NewSession, answered: Answered, request_id: str) -> CreatedSession:
        """A new session, or the one that the same request made before."""
        session = await self._store.create(creation, new.metadata, answered)
        return CreatedSession(session.session_id, session.org_id, session.created_at, session.metadata, request_id)

    async def page(self, scope: Scope, page: Page, request_id: str) -> Sessions:
        """A page of the caller's sessions, newest first."""
        found, total = await self._store.page(scope, page)
        lineages = {stored.session.session_id: stored.lineage for stored in found}
        counts = await self._episodes.message_counts(scope, lineages)
        listed = [
            ListedSession(
                session.session_id,
                session.org_id,
                session.created_at,
                session.metadata,
                counts.get(session.session_id, 0),
            )
            for session in (stored.session for stored in found)
        ]
        return Sessions(request_id, scope.org_id, listed, total, page.limit, page.offset)

    async def read(self, scope: Scope, session_id: str, request_id: str) -> SessionWindow:
        """A session with its window and how full that is. Raises NotFound."""
        stored = await self._require(scope, session_id)
        messages = await self._windows.of(scope, session_id, stored.lineage)
        used, now = sum(message.tokens for message in messages), utc_now()
        usage = TokenUsage(
            message_count=len(messages),
            estimated_tokens=used,
            used=used,
            max=self._windows.budget,
            percentage=round(100 * used / self._windows.budget, 2),
        )
        return SessionWindow(request_id, stored.session, [_shown(message, now) for message in messages], usage)

    async def history(self, scope: Scope, session_id: str, wanted: HistoryQuery, request_id: str) -> History:
        """Part of a session's episodes, ascending. Raises NotFound, or ValidationFailed for times out of order."""
        check_times(wanted.from_time, wanted.to_time)
        stored = await self._require(scope, session_id)
        newest_first = wanted.order == "desc"
        page = await self._episodes.history(
            scope,
            session_id,
            None if wanted.include_superseded else stored.lineage,
            limit=wanted.limit,
            offset=wanted.offset,
            newest_first=newest_first,
            times=queries.between(wanted.from_time, wanted.to_time),
        )
        episodes = [
            HistoryEpisode(
                episode.id,
                episode.session_id,
                episode.role,
                episode.content,
                episode.created_at,
                episode.tags,
                episode.metadata,
                episode.embedding_status,
            )
            for episode in page.episodes
        ]
        if newest_first:
            episodes.reverse()
        return History(request_id, session_id, episodes, page.total, wanted.limit, wanted.offset)

    async def embedding_counts(self, scope: Scope, session_id: str) -> EmbeddingCounts:
        """Embedding status of all its episodes together. Raises NotFound."""
        await self._require(scope, session_id)
        counts = await self._episodes.status_counts(scope, session_id)
        return EmbeddingCounts(
            session_id=session_id,
            pending=counts.get("pending", 0),
            ready=counts.get("ready", 0),
            failed=counts.get("failed", 0),
            total=sum(counts.values()),
        )

    async def _require(self, scope: Scope, session_id: str) -> StoredSession:
        stored = await self._store.get(scope, session_id)
        if stored is None:
            raise NotFound("There is no such session.", code="SESSION_NOT_FOUND")
        return stored


def _shown(message: window.Message, now: datetime) -> WindowMessage:
    score = round(window.priority(message.role, message.created_at, now), _PRIORITY_DIGITS)
    return WindowMessage(message.role, message.content, message.tokens, score, message.created_at, message.episode_id)
