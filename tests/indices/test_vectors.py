"""Vectors are kept through every write that doesn't concern them, and never read by accident."""

from __future__ import annotations

from elasticsearch import AsyncElasticsearch

from app.container import WorkerContainer
from app.elastic.indices import EPISODES
from tests.client import Client
from tests.conftest import Embed

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
