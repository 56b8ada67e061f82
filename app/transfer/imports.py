"""Taking a memory in, batch by batch of its lines: the same file twice makes nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime

from app.elastic.scope import Scope
from app.embedding import ModelInfo
from app.episodes.store import Draft, EpisodeStore, Given
from app.idempotency.models import Answered, Creation
from app.lineage import FIRST
from app.ndjson import Line
from app.outbox import EMBED, Outbox
from app.sessions.store import SessionStore
from app.tokens import count_tokens_async
from app.transfer.lines import ReadRow, Row, embedding_of, read_rows
from app.transfer.models import Imported, LineError
from app.types import JsonObject, utc_now

ERRORS_SHOWN = 100

_REFUSALS = {
    "taken": ("ID_TAKEN", "There is something else under this id."),
    "deleted": ("DELETED", "The episode is deleted here; restore it."),
}
_NO_SESSION = "The session can't be used: it is deleted, or isn't yours."


class ImportService:
    """See the module."""

    def __init__(
        self,
        episodes: EpisodeStore,
        sessions: SessionStore,
        outbox: Outbox,
        model: Callable[[], ModelInfo],
        content_max: int,
    ) -> None:
        self._episodes = episodes
        self._sessions = sessions
        self._outbox = outbox
        self._model = model
        self._content_max = content_max

    async def run(
        self, creation: Creation, batches: AsyncGenerator[list[Line], None], answered: Answered, request_id: str
    ) -> Imported:
        """Store what isn't there, under the ids and times that are given. Each batch is durable before the
        next is read.

        Raises Unavailable and whatever `batches` raises; what was stored until then stays, and the
        same import again completes it.
        """
        result = Imported(request_id)
        async with aclosing(batches):
            async for lines in batches:
                await self._batch(creation, lines, result)
        answered.replayed = creation.key is not None and result.existing > 0 and not result.imported
        return result

    async def _batch(self, creation: Creation, lines: Sequence[Line], result: Imported) -> None:
        # In a thread: a batch can hold megabytes.
        read = await asyncio.to_thread(read_rows, lines, self._content_max)
        failures = {item.line: item for item in read if isinstance(item, LineError)}
        rows = [item for item in read if isinstance(item, ReadRow)]
        branches, created = await self._branches(creation.scope, rows)
        result.sessions_created += created
        for item in rows:
            if item.row.session_id is not None and item.row.session_id not in branches:
                failures[item.number] = LineError(item.number, "SESSION_NOT_FOUND", _NO_SESSION)
        rows = [item for item in rows if item.number not in failures]
        tokens = await count_tokens_async([item.row.content for item in rows])
        now = utc_now()
        embeddings = await self._embeddings(creation.scope, [item.row for item in rows])
        given = [
            _given(creation, item, count, now, branches.get(item.row.session_id or "", FIRST), embedding)
            for item, count, embedding in zip(rows, tokens, embeddings, strict=True)
        ]
        outcomes = await self._episodes.create_given(creation.scope, given)
        for item, outcome in zip(rows, outcomes, strict=True):
            if outcome in _REFUSALS:
                failures[item.number] = LineError(item.number, *_REFUSALS[outcome])
        result.imported += outcomes.count("created")
        result.existing += outcomes.count("existing")
        result.failed += len(failures)
        result.errors += [failures[number] for number in sorted(failures)][: ERRORS_SHOWN - len(result.errors)]
        if "created" in outcomes:
            self._outbox.nudge(EMBED)

    async def _embeddings(self, scope: Scope, rows: Sequence[Row]) -> list[JsonObject]:
        """Of each row that brings a usable one along. A context is used only where all that it was taken from
        is here, so that it goes when that goes."""
        model = self._model()
        embeddings = [embedding_of(row, model) for row in rows]
        brought = {row.id for row in rows}
        sources = {source for embedding in embeddings for source in embedding.get("context_of") or ()}
        here = brought | await self._episodes.known(scope, sources - brought)
        return [embedding if set(embedding.get("context_of") or ()) <= here else {} for embedding in embeddings]

    async def _branches(self, scope: Scope, rows: Sequence[ReadRow]) -> tuple[dict[str, int], int]:
        """Session id → branch, of the sessions that can be used, and how many of them are new."""
        first: dict[str, datetime] = {}
        for item in rows:
            if item.row.session_id is not None:
                first.setdefault(item.row.session_id, item.row.created_at or utc_now())
        known = await self._sessions.branches(scope, first)
        missing = {session_id: at for session_id, at in first.items() if session_id not in known}
        if not missing:
            return known, 0
        created = await self._sessions.create_given(scope, missing)
        return known | await self._sessions.branches(scope, missing), created


def _given(creation: Creation, item: ReadRow, tokens: int, now: datetime, branch: int, embedding: JsonObject) -> Given:
    row = item.row
    draft = Draft(item.number, row, row.created_at or now, tokens, branch)
    episode_id = row.id or replace(creation, fingerprint=item.fingerprint).id(item=item.number)
    return Given(episode_id, draft, row.deleted_at, embedding)
