"""What the embedding worker promises: no episode is forgotten, none is spoiled by another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np

from app.backlog import BacklogStore
from app.container import Core, WorkerContainer, open_deliveries
from app.embedding.encoder import AsyncEncoder, Encoder, Passage, Vector
from app.episodes.lifecycle import LifecycleStore
from app.forgetting.purge import PurgeService
from app.outbox import EMBED, queue_name
from app.webhooks.reseal import ResealService
from app.webhooks.store import WebhookStore
from tests.client import Client
from tests.encoders import vectors
from tests.processes import eventually
from tests.promises import proves
from tests.workers.conftest import READY_TIMEOUT_S, NewWorker, Worker, overwrite, status, stored
from tests.workers.encoders import Meanwhile, Refusing
from workers.run import _close as close
from workers.run import make_worker

POISON = "POISON"
EARLIER = "2020-01-01T00:00:00Z"
SENTENCES = ["Mimi sleeps on the radiator", f"a {POISON} text", "The invoice was paid", "Order 1842 has left"]


def vector_of(value: list[float]) -> Vector:
    vector = np.asarray(value, dtype=np.float32)
    return vector / np.linalg.norm(vector)


async def test_a_poisonous_text_does_not_stop_its_batch(
    client: Client, core: Core, worker: NewWorker, model: Encoder
) -> None:
    ids = [await client.store(text) for text in SENTENCES]
    before = datetime.now(UTC)
    done = await worker(Refusing(model, POISON)).embed()
    assert (done.ready, done.failed, done.skipped) == (3, 1, 0)
    assert [await status(client, episode_id) for episode_id in ids] == ["ready", "failed", "ready", "ready"]
    shown = await client.data("GET", f"/memory/{ids[1]}/status")
    assert "more than the model can bear" in shown["embedding_error"]
    document = await stored(core, client, ids[1])
    assert document["embedding_attempts"] == 1
    assert (datetime.fromisoformat(document["embedding_due_at"]) - before).total_seconds() >= 10
    assert await client.contents(POISON, search_mode="keyword") == [SENTENCES[1]]


@proves("memory.embedding")
async def test_a_failed_episode_is_tried_again_when_its_time_has_come(
    client: Client, core: Core, worker: NewWorker, model: Encoder
) -> None:
    episode_id = await client.store(f"a {POISON} text")
    refusing = worker(Refusing(model, POISON))
    assert (await refusing.embed()).failed == 1
    assert (await worker().embed()).total == 0
    await overwrite(core, client, episode_id, embedding_due_at=EARLIER)
    assert (await refusing.embed()).failed == 1
    assert (await stored(core, client, episode_id))["embedding_attempts"] == 2
    await overwrite(core, client, episode_id, embedding_due_at=EARLIER)
    assert (await worker().embed()).ready == 1
    shown = await client.data("GET", f"/memory/{episode_id}/status")
    assert (shown["embedding_status"], shown["embedding_error"]) == ("ready", None)
    assert (await client.search("anything", search_mode="semantic"))["total"] == 1


async def test_an_episode_that_failed_too_often_stays_failed(
    client: Client, core: Core, worker: NewWorker, model: Encoder
) -> None:
    episode_id = await client.store(f"a {POISON} text")
    assert (await worker(Refusing(model, POISON), max_attempts=1).embed()).failed == 1
    assert (await stored(core, client, episode_id))["embedding_due_at"] is None
    assert (await worker().embed()).total == 0
    assert await status(client, episode_id) == "failed"


async def test_a_context_that_is_poisonous_fails_its_episode_and_no_other(
    client: Client, worker: NewWorker, model: Encoder
) -> None:
    session_id = await client.session()
    ids = [await client.store(text, session_id=session_id) for text in ("one", POISON, "two", "three", "four")]
    await worker(Refusing(model, POISON)).embed()
    assert [await status(client, episode_id) for episode_id in ids] == ["ready", "failed", "failed", "failed", "ready"]


async def test_an_episode_deleted_while_it_is_embedded_stays_deleted(
    client: Client, core: Core, worker: NewWorker, model: Encoder, threaded: Callable[[Encoder], AsyncEncoder]
) -> None:
    doomed, spared = await client.store("doomed"), await client.store("spared")

    async def delete() -> None:
        await client.send("DELETE", f"/memory/{doomed}")

    done = await Worker(core, Meanwhile(threaded(model), delete)).embed()
    assert (done.ready, done.skipped) == (1, 1)
    document = await stored(core, client, doomed)
    assert document["deleted_at"] is not None
    assert document["embedding_status"] == "pending"
    assert await client.contents() == ["spared"]
    await overwrite(core, client, doomed, deleted_at=None)
    assert (await worker().embed()).ready == 1
    assert await status(client, doomed) == "ready"
    assert await status(client, spared) == "ready"


async def test_an_episode_changed_while_it_is_embedded_is_embedded_again_as_it_is_now(
    client: Client, core: Core, worker: NewWorker, model: Encoder, threaded: Callable[[Encoder], AsyncEncoder]
) -> None:
    episode_id = await client.store("before")
    changed = False

    async def change_once() -> None:
        nonlocal changed
        if not changed:
            changed = True
            await overwrite(core, client, episode_id, content="afterwards", tags=["kept"])

    done = await Worker(core, Meanwhile(threaded(model), change_once)).embed()
    assert (done.ready, done.skipped) == (1, 1)
    document = await stored(core, client, episode_id)
    assert (document["content"], document["tags"]) == ("afterwards", ["kept"])
    assert vector_of(document["context_vector"]) @ vectors(model, ["afterwards"])[0] > 0.999


async def test_an_episode_of_an_earlier_form_is_found_and_embedded_again(
    client: Client, core: Core, worker: NewWorker
) -> None:
    ids = [await client.store(text) for text in ("Our cat sleeps on the radiator", "The invoice was paid in May")]
    await worker().embed()
    for episode_id in ids:
        await overwrite(core, client, episode_id, embedding_form=None, token_codes=None)
    found = await client.search("a pet keeping itself warm", search_mode="semantic", explain=True)
    assert [result["episode_id"] for result in found["results"]] == ids
    assert found["results"][0]["explanation"]["semantic"]["score"] > 0.3
    assert (await worker().embed()).ready == 2
    assert (await stored(core, client, ids[0]))["token_codes"]
    assert (await worker().embed()).total == 0


async def test_two_runs_at_once_embed_every_episode_and_write_it_once(
    client: Client, core: Core, worker: NewWorker
) -> None:
    ids = [await client.store(f"sentence {number}") for number in range(20)]
    first, second = worker(), worker()
    rounds = await asyncio.gather(first.service.embed_due(), second.service.embed_due())
    assert sum(done.ready for done in rounds) == 20
    assert sum(done.failed for done in rounds) == 0
    documents = [await stored(core, client, episode_id) for episode_id in ids]
    # Once by storing, once by embedding.
    assert {(document["embedding_status"], document["_version"]) for document in documents} == {("ready", 2)}


async def test_the_context_is_the_two_turns_before_in_the_same_session(
    client: Client, core: Core, worker: NewWorker, model: Encoder
) -> None:
    session_id, elsewhere = await client.session(), await client.session()
    said = ["Where is Mimi?", "She is on the radiator.", "Again?", "Since noon."]
    ids = []
    for text in said:
        ids.append(await client.store(text, session_id=session_id))
        await client.store("Something else entirely", session_id=elsewhere)
    alone = await client.store("Said outside any session")
    await worker().embed()

    documents = [await stored(core, client, episode_id) for episode_id in ids]
    contexts = ["", said[0], f"{said[0]}\n{said[1]}", f"{said[1]}\n{said[2]}"]
    assert [document["context"] for document in documents] == contexts
    read = model.encode_documents(list(map(Passage, said, contexts)))
    for encoded, document in zip(read, documents, strict=True):
        assert vector_of(document["context_vector"]) @ encoded.vector > 0.99
        assert len(document["token_codes"]) == len(encoded.codes)
    # The same word means something else after something else.
    without = vectors(model, said)
    assert vector_of(documents[0]["context_vector"]) @ without[0] > 0.99
    assert vector_of(documents[2]["context_vector"]) @ without[2] < 0.97
    outside = await stored(core, client, alone)
    assert (outside["context"], outside["context_of"]) == ("", None)


async def test_a_context_never_comes_from_another_organisation(
    client: Client, stranger_of_client: Client, core: Core, worker: NewWorker
) -> None:
    session_id = await client.session()
    await client.store("A secret of ours", session_id=session_id)
    other = await stranger_of_client.session()
    foreign = await stranger_of_client.store("A remark", session_id=other)
    await worker().embed()
    assert (await stored(core, stranger_of_client, foreign))["context"] == ""


async def test_a_lost_nudge_is_found_by_the_sweep(client: Client, core: Core, worker: NewWorker) -> None:
    episode_id = await client.store("Redis forgets this")
    queue, redis = queue_name(core.settings.index_prefix), core.redis.client

    async def nudged() -> bool:
        return bool(await redis.zcard(queue))

    async def forgotten() -> bool:
        await redis.flushall()
        await asyncio.sleep(0.2)  # a nudge that was being sent may still come in, after the flush
        return not await redis.zcard(queue)

    await eventually(nudged, READY_TIMEOUT_S)
    await eventually(forgotten, READY_TIMEOUT_S)
    service = worker().service
    purge = PurgeService(core.engine, LifecycleStore(core.engine), core.settings)
    reseal = ResealService(WebhookStore(core.engine), core.sealer)
    async with open_deliveries(core) as deliveries:
        await _until_ready(
            client,
            core,
            episode_id,
            WorkerContainer(core, service, purge, reseal, BacklogStore(core.engine), deliveries),
        )


async def _until_ready(client: Client, core: Core, episode_id: str, container: WorkerContainer) -> None:
    arq = make_worker(core.settings, container)
    working = asyncio.create_task(arq.async_run())

    async def ready() -> bool:
        return await status(client, episode_id) == "ready"

    try:
        await eventually(ready, READY_TIMEOUT_S)
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        # As the worker does it: arq's own close raises for a job that is just being signed off.
        await close(arq)


async def test_nudges_for_the_same_work_become_one_job(client: Client, core: Core) -> None:
    queue, redis = queue_name(core.settings.index_prefix), core.redis.client
    await redis.flushall()
    await asyncio.gather(*(client.store(f"number {number}") for number in range(20)))

    async def nudged() -> bool:
        return await core.outbox.last_nudge(EMBED) is not None and await redis.zcard(queue) > 0

    await eventually(nudged, READY_TIMEOUT_S)
    jobs = await redis.zrange(queue, 0, -1)
    assert len([job for job in jobs if EMBED in job]) == 1
