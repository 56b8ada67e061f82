"""One thing breaks under load and is mended: every answer stays true, and all that was begun is finished."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
import redis.asyncio as aioredis

from app import engines
from app.elastic.indices import EPISODES
from tests.client import connect
from tests.conftest import PASSWORD
from tests.faults.cluster import Callers, Cluster, Fault, hold, open_callers, open_cluster
from tests.faults.conftest import BACK_S, PATIENCE_S
from tests.faults.proxy import Weather
from tests.processes import eventually, stores_of
from tests.reliability import Report

FROZEN_S = 8.0
"""Longer than any time-out of servers and workers."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
async def cluster(fault_engines: engines.Engines) -> AsyncIterator[Cluster]:
    async with open_cluster(fault_engines) as opened:
        try:
            yield opened
        finally:
            await opened.mend()


async def kill_engine(service: engines.Service | None) -> None:
    assert service is not None
    await asyncio.to_thread(service.kill)
    await asyncio.sleep(1)
    await asyncio.to_thread(service.start)


async def kill_elasticsearch(cluster: Cluster) -> None:
    await kill_engine(cluster.stores.elasticsearch)


async def kill_redis(cluster: Cluster) -> None:
    await kill_engine(cluster.stores.redis)


async def flush_redis(cluster: Cluster) -> None:
    async with aioredis.Redis.from_url(cluster.stores.redis_url) as client:
        for _ in range(5):
            await client.flushall()
            await asyncio.sleep(0.5)


async def kill_a_server(cluster: Cluster) -> None:
    cluster.servers[0].kill()
    await asyncio.sleep(1)
    cluster.servers[0].ensure()


async def kill_the_workers(cluster: Cluster) -> None:
    for worker in cluster.workers:
        worker.kill()
        await asyncio.sleep(1)
        worker.ensure()


async def kill_everything(cluster: Cluster) -> None:
    for process in cluster.processes:
        process.kill()
    await asyncio.gather(*(asyncio.to_thread(service.kill) for service in cluster.stores.services))
    await cluster.mend()


async def freeze_engine(service: engines.Service | None) -> None:
    assert service is not None
    assert service.pid is not None
    os.killpg(service.pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(FROZEN_S)
    finally:
        os.killpg(service.pid, signal.SIGCONT)


async def freeze_elasticsearch(cluster: Cluster) -> None:
    await freeze_engine(cluster.stores.elasticsearch)


async def freeze_redis(cluster: Cluster) -> None:
    await freeze_engine(cluster.stores.redis)


async def freeze_a_server(cluster: Cluster) -> None:
    cluster.servers[0].freeze()
    try:
        # Longer than its clients wait.
        await asyncio.sleep(PATIENCE_S + 2)
    finally:
        cluster.servers[0].thaw()


async def freeze_the_workers(cluster: Cluster) -> None:
    for worker in cluster.workers:
        worker.freeze()
    try:
        # Longer than the lease of a delivery.
        await asyncio.sleep(32)
    finally:
        for worker in cluster.workers:
            worker.thaw()


async def fill_the_disk(cluster: Cluster) -> None:
    mark = "cluster.routing.allocation.disk"
    # More than there is has to be free, which is what a full disk looks like to Elasticsearch.
    full = {f"{mark}.watermark.{name}": "1000000gb" for name in ("low", "high", "flood_stage")}
    settings = full | {f"{mark}.threshold_enabled": True, "cluster.info.update.interval": "10s"}
    alias = EPISODES.alias(cluster.settings.index_prefix)

    async def blocked() -> bool:
        answer = await cluster.es.indices.get_settings(index=alias, flat_settings=True)
        return all(
            index["settings"].get("index.blocks.read_only_allow_delete") == "true" for index in answer.body.values()
        )

    async def free() -> bool:
        return not await blocked()

    await cluster.es.cluster.put_settings(persistent=settings)
    try:
        await eventually(blocked, BACK_S)
        async with connect(cluster.urls[0]) as client:
            body = {"email": f"{uuid.uuid4().hex}@example.com", "password": PASSWORD, "org_name": "Acme"}
            error = await client.error("POST", "/auth/register", 503, json=body)
            assert "its disk is full" in error["message"]
        await asyncio.sleep(2)
    finally:
        rest = dict.fromkeys(full) | {f"{mark}.threshold_enabled": False}
        await cluster.es.cluster.put_settings(persistent=rest)
    await eventually(free, BACK_S)
    await cluster.es.cluster.put_settings(persistent=dict.fromkeys(settings))


async def remake_the_episodes(cluster: Cluster) -> None:
    environment = os.environ | stores_of(cluster.settings)
    for arguments in ([], ["--rollback"], ["--finish"]):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app.cli", "reindex", *arguments), env=environment
        )
        assert await asyncio.wait_for(process.wait(), BACK_S) == 0


def weather(which: Literal["elasticsearch", "redis"], kind: Weather, seconds: float) -> Fault:
    async def blow(cluster: Cluster) -> None:
        proxies = [cluster.redis] if which == "redis" else cluster.elasticsearch
        for proxy in proxies:
            proxy.change(kind)
        await asyncio.sleep(seconds)
        for proxy in proxies:
            proxy.change("fair")

    return blow


FAULTS: dict[str, Fault] = {
    "Elasticsearch killed": kill_elasticsearch,
    "Redis killed": kill_redis,
    "Redis flushed five times": flush_redis,
    "a server killed": kill_a_server,
    "each worker killed": kill_the_workers,
    "everything killed at once": kill_everything,
    "Elasticsearch frozen for 8 s": freeze_elasticsearch,
    "Redis frozen for 8 s": freeze_redis,
    "a server frozen for 22 s": freeze_a_server,
    "the workers frozen for 32 s": freeze_the_workers,
    "disk full": fill_the_disk,
    "the episodes put into a new index, and back": remake_the_episodes,
    "connections to Elasticsearch cut for 3 s": weather("elasticsearch", "cut", 3),
    "Elasticsearch's answers cut off for 3 s": weather("elasticsearch", "cut answers", 3),
    "150 ms more on the way to Elasticsearch and back, for 5 s": weather("elasticsearch", "slow", 5),
    "nothing comes from Elasticsearch for 8 s": weather("elasticsearch", "black hole", 8),
    "connections to Redis cut for 3 s": weather("redis", "cut", 3),
    "nothing comes from Redis for 8 s": weather("redis", "black hole", 8),
}
BROKEN_BY_THEMSELVES = {"a server frozen for 22 s"}
"""Where a client may wait in vain: for the server itself."""


@pytest.fixture
async def callers(cluster: Cluster) -> AsyncIterator[Callers]:
    async with open_callers(cluster) as opened:
        yield opened


@pytest.mark.parametrize("name", FAULTS)
async def test_every_answer_stays_true(
    name: str, cluster: Cluster, callers: Callers, reliability: Report, tmp_path: Path
) -> None:
    may_hang = name in BROKEN_BY_THEMSELVES
    await hold(name, FAULTS[name], cluster, callers, reliability, tmp_path, may_hang=may_hang)
