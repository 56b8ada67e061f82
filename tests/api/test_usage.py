"""What servers write down of how much they are asked."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from app.container import open_core
from app.elastic.indices import USAGE
from app.errors import Unavailable
from app.migrate import migrate
from app.settings import Settings
from app.usage import Usage
from tests.installations import installation
from tests.prefixes import forget
from tests.processes import eventually


async def written(es: Any, settings: Settings) -> dict[str, dict[str, float]]:
    """Operation → sums of its documents."""
    alias = USAGE.alias(settings.index_prefix)
    await es.indices.refresh(index=alias)
    found = await es.search(index=alias, size=1_000)
    sums: dict[str, dict[str, float]] = {}
    for hit in found["hits"]["hits"]:
        source = hit["_source"]
        one = sums.setdefault(source["operation"], {"requests": 0, "refused": 0, "failed": 0, "took_ms": 0})
        for name in one:
            one[name] += source[name]
        assert source["org_id"] == "service"
        assert 0 < source["mean_ms"] <= source["slowest_ms"] + 0.1
    return sums


async def test_requests_are_counted_by_operation_and_nothing_else_is_kept_of_them(settings: Settings) -> None:
    async with installation(settings, usage_every_s=0.2) as (client, es, own):
        await client.store("a secret word")
        await client.search("secret")
        await client.search("secret")
        await client.error("POST", "/memory/search", 422, json={"limit": 0})
        search = "POST /api/v1/memory/search"

        async def counted() -> bool:
            return (await written(es, own)).get(search, {}).get("requests") == 3

        await eventually(counted, 20)
        sums = await written(es, own)
        assert (sums[search]["refused"], sums[search]["failed"]) == (1, 0)
        assert sums["POST /api/v1/memory"]["requests"] == 1
        assert all(name.split(" ")[1].startswith("/api/v1/") for name in sums)
        found = await es.search(index=USAGE.alias(own.index_prefix), size=1_000)
        assert "secret" not in str(found)
        assert client.org_id not in str(found)


async def test_what_cannot_be_written_is_counted_on(settings: Settings) -> None:
    own = settings.model_copy(update={"index_prefix": f"test-{uuid.uuid4().hex[:8]}"})
    async with open_core(own) as core:
        usage = Usage(core.engine, "a process")
        usage.note("GET /a", 200, 0.010)
        with pytest.raises(Unavailable):
            await usage.write()
        usage.note("GET /a", 503, 0.030)
        await migrate(own)
        await usage.write()
        await usage.write()
        sums = await written(core.es, own)
        assert sums == {"GET /a": {"requests": 2, "refused": 0, "failed": 1, "took_ms": 40.0}}
        await forget(core.es, own.index_prefix)


async def test_nothing_is_written_where_that_is_switched_off(settings: Settings) -> None:
    async with installation(settings, usage_every_s=0) as (client, es, own):
        await client.search("anything")
        assert await written(es, own) == {}
