"""The first half of the demo: an organisation, its sessions, and their embeddings."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.demo import answers, show
from app.demo.cast import Session
from app.demo.client import Client, DemoError
from app.demo.conversation import REHEARSAL, SESSIONS
from app.demo.stage import Stage, episode

EMBEDDING_TIMEOUT_S = 180.0
POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class Embedded:
    """How the embedding went. seconds: from the last store to nothing pending; the rest in episodes."""

    seconds: float
    ready: int
    failed: int


async def register(stage: Stage) -> None:
    """Register a new organisation, make an API key, and go on with that."""
    show.act(stage.console, "A fresh organisation and its API key")
    name = f"skyduck-{secrets.token_hex(4)}"
    owner = {"email": f"{name}@example.com", "password": secrets.token_urlsafe(18), "org_name": name}
    tokens = await stage.client.post("/auth/register", answers.Tokens, owner)
    stage.client.authenticate(tokens.access_token)
    key = await stage.client.post("/api-keys", answers.ApiKey, {"name": "demo"})
    stage.client.authenticate(key.api_key)
    show.note(stage.console, f"{name} registered; from here on it is {key.api_key[:6]}... that asks.")


async def remember(stage: Stage) -> dict[str, str]:
    """Store every session, one of them as a batch. Returns session ids by title."""
    session_ids: dict[str, str] = {}
    for session in SESSIONS:
        ago = f"{session.days_ago} days ago" if session.days_ago else "today"
        show.act(stage.console, f"{session.title}, {ago}")
        body = {"metadata": {"title": session.title, "source": "demo"}}
        created = await stage.client.create("/sessions", answers.SessionCreated, body)
        session_ids[session.title] = created.session_id
        store = _store_batch if session is REHEARSAL else _store_turns
        await store(stage, session, created.session_id)
    return session_ids


async def _store_turns(stage: Stage, session: Session, session_id: str) -> None:
    for turn, when in zip(session.turns, session.times(stage.now), strict=True):
        await stage.client.create("/memory", answers.Stored, episode(turn, session_id, when))
        show.turn(stage.console, turn)
        await stage.pause()


async def _store_batch(stage: Stage, session: Session, session_id: str) -> None:
    pairs = zip(session.turns, session.times(stage.now), strict=True)
    body = {"episodes": [episode(turn, session_id, when) for turn, when in pairs]}
    started = time.perf_counter()
    batch = await stage.client.create("/memory/batch", answers.Batch, body)
    elapsed_ms = (time.perf_counter() - started) * 1000
    if refused := [item for item in batch.items if item.episode_id is None]:
        raise DemoError(f"{len(refused)} episodes of the batch were refused; the first: {refused[0].error}")
    for turn in session.turns:
        show.turn(stage.console, turn)
    show.note(stage.console, f"(these {len(batch.items)} in one batch, {elapsed_ms:.0f} ms)", style="dim")
    await stage.pause(len(session.turns))


async def embed(stage: Stage, session_ids: Iterable[str]) -> Embedded:
    """Show a bar until no episode of the sessions is pending.

    Raises DemoError when some still are after EMBEDDING_TIMEOUT_S; failed ones are reported.
    """
    show.act(stage.console, "The worker turns words into vectors")
    started = time.perf_counter()
    waiting = sorted(session_ids)
    latest: dict[str, answers.EmbeddingStatus] = {}
    with show.embedding_progress(stage.console) as progress:
        bar = progress.add_task("embedding", total=None)
        while waiting:
            for session_id in waiting:
                path = f"/sessions/{session_id}/embedding-status"
                latest[session_id] = await stage.client.get(path, answers.EmbeddingStatus)
            waiting = [session_id for session_id in waiting if latest[session_id].pending]
            total = sum(status.total for status in latest.values())
            pending = sum(status.pending for status in latest.values())
            progress.update(bar, total=total, completed=total - pending)
            if waiting and time.perf_counter() - started > EMBEDDING_TIMEOUT_S:
                raise DemoError(
                    f"{pending} of {total} episodes still wait for their embedding after "
                    f"{EMBEDDING_TIMEOUT_S:.0f} s. Is the worker running? Its log says what it waits for."
                )
            if waiting:
                await asyncio.sleep(POLL_S)
    seconds = time.perf_counter() - started
    if any(status.failed for status in latest.values()):
        await _report_failed(stage, latest)
    return Embedded(
        seconds,
        ready=sum(status.ready for status in latest.values()),
        failed=sum(status.failed for status in latest.values()),
    )


async def _report_failed(stage: Stage, latest: Mapping[str, answers.EmbeddingStatus]) -> None:
    failed = sum(status.failed for status in latest.values())
    reason = await _reason(stage.client, [sid for sid, status in latest.items() if status.failed])
    show.note(
        stage.console,
        f"{failed} could not be embedded: {reason} They are tried again later, and are found by their words meanwhile.",
        style="yellow",
    )


async def _reason(client: Client, session_ids: Iterable[str]) -> str:
    """Why the first failed episode of these sessions has no embedding, as the server tells it."""
    for session_id in session_ids:
        history = await client.get(f"/sessions/{session_id}/history", answers.History, limit=100)
        for stored in history.episodes:
            if stored.embedding_status == "failed":
                status = await client.get(f"/memory/{stored.episode_id}/status", answers.EpisodeStatus)
                return status.embedding_error or "the server gives no reason."
    return "a later try has succeeded since."
