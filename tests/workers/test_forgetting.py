"""Deletes that meet the worker, a caller's patience, or each other; and the purge as a job."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import numpy as np
import pytest

from app.backlog import BacklogStore
from app.container import Core, WorkerContainer
from app.elastic import by_query
from app.elastic.by_query import StillRunning
from app.elastic.index import ScopedIndex
from app.elastic.indices import EPISODES
from app.elastic.scope import Scope
from app.embedding.encoder import AsyncEncoder, Encoder, Passage
from app.episodes import queries
from app.episodes.lifecycle import LifecycleStore
from app.forgetting.purge import PurgeService
from app.outbox import queue_name
from app.redis import RedisGate
from app.types import iso, utc_now
from app.webhooks.deliver import DeliveryService
from app.webhooks.reseal import ResealService
from app.webhooks.store import WebhookStore
from tests.client import Client
from tests.promises import proves
from tests.workers.conftest import NewWorker, Worker, overwrite, stored
from tests.workers.encoders import Meanwhile
from workers import run as worker_run
from workers.run import make_worker

PATIENCE_S = 60.0


async def fill(client: Client, count: int) -> str:
    """A session of that many episodes, stored with times of their own."""
    session_id = await client.session()
    for start in range(0, count, 500):
        episodes = [
            {"role": "user", "content": f"number {n}", "session_id": session_id}
            for n in range(start, min(count, start + 500))
        ]
        await client.data("POST", "/memory/batch", status=201, json={"episodes": episodes})
    return session_id


@pytest.mark.parametrize("how", ["/hard", ""])
async def test_an_episode_removed_while_its_words_become_anothers_context_is_not_left_in_it(
    client: Client,
    core: Core,
    worker: NewWorker,
    model: Encoder,
    threaded: Callable[[Encoder], AsyncEncoder],
    how: str,
) -> None:
    session_id = await client.session()
    gone = await client.store("my secret number", session_id=session_id)
    await worker().embed()
    kept = await client.store("thank you", session_id=session_id)

    async def remove() -> None:
        # Once the worker has read it as context, and before the context is saved.
        await client.send("DELETE", f"/memory/{gone}{how}")

    await Worker(core, Meanwhile(threaded(model), remove)).embed()
    document = await stored(core, client, kept)
    assert (document["context"], document["embedding_status"]) == ("", "ready")
    alone = model.encode_documents([Passage(document["content"])])[0]
    assert np.asarray(document["context_vector"]) @ alone.vector > 0.999


async def test_a_session_deleted_while_it_is_embedded_is_deleted_whole(client: Client, worker: NewWorker) -> None:
    session_id = await fill(client, 60)
    embedding = asyncio.create_task(worker().embed())
    receipt = await client.data("DELETE", f"/memory/session/{session_id}")
    await embedding
    assert receipt["deleted_count"] == 60
    assert (await client.search())["total"] == 0


async def test_a_delete_longer_than_the_callers_patience_says_so_goes_on_and_can_be_repeated(
    client: Client, core: Core
) -> None:
    session_id = await fill(client, 3_000)
    index = ScopedIndex(core.engine, EPISODES)
    query = queries.of_session(Scope(client.org_id, client.user_id), session_id)
    with pytest.raises(StillRunning) as raised:
        await index.update_matching(query, queries.HIDE, {"at": iso(utc_now())}, wait_s=0)
    assert (raised.value.status, raised.value.retry_after_s) == (503, 5)
    # Nobody waits, and it is done all the same.
    deadline = time.monotonic() + PATIENCE_S
    while await index.count(query):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    assert await index.update_matching(query, queries.HIDE, {"at": iso(utc_now())}) == 0
    await client.store("afterwards", session_id=session_id)
    assert await client.contents(session_id=session_id) == ["afterwards"]


async def test_a_caller_that_goes_away_leaves_a_delete_that_is_finished(client: Client) -> None:
    session_id = await fill(client, 1_500)
    with pytest.raises(httpx.ReadTimeout):
        await client.send("DELETE", f"/memory/session/{session_id}", timeout=0.01)
    receipt = await client.data("DELETE", f"/memory/session/{session_id}")
    assert receipt["deleted_count"] <= 1_500
    assert (await client.search(session_id=session_id))["total"] == 0


async def test_a_task_that_elasticsearch_has_lost_is_made_up_for_by_another_pass(
    client: Client, core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_query, "DIRECT_MAX", 0)
    session_id = await fill(client, 3)
    index = ScopedIndex(core.engine, EPISODES)
    query = queries.of_session(Scope(client.org_id, client.user_id), session_id)
    node = next(iter((await core.es.nodes.info()).body["nodes"]))
    lost = await by_query._followed(core.es, f"{node}:999999999999", "_update_by_query", 3, time.monotonic() + 5)
    assert lost["version_conflicts"]
    assert await index.update_matching(query, queries.HIDE, {"at": iso(utc_now())}) == 3


async def purgeable(core: Core, client: Client) -> str:
    """An episode that was deleted too long ago to be restored."""
    episode_id = await client.store("long ago")
    await client.data("DELETE", f"/memory/{episode_id}")
    await overwrite(core, client, episode_id, deleted_at=(datetime.now(UTC) - timedelta(days=31)).isoformat())
    return episode_id


def container_of(core: Core, worker: NewWorker, deliveries: DeliveryService) -> WorkerContainer:
    service = worker().service
    purge = PurgeService(core.engine, LifecycleStore(core.engine), core.settings)
    reseal = ResealService(WebhookStore(core.engine), core.sealer)
    return WorkerContainer(core, service, purge, reseal, BacklogStore(core.engine), deliveries)


@proves("delete.purge")
async def test_the_purge_job_removes_what_can_no_longer_be_restored_and_logs_a_receipt(
    client: Client, core: Core, worker: NewWorker, deliveries: DeliveryService, caplog: pytest.LogCaptureFixture
) -> None:
    episode_id = await purgeable(core, client)
    arq = make_worker(core.settings, container_of(core, worker, deliveries), burst=True)
    name = f"{core.settings.index_prefix}:purge"
    daily = make_worker(core.settings, container_of(core, worker, deliveries)).cron_jobs
    assert [(job.hour, job.minute) for job in daily if job.name == name] == [({3}, {0})]
    await core.outbox._queue.enqueue_job(name, _queue_name=queue_name(core.settings.index_prefix))
    with caplog.at_level(logging.INFO):
        await arq.async_run()
        await arq.close()
    assert arq.jobs_failed == 0
    receipts = [record.removed for record in caplog.records if record.msg == "purged"]  # type: ignore[attr-defined]
    assert [receipt["episodes"] for receipt in receipts] == [1]
    assert set(receipts[0]) == {
        "usage",
        "episodes",
        "sessions",
        "checkpoints",
        "webhooks",
        "audit",
        "deliveries",
        "refresh_tokens",
        "idempotency",
    }
    await client.error("POST", f"/memory/{episode_id}/restore", 404, "EPISODE_NOT_FOUND")


async def test_without_redis_the_worker_purges_all_the_same(
    client: Client, core: Core, worker: NewWorker, deliveries: DeliveryService, monkeypatch: pytest.MonkeyPatch
) -> None:
    episode_id = await purgeable(core, client)
    monkeypatch.setattr(worker_run, "SWEEP_EVERY_S", 0.05)
    # A port that nothing listens on: Redis is away for this worker alone.
    away = RedisGate("redis://127.0.0.1:1/0", 0.1)
    container = container_of(core, worker, deliveries)
    alone = replace(container, core=replace(core, redis=away))
    assert container.purge.overdue
    sweeping = asyncio.create_task(worker_run._sweep_without_redis(alone))
    try:
        deadline = time.monotonic() + PATIENCE_S
        while (await client.send("POST", f"/memory/{episode_id}/restore")).status_code != 404:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        while container.purge.overdue:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
    finally:
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
        await away.client.aclose()


async def test_what_changes_during_a_pass_is_met_by_the_next_one(client: Client, core: Core) -> None:
    session_id = await client.session()
    ids = [await client.store(text, session_id=session_id) for text in ("one", "two", "three")]
    query = queries.of_session(Scope(client.org_id, client.user_id), session_id)
    index = ScopedIndex(core.engine, EPISODES)
    script = {"source": queries.HIDE, "params": {"at": iso(utc_now())}}
    body = query.body(EPISODES.ownership, soft_deletes=True)["query"]
    passes = 0

    async def refresh(alias: str) -> None:
        nonlocal passes
        passes += 1
        await core.es.indices.refresh(index=alias)
        if passes == 1:
            # Not refreshed: the pass that follows still sees the state before.
            await core.es.update(index=alias, id=ids[1], routing=client.org_id, doc={"tags": ["changed"]})

    target = by_query.Target(index.alias, client.org_id, body, script)
    assert await by_query.run(core.es, target, refresh, PATIENCE_S) == 3
    assert passes == 2
    document = await stored(core, client, ids[1])
    assert (document["tags"], document["deleted_at"]) == (["changed"], script["params"]["at"])  # type: ignore[index]
