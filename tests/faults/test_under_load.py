"""One thing breaks under load and is mended: every answer stays true, and all that was begun is finished."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis.asyncio as aioredis
from elasticsearch import AsyncElasticsearch
from pydantic import SecretStr

from app import engines
from app.elastic.client import open_elasticsearch
from app.elastic.indices import CHECKPOINTS, DELIVERIES, EPISODES, EVENTS, SESSIONS
from app.engines import ports
from app.main import BASE_PATH
from app.migrate import migrate
from app.settings import Settings
from tests.client import Client, connect
from tests.conftest import PASSWORD
from tests.faults.conftest import BACK_S, PATIENCE_S, until_well
from tests.faults.proxy import Proxy, Weather, proxied
from tests.faults.workload import Findings, Record, Writer, compare
from tests.processes import RemembrProcess, WorkerProcess, eventually
from tests.receivers import Receiver
from tests.reliability import Report

WRITERS = 6
BEFORE_S = 4.0
AFTER_S = 3.0
SETTLED_S = 300.0
TIMEOUT_S = 3.0
"""What servers and workers give Elasticsearch."""
FROZEN_S = 8.0
"""Longer than any time-out of theirs."""
KEY = "a-key-for-tests-that-is-long-enough-to-be-one"

pytestmark = pytest.mark.slow


@dataclass
class Cluster:
    """Everything that can break. urls: the servers'."""

    settings: Settings
    stores: engines.Engines
    elasticsearch: Proxy
    redis: Proxy
    servers: list[RemembrProcess]
    workers: list[WorkerProcess]
    urls: list[str]
    es: AsyncElasticsearch

    @property
    def processes(self) -> list[RemembrProcess]:
        return [*self.servers, *self.workers]

    @property
    def services(self) -> list[engines.Service]:
        assert self.stores.elasticsearch is not None
        assert self.stores.redis is not None
        return [self.stores.elasticsearch, self.stores.redis]

    async def mend(self) -> None:
        """Everything runs, in fair weather."""
        for service in self.services:
            await asyncio.to_thread(service.start)
        for process in self.processes:
            process.ensure()
        for proxy in (self.elasticsearch, self.redis):
            proxy.change("fair")


@pytest.fixture(scope="module")
async def cluster(fault_engines: engines.Engines) -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        elasticsearch = await stack.enter_async_context(proxied(fault_engines.elasticsearch_url))
        redis = await stack.enter_async_context(proxied(fault_engines.redis_url))
        settings = Settings(
            elasticsearch_url=elasticsearch.url,
            redis_url=redis.url,
            index_prefix="load",
            jwt_secret=SecretStr("a-secret-for-tests-that-is-long-enough"),
            encryption_keys=SecretStr(KEY),
        )
        await migrate(settings)
        common = {
            "REMEMBR_ELASTICSEARCH_TIMEOUT_S": str(TIMEOUT_S),
            "REMEMBR_ENCRYPTION_KEYS": KEY,
            "REMEMBR_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
            "REMEMBR_WEBHOOK_RETRY_S": "1,2,4,8,16,32,60",
            "REMEMBR_LOG_LEVEL": "ERROR",
        }
        of_servers = {
            "REMEMBR_JWT_SECRET": "a-secret-for-tests-that-is-long-enough",
            "REMEMBR_BCRYPT_ROUNDS": "4",
            "REMEMBR_RATE_LIMIT_PER_MINUTE": "0",
            "REMEMBR_HOST": "127.0.0.1",
        }
        chosen = [ports.pick(0, "a server", "REMEMBR_PORT") for _ in range(2)]
        servers = [RemembrProcess("serve", settings, **common, **of_servers, REMEMBR_PORT=str(port)) for port in chosen]
        workers = [WorkerProcess(settings, **common, REMEMBR_EMBEDDING_BATCH="16") for _ in range(2)]
        es = await stack.enter_async_context(open_elasticsearch(settings, fault_engines.elasticsearch_url))
        urls = [f"http://127.0.0.1:{port}{BASE_PATH}" for port in chosen]
        made = Cluster(settings, fault_engines, elasticsearch, redis, servers, workers, urls, es)
        try:
            await made.mend()
            yield made
        finally:
            for service in made.services:
                await asyncio.to_thread(service.start)
            for process in made.processes:
                process.ensure()
                process.kill()


Fault = Callable[[Cluster], Awaitable[None]]


async def kill_engine(cluster: Cluster, number: int) -> None:
    await asyncio.to_thread(cluster.services[number].kill)
    await asyncio.sleep(1)
    await asyncio.to_thread(cluster.services[number].start)


async def kill_elasticsearch(cluster: Cluster) -> None:
    await kill_engine(cluster, 0)


async def kill_redis(cluster: Cluster) -> None:
    await kill_engine(cluster, 1)


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
    await asyncio.gather(*(asyncio.to_thread(service.kill) for service in cluster.services))
    await cluster.mend()


async def freeze_engine(cluster: Cluster, number: int) -> None:
    pid = cluster.services[number].pid
    assert pid is not None
    os.killpg(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(FROZEN_S)
    finally:
        os.killpg(pid, signal.SIGCONT)


async def freeze_elasticsearch(cluster: Cluster) -> None:
    await freeze_engine(cluster, 0)


async def freeze_redis(cluster: Cluster) -> None:
    await freeze_engine(cluster, 1)


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


def weather(which: str, kind: Weather, seconds: float) -> Fault:
    async def blow(cluster: Cluster) -> None:
        proxy: Proxy = getattr(cluster, which)
        proxy.change(kind)
        await asyncio.sleep(seconds)
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
    "connections to Elasticsearch cut for 3 s": weather("elasticsearch", "cut", 3),
    "Elasticsearch's answers cut off for 3 s": weather("elasticsearch", "cut answers", 3),
    "150 ms more on the way to Elasticsearch and back, for 5 s": weather("elasticsearch", "slow", 5),
    "nothing comes from Elasticsearch for 8 s": weather("elasticsearch", "black hole", 8),
    "connections to Redis cut for 3 s": weather("redis", "cut", 3),
    "nothing comes from Redis for 8 s": weather("redis", "black hole", 8),
}
BROKEN_BY_THEMSELVES = {"a server frozen for 22 s"}
"""Where a client may wait in vain: for the server itself."""


@dataclass
class Callers:
    """One organisation at each server, and its receiver."""

    clients: list[Client]
    receiver: Receiver


@pytest.fixture
async def callers(cluster: Cluster) -> AsyncIterator[Callers]:
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(url)) for url in cluster.urls]
        for client in clients:
            client.http.timeout = httpx.Timeout(PATIENCE_S, connect=5)
            await until_up(client)
        await clients[0].register(f"{uuid.uuid4().hex}@example.com", PASSWORD)
        clients[1].http.headers["Authorization"] = clients[0].http.headers["Authorization"]
        clients[1].org_id = clients[0].org_id
        receiver = Receiver()
        await receiver.start()
        stack.push_async_callback(receiver.stop)
        wanted = {"url": receiver.url, "events": ["memory.stored", "memory.deleted", "checkpoint.created"]}
        receiver.secret = (await clients[0].data("POST", "/webhooks", status=201, json=wanted))["secret"]
        yield Callers(clients, receiver)


async def until_up(client: Client) -> None:
    """Wait for a process that starts, too."""
    until = time.monotonic() + BACK_S
    while True:
        try:
            return await until_well(client)
        except httpx.TransportError:
            assert time.monotonic() < until, "the server did not come up"
            await asyncio.sleep(0.1)


async def well(client: Client) -> None:
    """Wait until an episode can be stored and is found."""
    until = time.monotonic() + BACK_S
    while True:
        word = f"probe{uuid.uuid4().hex}"
        try:
            body = {"role": "user", "content": word}
            stored = await client.send("POST", "/memory", json=body)
            if stored.status_code == 201:
                episode_id = stored.json()["data"]["episode_id"]
                found = await client.send("POST", "/memory/search", json={"query": word, "search_mode": "keyword"})
                if found.status_code == 200:
                    assert [item["episode_id"] for item in found.json()["data"]["results"]] == [episode_id]
                    return
        except httpx.TransportError:
            pass  # It isn't up yet.
        assert time.monotonic() < until, "it never got well"
        await asyncio.sleep(0.1)


async def nothing_pending(cluster: Cluster, org_id: str) -> bool:
    theirs: dict[str, Any] = {"term": {"org_id": org_id}}
    alive = {"bool": {"must_not": [{"exists": {"field": "deleted_at"}}]}}
    pending = {"bool": {"filter": [theirs, alive], "must_not": [{"term": {"embedding_status": "ready"}}]}}
    undone = {"bool": {"filter": [theirs], "must_not": [{"term": {"status": "delivered"}}]}}
    carrying = {"bool": {"filter": [theirs, {"exists": {"field": "events.id"}}]}}
    carriers = [(index, carrying) for index in (EPISODES, SESSIONS, CHECKPOINTS, EVENTS)]
    for index, query in [(EPISODES, pending), (DELIVERIES, undone), *carriers]:
        alias = index.alias(cluster.settings.index_prefix)
        await cluster.es.indices.refresh(index=alias)
        if (await cluster.es.count(index=alias, query=query)).body["count"]:
            return False
    return True


@pytest.mark.parametrize("name", FAULTS)
async def test_every_answer_stays_true(
    name: str, cluster: Cluster, callers: Callers, reliability: Report, tmp_path: Path
) -> None:
    seed = int(os.environ.get("REMEMBR_TEST_SEED", random.randrange(10**9)))  # noqa: S311
    record, stop = Record(), asyncio.Event()
    writers = [Writer(number, seed, callers.clients, record) for number in range(WRITERS)]
    working = asyncio.gather(*(writer.run(stop) for writer in writers))
    try:
        await asyncio.sleep(BEFORE_S)
        under_way = record.under_way
        await FAULTS[name](cluster)
        mended = time.monotonic()
        await asyncio.gather(*(well(client) for client in callers.clients))
        well_s = time.monotonic() - mended
        await asyncio.sleep(AFTER_S)
    finally:
        stop.set()
        await asyncio.gather(working, return_exceptions=True)
        (tmp_path / "operations").write_text("\n".join([f"seed {seed}", *record.operations, *record.wrong]))
    about = f"seed {seed}, record in {tmp_path}"
    await working
    await eventually(lambda: nothing_pending(cluster, callers.clients[0].org_id), SETTLED_S)
    settled_s = time.monotonic() - mended
    found: Findings = await compare(callers.clients[0], writers, record, callers.receiver)
    # The probes of the recovery are nobody's.
    foreign = [line for line in found.duplicated if "'probe" not in line]
    assert (record.wrong, found.lost, foreign, found.untold) == ([], [], [], []), about
    assert record.hung == 0 or name in BROKEN_BY_THEMSELVES, about
    assert found.episodes > WRITERS, about
    reliability(
        "faults", name, under_way, record.acknowledged, record.refused, record.broken + record.hung, len(found.lost),
        len(foreign), found.events, len(found.untold), record.slowest_s, well_s, settled_s,
    )  # fmt: skip
