"""/memory."""

from __future__ import annotations

from app.episodes.models import (
    DeletedEpisode,
    EmbeddingLag,
    EpisodeStatus,
    NewEpisode,
    NewEpisodes,
    SearchRequest,
    SearchResults,
    StoredBatch,
    StoredEpisode,
)
from app.errors import NotFound
from app.http.routing import Call, Nothing, Routes

routes = Routes()


@routes.add("POST", "/memory", body=NewEpisode, answer=StoredEpisode, status=201, keyed=True, errors=(NotFound,))
async def store(call: Call[NewEpisode, Nothing]) -> StoredEpisode:
    """Store an episode."""
    creation = call.creation(call.body.session_id)
    return await call.container.episodes.store(creation, call.body, call.answered, call.request_id)


@routes.add("POST", "/memory/batch", body=NewEpisodes, answer=StoredBatch, status=201, keyed=True)
async def store_batch(call: Call[NewEpisodes, Nothing]) -> StoredBatch:
    """Store up to 500 episodes; each has its own outcome in the answer."""
    episodes = call.container.episodes
    return await episodes.store_batch(call.creation(), call.body.episodes, call.answered, call.request_id)


@routes.add("POST", "/memory/search", body=SearchRequest, answer=SearchResults, needs="memory:read")
async def search(call: Call[SearchRequest, Nothing]) -> SearchResults:
    """Search by meaning, words and recency, or by filters alone."""
    return await call.container.search.search(call.scope, call.body, call.request_id)


@routes.add("GET", "/memory/{episode_id}/status", answer=EpisodeStatus)
async def status(call: Call[Nothing, Nothing]) -> EpisodeStatus:
    """How far the embedding of an episode is."""
    return await call.container.episodes.status(call.scope, call.path_id("episode_id", "EPISODE_NOT_FOUND"))


@routes.add("GET", "/memory/embedding-status", answer=EmbeddingLag)
async def embedding_status(call: Call[Nothing, Nothing]) -> EmbeddingLag:
    """How many episodes are embedded, how many wait for it, and since when."""
    return await call.container.episodes.lag(call.scope)


@routes.add("DELETE", "/memory/{episode_id}", answer=DeletedEpisode, audit="memory.delete")
async def delete(call: Call[Nothing, Nothing]) -> DeletedEpisode:
    """Soft-delete an episode."""
    episode_id = call.path_id("episode_id", "EPISODE_NOT_FOUND")
    return await call.container.episodes.delete(call.scope, episode_id, call.request_id)
