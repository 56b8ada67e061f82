"""An organisation that is spread over several shards is read, written and forgotten as any other."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator

import pytest
from elasticsearch import AsyncElasticsearch

from app.elastic.client import open_elasticsearch
from app.elastic.indices import EPISODES
from app.migrate import migrate
from app.settings import Settings
from tests.client import Client, connect
from tests.conftest import PASSWORD, serving
from tests.prefixes import forget

COUNT = 60


@pytest.fixture
async def partitioned(settings: Settings) -> AsyncIterator[tuple[Client, AsyncElasticsearch, str]]:
    """An organisation of an installation with two shards of four for each, and a session of sixty turns: the caller,
    Elasticsearch, the episodes' alias."""
    changes = {"index_prefix": f"part-{uuid.uuid4().hex[:8]}", "index_shards": 4, "index_partitions": 2}
    own = settings.model_copy(update=changes)
    assert settings.elasticsearch_url is not None
    await migrate(own)
    async with open_elasticsearch(own, settings.elasticsearch_url) as es:
        try:
            async with serving(own) as url, connect(url) as client:
                await client.register(f"{uuid.uuid4().hex}@example.com", PASSWORD)
                yield client, es, EPISODES.alias(own.index_prefix)
        finally:
            await forget(es, own.index_prefix)


async def test_everything_works_over_two_shards(partitioned: tuple[Client, AsyncElasticsearch, str]) -> None:
    client, es, alias = partitioned
    session_id = (await client.data("POST", "/sessions", status=201, json={}))["session_id"]
    turns = [{"role": "user", "content": f"lighthouse {n}", "session_id": session_id} for n in range(COUNT)]
    stored = await client.data("POST", "/memory/batch", status=201, json={"episodes": turns})
    ids = [item["episode_id"] for item in stored["items"]]

    await es.indices.refresh(index=alias)
    shards = await es.cat.shards(index=alias, format="json", h="docs")
    counts = sorted(int(shard["docs"] or 0) for shard in shards.body if isinstance(shard, dict))
    assert counts[:2] == [0, 0]
    assert counts[2] > 0
    assert sum(counts) == COUNT

    for mode in ("keyword", "hybrid"):
        found = await client.search("lighthouse", search_mode=mode, limit=100)
        assert {result["episode_id"] for result in found["results"]} == set(ids), mode
        assert found["total"] == COUNT
    history = await client.data("GET", f"/sessions/{session_id}/history", params={"limit": 100})
    assert [episode["episode_id"] for episode in history["episodes"]] == ids

    await client.data("DELETE", f"/memory/{ids[0]}")
    assert (await client.search("lighthouse", search_mode="keyword"))["total"] == COUNT - 1
    exported = (await client.send("GET", "/export", params={"format": "ndjson"})).text.splitlines()
    assert [json.loads(line)["id"] for line in exported] == ids[1:]

    await client.data("DELETE", f"/memory/session/{session_id}")
    assert (await client.search("lighthouse", search_mode="keyword"))["total"] == 0
