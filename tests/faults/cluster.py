"""The whole service as processes over engines that may break, and what is asked of it while they do."""

from __future__ import annotations

import asyncio
import os
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from elasticsearch import ApiError, AsyncElasticsearch, TransportError
from pydantic import SecretStr

from app import engines
from app.elastic.client import open_elasticsearch
from app.elastic.indices import CHECKPOINTS, DELIVERIES, EPISODES, EVENTS, SESSIONS
from app.engines import ports
from app.main import BASE_PATH
from app.migrate import migrate
from app.settings import Settings
from app.types import JsonObject
from tests.client import Client, connect
from tests.conftest import PASSWORD
from tests.faults.conftest import BACK_S, PATIENCE_S, until_well
from tests.faults.proxy import Proxy, proxied
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
_KEY = "a-key-for-tests-that-is-long-enough-to-be-one"
_SECRET = "a-secret-for-tests-that-is-long-enough"


@dataclass
class Cluster:
    """Everything that can break. elasticsearch: in front of each node. urls: the servers'. es: past the proxies."""

    settings: Settings
    stores: engines.Engines
    elasticsearch: list[Proxy]
    redis: Proxy
    servers: list[RemembrProcess]
    workers: list[WorkerProcess]
    urls: list[str]
    es: AsyncElasticsearch

    @property
    def processes(self) -> list[RemembrProcess]:
        return [*self.servers, *self.workers]

    async def mend(self) -> None:
        """Everything runs, in fair weather."""
        if self.stores.redis:
            await asyncio.to_thread(self.stores.redis.start)
        await asyncio.to_thread(engines.start_together, self.stores.nodes)
        for process in self.processes:
            process.ensure()
        for proxy in (*self.elasticsearch, self.redis):
            proxy.change("fair")


Fault = Callable[[Cluster], Awaitable[None]]


@asynccontextmanager
async def open_cluster(stores: engines.Engines, **changed: Any) -> AsyncIterator[Cluster]:
    """Two servers and two workers behind proxies, on indices of their own. changed: settings."""
    async with AsyncExitStack() as stack:
        hosts = stores.elasticsearch_url.split(",")
        elasticsearch = [await stack.enter_async_context(proxied(host)) for host in hosts]
        redis = await stack.enter_async_context(proxied(stores.redis_url))
        settings = Settings(
            elasticsearch_url=",".join(proxy.url for proxy in elasticsearch),
            redis_url=redis.url,
            index_prefix="load",
            jwt_secret=SecretStr(_SECRET),
            encryption_keys=SecretStr(_KEY),
        ).model_copy(update=changed)
        await migrate(settings)
        common = {
            "REMEMBR_ELASTICSEARCH_TIMEOUT_S": str(TIMEOUT_S),
            "REMEMBR_ENCRYPTION_KEYS": _KEY,
            "REMEMBR_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
            "REMEMBR_WEBHOOK_RETRY_S": "1,2,4,8,16,32,60",
            "REMEMBR_LOG_LEVEL": "ERROR",
            **{f"REMEMBR_{name.upper()}": str(value) for name, value in changed.items()},
        }
        of_servers = {
            "REMEMBR_JWT_SECRET": _SECRET,
            "REMEMBR_BCRYPT_ROUNDS": "4",
            "REMEMBR_RATE_LIMIT_PER_MINUTE": "0",
            "REMEMBR_HOST": "127.0.0.1",
        }
        chosen = [ports.pick(0, "a server", "REMEMBR_PORT") for _ in range(2)]
        servers = [RemembrProcess("serve", settings, **common, **of_servers, REMEMBR_PORT=str(port)) for port in chosen]
        workers = [WorkerProcess(settings, **common, REMEMBR_EMBEDDING_BATCH="16") for _ in range(2)]
        es = await stack.enter_async_context(open_elasticsearch(settings, stores.elasticsearch_url))
        urls = [f"http://127.0.0.1:{port}{BASE_PATH}" for port in chosen]
        made = Cluster(settings, stores, elasticsearch, redis, servers, workers, urls, es)
        try:
            await made.mend()
            yield made
        finally:
            for process in made.processes:
                process.ensure()
                process.kill()


@dataclass
class Callers:
    """One organisation at each server, and its receiver."""

    clients: list[Client]
    receiver: Receiver


@asynccontextmanager
async def open_callers(cluster: Cluster) -> AsyncIterator[Callers]:
    """A fresh organisation whose events are told."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(url)) for url in cluster.urls]
        for client in clients:
            client.http.timeout = httpx.Timeout(PATIENCE_S, connect=5)
            await until_up(client)
        await sign_up(clients[0])
        clients[1].http.headers["Authorization"] = clients[0].http.headers["Authorization"]
        clients[1].org_id = clients[0].org_id
        receiver = Receiver()
        await receiver.start()
        stack.push_async_callback(receiver.stop)
        wanted = {"url": receiver.url, "events": ["memory.stored", "memory.deleted", "checkpoint.created"]}
        receiver.secret = (await persist(clients[0], "/webhooks", lambda: wanted))["secret"]
        yield Callers(clients, receiver)


async def hold(
    name: str, fault: Fault, cluster: Cluster, callers: Callers, report: Report, folder: Path, *, may_hang: bool = False
) -> None:
    """Let it happen under load, and hold all that was answered against what is there once it is over.

    folder: where the record of it is left. may_hang: clients may wait in vain, for the server itself.
    """
    seed = int(os.environ.get("REMEMBR_TEST_SEED", random.randrange(10**9)))  # noqa: S311
    record, stop = Record(), asyncio.Event()
    writers = [Writer(number, seed, callers.clients, record) for number in range(WRITERS)]
    working = asyncio.gather(*(writer.run(stop) for writer in writers))
    try:
        await asyncio.sleep(BEFORE_S)
        under_way = record.under_way
        await fault(cluster)
        mended = time.monotonic()
        await asyncio.gather(*(well(client) for client in callers.clients))
        well_s = time.monotonic() - mended
        await asyncio.sleep(AFTER_S)
    finally:
        stop.set()
        await asyncio.gather(working, return_exceptions=True)
        (folder / "operations").write_text("\n".join([f"seed {seed}", *record.operations, *record.wrong]))
    about = f"seed {seed}, record in {folder}"
    await working
    await eventually(lambda: nothing_pending(cluster, callers.clients[0].org_id), SETTLED_S)
    settled_s = time.monotonic() - mended
    found: Findings = await compare(callers.clients[0], writers, record, callers.receiver)
    # The probes of the recovery are nobody's.
    foreign = [line for line in found.duplicated if "'probe" not in line]
    assert (record.wrong, found.lost, foreign, found.untold) == ([], [], [], []), about
    assert record.hung == 0 or may_hang, about
    assert found.episodes > WRITERS, about
    report(
        "faults", name, under_way, record.acknowledged, record.refused, record.broken + record.hung, len(found.lost),
        len(foreign), found.events, len(found.untold), record.slowest_s, well_s, settled_s,
    )  # fmt: skip


async def persist(client: Client, path: str, body: Callable[[], JsonObject]) -> Any:
    """Send it until it is done, as a 503 asks for: nodes that have just come up, or lost one, may be slow.

    body: made for each attempt, since one that was refused may have been done. Returns `data` of the answer.
    """
    until = time.monotonic() + BACK_S
    while (response := await client.send("POST", path, json=body())).status_code == 503:
        assert time.monotonic() < until, "it was never done"
        await asyncio.sleep(0.1)
    assert response.status_code == 201, f"{path}: {response.status_code} {response.text[:500]}"
    return response.json()["data"]


async def sign_up(client: Client) -> None:
    """Become the owner of a new organisation, by an API key."""
    tokens = await persist(
        client,
        "/auth/register",
        lambda: {"email": f"{uuid.uuid4().hex}@example.com", "password": PASSWORD, "org_name": "Acme"},
    )
    client.use(tokens["access_token"])
    key = await persist(client, "/api-keys", lambda: {"name": "test"})
    client.org_id, client.user_id = key["org_id"], key["user_id"]
    client.use(key["api_key"])


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
    """Whether every episode of theirs is embedded, and every event of theirs delivered."""
    theirs: dict[str, Any] = {"term": {"org_id": org_id}}
    alive = {"bool": {"must_not": [{"exists": {"field": "deleted_at"}}]}}
    pending = {"bool": {"filter": [theirs, alive], "must_not": [{"term": {"embedding_status": "ready"}}]}}
    undone = {"bool": {"filter": [theirs], "must_not": [{"term": {"status": "delivered"}}]}}
    carrying = {"bool": {"filter": [theirs, {"exists": {"field": "events.id"}}]}}
    carriers = [(index, carrying) for index in (EPISODES, SESSIONS, CHECKPOINTS, EVENTS)]
    for index, query in [(EPISODES, pending), (DELIVERIES, undone), *carriers]:
        alias = index.alias(cluster.settings.index_prefix)
        try:
            await cluster.es.indices.refresh(index=alias)
            if (await cluster.es.count(index=alias, query=query)).body["count"]:
                return False
        except (TransportError, ApiError) as error:
            print(f"asking for what is pending: {error}")  # Nodes that come back may still be slow: not yet.
            return False
    return True
