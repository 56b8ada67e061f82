"""Checkpoints that are taken by themselves, before messages fall out of the window.

The worker looks when it takes up episodes to embed, before it saves them: what makes the look due is
what makes the embedding due, so neither is lost with the process.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from app.checkpoints.service import moment_of
from app.checkpoints.store import CheckpointStore
from app.elastic.index import Document
from app.elastic.scope import Scope, SystemScope
from app.episodes.store import EpisodeStore
from app.outbox import WEBHOOKS, Outbox
from app.sessions.present import Windows
from app.sessions.store import SessionStore, StoredSession
from app.types import derived_id

log = logging.getLogger(__name__)

_WORKER = SystemScope("windows of all organisations fill up")
FULL = 0.8
"""Part of the window's tokens."""


class AutomaticCheckpoints:
    """budget: tokens of a window. kept: automatic checkpoints that a session keeps, the newest; 0 for all."""

    def __init__(
        self,
        store: CheckpointStore,
        sessions: SessionStore,
        episodes: EpisodeStore,
        windows: Windows,
        outbox: Outbox,
        *,
        budget: int,
        kept: int,
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._episodes = episodes
        self._windows = windows
        self._outbox = outbox
        self._budget = budget
        self._kept = kept

    async def look(self, documents: Sequence[Document]) -> int:
        """Take a checkpoint of each session among these episodes' whose present has grown by 80 % of a window
        since the last one that was taken by itself (or since its beginning). Returns how many."""
        ids = sorted({document.source["session_id"] for document in documents if document.source.get("session_id")})
        stored = await self._sessions.get_all(_WORKER, ids)
        asked = [(session.session.session_id, session.lineage, session.automatic_ordinal) for session in stored]
        grown = await self._episodes.tokens_since(_WORKER, asked)
        full = [session for session, tokens in zip(stored, grown, strict=True) if tokens >= FULL * self._budget]
        for session in full:
            await self._take(session)
        return len(full)

    async def _take(self, stored: StoredSession) -> None:
        source = stored.document.source
        session_id = stored.session.session_id
        # The owner's own view: one agent's would be blind to what others said in the session.
        owner = Scope(source["org_id"], source["user_id"])
        since = str(stored.automatic_ordinal)
        checkpoint_id = derived_id("automatic checkpoint", session_id, str(stored.lineage.branch), since)
        moment = await moment_of(self._episodes, self._windows, owner, session_id, stored.lineage)
        told = await self._store.create_automatic(owner, moment, checkpoint_id)
        taken = await self._store.get(_WORKER, session_id, checkpoint_id)
        if taken is not None and taken.path:
            await self._sessions.note_automatic(_WORKER, stored, taken.path[-1].ordinal)
        if told:
            self._outbox.nudge(WEBHOOKS)
        if self._kept:
            await self._store.prune(owner, session_id, self._kept)
        log.info("a window filled up and was kept", extra={"session_id": session_id})
