"""An organisation that is spread over several shards is read, written and forgotten as any other."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from elasticsearch import AsyncElasticsearch

from app.elastic.indices import EPISODES
from app.settings import Settings
from tests.client import Client
from tests.installations import installation

COUNT = 60


@pytest.fixture
async def partitioned(settings: Settings) -> AsyncIterator[tuple[Client, AsyncElasticsearch, str]]:
    """An organisation of an installation with two shards of four for each, and a session of sixty turns: the caller,
    Elasticsearch, the episodes' alias."""
    async with installation(settings, index_shards=4, index_partitions=2) as (client, es, own):
        yield client, es, EPISODES.alias(own.index_prefix)


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
