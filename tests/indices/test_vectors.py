"""Vectors are kept through every write that doesn't concern them, and never read by accident."""

from __future__ import annotations

import asyncio
import uuid
from typing import get_args

import numpy as np
import pytest
from elasticsearch import AsyncElasticsearch
from numpy.typing import NDArray

from app.container import WorkerContainer, open_core
from app.elastic.indices import EPISODES
from app.elastic.scope import Scope, ScopedQuery
from app.embedding.encoder import EncodedPassage, Passage
from app.embedding.load import ModelSpec, load_onnx
from app.episodes.embedded import ready
from app.episodes.models import NewEpisode
from app.episodes.store import Draft, EpisodeStore, Given
from app.settings import Settings, VectorIndex
from app.types import utc_now
from tests.client import Client
from tests.conftest import Embed
from tests.installations import installation

CAT = "Our cat sleeps on the radiator all day"


async def embedding(es: AsyncElasticsearch, alias: str, client: Client, episode_id: str) -> tuple[list[float], str]:
    found = await es.get(index=alias, id=episode_id, routing=client.org_id, source_exclude_vectors=False)
    source = found.body["_source"]
    return source["context_vector"], source["token_codes"]


async def test_a_soft_delete_keeps_vector_and_codes(
    organisation: Client, embed: Embed, worker_container: WorkerContainer
) -> None:
    es, alias = worker_container.core.es, EPISODES.alias(worker_container.core.settings.index_prefix)
    session_id = await organisation.session()
    await organisation.store("Where is she?", session_id=session_id)
    episode_id = await organisation.store(CAT, session_id=session_id)
    await embed()
    before = await embedding(es, alias, organisation, episode_id)
    assert len(before[0]) == 384
    assert before[1]
    await organisation.data("DELETE", f"/memory/{episode_id}")
    assert await organisation.contents("a pet keeping warm", search_mode="semantic") == ["Where is she?"]
    await es.update(index=alias, id=episode_id, routing=organisation.org_id, doc={"deleted_at": None}, refresh=True)
    assert await embedding(es, alias, organisation, episode_id) == before
    found = await organisation.search("a pet keeping warm", search_mode="semantic")
    assert found["total"] == 2
    assert found["results"][0]["content"] == CAT


async def test_a_read_brings_no_vectors_along(
    organisation: Client, embed: Embed, worker_container: WorkerContainer
) -> None:
    es, alias = worker_container.core.es, EPISODES.alias(worker_container.core.settings.index_prefix)
    episode_id = await organisation.store(CAT)
    await embed()
    found = await es.get(index=alias, id=episode_id, routing=organisation.org_id)
    assert found.body["_source"]["embedding_status"] == "ready"
    assert {"context_vector"} & set(found.body["_source"]) == set()


@pytest.mark.parametrize("vector_index", get_args(VectorIndex))
async def test_what_only_words_find_has_a_place_beside_the_nearest(settings: Settings, vector_index: str) -> None:
    """A window that holds fewer than are near in meaning, in every type of index."""
    encoder = await asyncio.to_thread(load_onnx, ModelSpec.of(settings))
    question = "Who keeps a zither, a theremin and a celesta?"
    wanted = "A zither, a theremin and a celesta hang in the hall"
    near, other = encoder.encode_documents([Passage(question), Passage("Said once more")])
    dice = np.random.default_rng(3)

    def given(content: str, vector: NDArray[np.float32]) -> Given:
        embedded = ready(EncodedPassage(vector, other.codes), content, encoder.info.model_id)
        draft = Draft(0, NewEpisode(role="user", content=content), utc_now(), 5)
        return Given(str(uuid.uuid4()), draft, embedding=embedded)

    def beside(share: float) -> NDArray[np.float32]:
        away = dice.standard_normal(len(near.vector))
        mixed = near.vector + share * away / np.linalg.norm(away)
        return np.asarray(mixed / np.linalg.norm(mixed), dtype=np.float32)

    changes = {"vector_index": vector_index, "exact_search_limit": 0, "search_window": 100}
    async with installation(settings, **changes) as (client, _, own), open_core(own) as core:
        scope = Scope(client.org_id, client.user_id)
        store = EpisodeStore(core.engine, core.once)
        filters = await store.knn_filters(ScopedQuery(scope))
        assert (filters is None) == (vector_index == "bbq_flat")
        crowd = [given(f"Said {number} times", beside(0.1)) for number in range(250)]
        await store.create_given(scope, [*crowd, given(wanted, beside(0.5))])
        found = await client.search(question, limit=10)
        assert found["results"][0]["content"] == wanted
