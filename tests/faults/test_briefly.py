"""What the long suite does to whole processes, done for seconds to the connections of two servers."""

from __future__ import annotations

import asyncio
import random
import uuid
from contextlib import AsyncExitStack

import redis.asyncio as aioredis

from app.settings import Settings
from tests.client import connect
from tests.conftest import PASSWORD, Embed, serving
from tests.faults.proxy import proxied
from tests.faults.workload import Record, Writer, compare

WRITERS = 4
FAIR_S = 0.7
FOUL_S = 0.7


async def test_connections_are_cut_and_redis_forgets_while_clients_go_on(settings: Settings, embed: Embed) -> None:
    assert settings.elasticsearch_url is not None
    assert settings.redis_url is not None
    async with AsyncExitStack() as stack:
        elasticsearch = await stack.enter_async_context(proxied(settings.elasticsearch_url))
        redis = await stack.enter_async_context(proxied(settings.redis_url))
        behind = settings.model_copy(update={"elasticsearch_url": elasticsearch.url, "redis_url": redis.url})
        urls = [await stack.enter_async_context(serving(behind)) for _ in range(2)]
        clients = [await stack.enter_async_context(connect(url)) for url in urls]
        await clients[0].register(f"{uuid.uuid4().hex}@example.com", PASSWORD)
        clients[1].http.headers["Authorization"] = clients[0].http.headers["Authorization"]
        record, stop, seed = Record(), asyncio.Event(), random.randrange(10**9)  # noqa: S311
        writers = [Writer(number, seed, clients, record) for number in range(WRITERS)]
        working = asyncio.gather(*(writer.run(stop) for writer in writers))
        try:
            await asyncio.sleep(FAIR_S)
            for proxy, weather in ((elasticsearch, "cut answers"), (redis, "cut"), (elasticsearch, "cut")):
                proxy.change(weather)  # type: ignore[arg-type]
                await asyncio.sleep(FOUL_S)
                proxy.change("fair")
                async with aioredis.Redis.from_url(settings.redis_url) as direct:
                    await direct.flushall()
            await asyncio.sleep(FAIR_S)
        finally:
            stop.set()
            await asyncio.gather(working, return_exceptions=True)
        await working
        await embed()
        found = await compare(clients[0], writers, record)
        assert (record.wrong, found.lost, found.duplicated, record.hung) == ([], [], [], 0), f"seed {seed}"
        assert record.refused > 0
        assert found.episodes > WRITERS
