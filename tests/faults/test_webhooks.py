"""Webhooks while the worker dies, the receiver is down, and Redis is away: each event arrives all the same."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from app import engines
from app.elastic.client import open_elasticsearch
from app.elastic.indices import DELIVERIES, EPISODES, EVENTS
from app.migrate import migrate
from app.settings import Settings
from tests.client import Client, connect
from tests.conftest import PASSWORD, serving
from tests.faults.conftest import until_well
from tests.processes import WorkerProcess, eventually
from tests.promises import proves
from tests.receivers import Receiver

COUNT = 1_000
DEATHS = (100, 250, 400, 600, 800)
ARRIVAL_TIMEOUT_S = 240
KEY = "a-key-for-tests-that-is-long-enough-to-be-one"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
async def hook_settings(fault_settings: Settings) -> Settings:
    own = fault_settings.model_copy(
        update={
            "index_prefix": "hooks",
            "elasticsearch_timeout_s": 10.0,
            "encryption_keys": SecretStr(KEY),
            "webhook_allowed_networks": "127.0.0.0/8",
        }
    )
    await migrate(own)
    return own


@pytest.fixture(scope="module")
def worker(hook_settings: Settings) -> Iterator[WorkerProcess]:
    process = WorkerProcess(
        hook_settings,
        REMEMBR_ENCRYPTION_KEYS=KEY,
        REMEMBR_WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8",
        REMEMBR_WEBHOOK_RETRY_S="1,2,4,8,16,32",
    )
    process.ensure()
    yield process
    process.ensure()
    process.kill()


@pytest.fixture
async def client(hook_settings: Settings) -> AsyncIterator[Client]:
    """A fresh organisation."""
    async with serving(hook_settings) as url, connect(url) as connected:
        await until_well(connected)
        await connected.register(f"{uuid.uuid4().hex}@example.com", PASSWORD)
        yield connected


@pytest.fixture
async def receiver(client: Client) -> AsyncIterator[Receiver]:
    """Listens, and is told of what is stored."""
    made = Receiver(delay_s=0.02)
    await made.start()
    wanted = {"url": made.url, "events": ["memory.stored"]}
    created = await client.data("POST", "/webhooks", status=201, json=wanted)
    made.secret = created["secret"]
    yield made
    await made.stop()


async def store(client: Client, count: int) -> set[str]:
    """Ids of that many new episodes."""
    ids: set[str] = set()
    for start in range(0, count, 500):
        episodes = [{"role": "user", "content": f"number {n}"} for n in range(start, min(count, start + 500))]
        answer = await client.data("POST", "/memory/batch", status=201, json={"episodes": episodes})
        ids |= {item["episode_id"] for item in answer["items"]}
    return ids


def told(receiver: Receiver) -> set[str]:
    """The episodes that a receiver was told of."""
    return {str(event["episode_id"]) for event in receiver.payloads.values()}


def nothing_left(settings: Settings, client: Client) -> Callable[[], Any]:
    """Whether no delivery waits, no document carries an event, and all deliveries have succeeded."""

    async def look() -> bool:
        assert settings.elasticsearch_url is not None
        theirs: dict[str, Any] = {"term": {"org_id": client.org_id}}
        undone = {"bool": {"filter": [theirs], "must_not": [{"term": {"status": "delivered"}}]}}
        carrying = {"bool": {"filter": [theirs, {"exists": {"field": "events.id"}}]}}
        left = 0
        async with open_elasticsearch(settings, settings.elasticsearch_url) as es:
            for index, query in ((DELIVERIES, undone), (EPISODES, carrying), (EVENTS, carrying)):
                alias = index.alias(settings.index_prefix)
                await es.indices.refresh(index=alias)
                left += (await es.count(index=alias, query=query)).body["count"]
        return left == 0

    return look


@proves("webhooks.at-least-once")
async def test_a_thousand_events_arrive_while_the_worker_is_killed_five_times(
    client: Client, receiver: Receiver, worker: WorkerProcess, hook_settings: Settings
) -> None:
    """Scenario 18: at least once, signed, and none is left behind."""
    worker.ensure()
    # It is up before the clock starts.
    first = await store(client, 1)
    await eventually(lambda: told(receiver) == first, ARRIVAL_TIMEOUT_S)
    began = time.monotonic()
    ids = first | await store(client, COUNT)
    for reached in DEATHS:
        await eventually(lambda reached=reached: len(receiver.seen) >= reached, ARRIVAL_TIMEOUT_S)  # type: ignore[misc]
        assert len(receiver.seen) <= COUNT
        worker.kill()
        worker.ensure()
    await eventually(lambda: len(receiver.seen) >= len(ids), ARRIVAL_TIMEOUT_S)
    arrived = time.monotonic() - began
    await eventually(nothing_left(hook_settings, client), ARRIVAL_TIMEOUT_S)
    assert told(receiver) == ids
    assert len(receiver.seen) == len(ids)
    twice = sum(count > 1 for count in receiver.seen.values())
    print(f"{len(ids)} events in {arrived:.1f} s over {len(DEATHS)} deaths of the worker, {twice} more than once")


@proves("webhooks.down")
async def test_a_receiver_that_was_down_gets_everything_later(
    client: Client, receiver: Receiver, worker: WorkerProcess, hook_settings: Settings
) -> None:
    """Scenario 18: more waits for it than failures in a row would switch it off."""
    worker.ensure()
    await receiver.stop()
    ids = await store(client, 60)

    async def tried() -> bool:
        [hook] = await client.data("GET", "/webhooks")
        assert hook["active"]
        return int(hook["failure_count"]) >= 9

    await eventually(tried, ARRIVAL_TIMEOUT_S)
    await receiver.start()
    await eventually(lambda: told(receiver) == ids, ARRIVAL_TIMEOUT_S)
    await eventually(nothing_left(hook_settings, client), ARRIVAL_TIMEOUT_S)


@proves("webhooks.redis")
async def test_events_are_delivered_without_redis(
    client: Client, receiver: Receiver, worker: WorkerProcess, redis: engines.Service, hook_settings: Settings
) -> None:
    worker.ensure()
    first = await store(client, 1)
    await eventually(lambda: told(receiver) == first, ARRIVAL_TIMEOUT_S)
    redis.kill()
    ids = first | await store(client, 20)
    await eventually(lambda: told(receiver) == ids, ARRIVAL_TIMEOUT_S)
    await eventually(nothing_left(hook_settings, client), ARRIVAL_TIMEOUT_S)
    redis.start()
