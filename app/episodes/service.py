"""Storing and forgetting episodes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from app.elastic.scope import Scope
from app.episodes.models import (
    BatchItem,
    DeletedEpisode,
    EmbeddingLag,
    Episode,
    EpisodeStatus,
    NewEpisode,
    StoredBatch,
    StoredEpisode,
)
from app.episodes.store import Draft, EpisodeStore
from app.errors import NotFound, RemembrError, Unavailable, ValidationFailed
from app.idempotency.models import Answered, Creation
from app.lineage import FIRST
from app.outbox import EMBED, WEBHOOKS, Outbox
from app.sessions.store import SessionStore
from app.settings import Settings
from app.tokens import count_tokens_async
from app.types import JsonObject, utc_now
from app.validation import validation_failed


class EpisodeService:
    """See the module. Every method takes the caller's scope first."""

    def __init__(
        self,
        store: EpisodeStore,
        sessions: SessionStore,
        outbox: Outbox,
        settings: Settings,
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._outbox = outbox
        self._settings = settings

    async def store(self, creation: Creation, new: NewEpisode, answered: Answered, request_id: str) -> StoredEpisode:
        """Store one episode; durable and visible to every later read when this returns.

        Raises ValidationFailed when the content is too long and NotFound when the session isn't there.
        """
        self._check_length(new.content, ("content",))
        wanted, branches = await asyncio.gather(
            self._store.wanted_events(creation.scope),
            self._require_sessions(creation.scope, [new.session_id]),
        )
        drafts = await self._drafts({0: new}, branches)
        result = (await self._store.create_all(creation, drafts, answered, wanted))[0]
        if isinstance(result, BaseException):
            raise result
        self._nudge(wanted)
        return StoredEpisode(request_id, result.id, result.session_id, result.created_at, result.token_count, "pending")

    async def store_batch(
        self, creation: Creation, given: Sequence[JsonObject], answered: Answered, request_id: str
    ) -> StoredBatch:
        """Store up to 500, each on its own: what is wrong with one is answered for it and stops no other.

        Raises Unavailable when none could be stored because Elasticsearch is away.
        """
        items: list[BatchItem | None] = [None] * len(given)
        valid: dict[int, NewEpisode] = {}
        for index, raw in enumerate(given):
            try:
                new = NewEpisode.model_validate(raw)
                self._check_length(new.content, ("content",))
            except ValidationError as error:
                items[index] = _refused(index, validation_failed(error, f"episodes.{index}"))
            except ValidationFailed as error:
                items[index] = _refused(index, error)
            else:
                valid[index] = new
        asked = {new.session_id for new in valid.values() if new.session_id}
        wanted, branches = await asyncio.gather(
            self._store.wanted_events(creation.scope), self._sessions.branches(creation.scope, asked)
        )
        for index, new in list(valid.items()):
            if new.session_id is not None and new.session_id not in branches:
                items[index] = _refused(index, _no_session())
                del valid[index]
        drafts = await self._drafts(valid, branches)
        results = await self._store.create_all(creation, drafts, answered, wanted)
        refused = [result for result in results if isinstance(result, Unavailable)]
        if refused and len(refused) == len(results):
            # As for a single episode: clients send again what is answered so, and not what is answered by item.
            raise refused[0]
        for index, result in zip(valid, results, strict=True):
            items[index] = _stored(index, result)
        self._nudge(wanted)
        outcomes = [item for item in items if item is not None]
        stored = sum(item.status == 201 for item in outcomes)
        return StoredBatch(request_id, outcomes, stored, len(outcomes) - stored)

    async def status(self, scope: Scope, episode_id: str) -> EpisodeStatus:
        """How far its embedding is. Raises NotFound."""
        episode = await self._store.get(scope, episode_id)
        if episode is None:
            raise _no_episode()
        return EpisodeStatus(
            episode.id, episode.embedding_status, episode.embedding_generated_at, episode.embedding_error
        )

    async def lag(self, scope: Scope) -> EmbeddingLag:
        """How far the embedding of all that the caller may read is."""
        return await self._store.lag(scope)

    async def delete(self, scope: Scope, episode_id: str, request_id: str) -> DeletedEpisode:
        """Hide an episode from every read, restorable for a while. Raises NotFound."""
        now, wanted = utc_now(), await self._store.wanted_events(scope)
        if not await self._store.soft_delete(scope, episode_id, now, wanted):
            raise _no_episode()
        if wanted:
            self._outbox.nudge(WEBHOOKS)
        until = now + timedelta(days=self._settings.restore_days)
        return DeletedEpisode(request_id, True, episode_id, True, until)

    def _nudge(self, wanted: frozenset[str]) -> None:
        self._outbox.nudge(EMBED)
        if wanted:
            self._outbox.nudge(WEBHOOKS)

    async def _drafts(self, new: Mapping[int, NewEpisode], branches: Mapping[str, int]) -> list[Draft]:
        now = utc_now()
        tokens = await count_tokens_async([episode.content for episode in new.values()])
        return [
            Draft(number, episode, episode.created_at or now, count, branches.get(episode.session_id or "", FIRST))
            for (number, episode), count in zip(new.items(), tokens, strict=True)
        ]

    async def _require_sessions(self, scope: Scope, session_ids: Sequence[str | None]) -> dict[str, int]:
        wanted = {session_id for session_id in session_ids if session_id is not None}
        branches = await self._sessions.branches(scope, wanted)
        if branches.keys() != wanted:
            raise _no_session()
        return branches

    def _check_length(self, content: str, loc: tuple[str, ...]) -> None:
        limit = self._settings.content_max_chars
        if len(content) > limit:
            message = f"must have at most {limit} characters, not {len(content)}"
            error = {"type": "string_too_long", "loc": ["body", *loc], "msg": message}
            raise ValidationFailed(f"The content {message}.", errors=[error])


def _no_episode() -> NotFound:
    return NotFound("There is no such episode.", code="EPISODE_NOT_FOUND")


def _no_session() -> NotFound:
    return NotFound("There is no such session; create it first.", code="SESSION_NOT_FOUND")


def _refused(index: int, error: RemembrError) -> BatchItem:
    described: dict[str, Any] = {
        "code": error.error,
        "message": error.message,
        "details": error.details or None,
    }
    return BatchItem(index, error.status, error=described)


def _stored(index: int, result: Episode | BaseException) -> BatchItem:
    if isinstance(result, RemembrError):
        return _refused(index, result)
    if isinstance(result, BaseException):
        raise result
    return BatchItem(
        index,
        201,
        episode_id=result.id,
        session_id=result.session_id,
        created_at=result.created_at,
        token_count=result.token_count,
        embedding_status="pending",
    )
