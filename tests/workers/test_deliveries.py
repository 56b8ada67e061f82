"""From what happens to a receiver: a real one, on loopback."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from aiohttp import web
from standardwebhooks import Webhook

from app.container import Core, automatic_checkpoints, open_deliveries
from app.elastic import indices
from app.elastic.index import Document
from app.elastic.writes import Revision
from app.episodes.lifecycle import LifecycleStore
from app.forgetting.purge import PurgeService
from app.settings import Settings
from app.webhooks.deliver import DeliveryService
from tests.client import Client, connect
from tests.conftest import serving
from tests.processes import eventually
from tests.promises import proves
from tests.workers.conftest import NewWorker

EVENTS = ["memory.stored", "embedding.ready", "session.created", "memory.deleted"]


@dataclass
class Receiver:
    url: str = ""
    status: int = 200
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def payloads(self) -> list[Any]:
        return [orjson.loads(body) for _, body in self.got]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Keeps what it is sent and answers with `status`."""
    made = Receiver()

    async def receive(request: web.Request) -> web.Response:
        made.got.append((dict(request.headers), await request.read()))
        return web.Response(status=made.status, text="x" * 5_000)

    app = web.Application()
    app.router.add_post("/hook", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield made
    await runner.cleanup()


@pytest.fixture
async def service(core: Core) -> AsyncIterator[DeliveryService]:
    async with open_deliveries(core) as opened:
        yield opened


async def deliver(service: DeliveryService) -> None:
    while await service.fan_out():
        pass
    await service.deliver_due()
    await service.drain()


async def hook(client: Client, receiver: Receiver) -> Any:
    return await client.data("POST", "/webhooks", status=201, json={"url": receiver.url, "events": EVENTS})


@proves("webhooks.signed")
async def test_every_event_arrives_signed(
    client: Client, receiver: Receiver, service: DeliveryService, worker: NewWorker
) -> None:
    """Scenario 18."""
    created = await hook(client, receiver)
    session_id = await client.session()
    episode_id = await client.store("nobody is sent this", session_id=session_id, tags=["a:b"])
    await worker().embed()
    await deliver(service)
    await client.data("DELETE", f"/memory/{episode_id}")
    await client.data("POST", f"/webhooks/{created['id']}/test")
    await deliver(service)
    assert sorted(payload["event"] for payload in receiver.payloads) == sorted([*EVENTS, "webhook.test"])
    for headers, body in receiver.got:
        payload = orjson.loads(body)
        assert Webhook(created["secret"]).verify(body, {key.lower(): value for key, value in headers.items()})
        digest = hmac.new(created["secret"].encode(), body, hashlib.sha256).hexdigest()
        assert headers["X-Remembr-Signature"] == f"sha256={digest}"
        assert headers["X-Remembr-Event"] == payload["event"]
        assert payload["org_id"] == client.org_id
        assert b"nobody" not in body
        if payload["event"].startswith(("memory", "embedding")):
            assert payload["episode_id"] == payload["data"]["episode_id"] == episode_id
    deliveries = await client.data("GET", f"/webhooks/{created['id']}/deliveries", params={"limit": 500})
    assert {(item["status"], item["attempts"]) for item in deliveries} == {("delivered", 1)}
    assert {len(item["response_body_snippet"]) for item in deliveries} == {1_024}
    # Handed on once: nothing is found again.
    assert await service.fan_out() == 0


async def test_fanning_out_before_the_embedding_does_not_cost_the_embedding(
    client: Client, receiver: Receiver, service: DeliveryService, worker: NewWorker
) -> None:
    # What other tests have left is no part of it.
    await worker().embed()
    await hook(client, receiver)
    await client.store("one")
    embedding = worker().service
    real = embedding._due.said_before

    async def and_meanwhile(*given: Any) -> Any:
        await service.fan_out()
        return await real(*given)

    embedding._due.said_before = and_meanwhile  # type: ignore[method-assign, assignment]
    done = await embedding.embed_due()
    assert (done.ready, done.skipped) == (1, 0)
    await deliver(service)
    assert [payload["event"] for payload in receiver.payloads] == ["memory.stored", "embedding.ready"]


@proves("webhooks.retries")
async def test_a_receiver_that_fails_is_tried_again_and_410_switches_off(
    client: Client, receiver: Receiver, service: DeliveryService
) -> None:
    """Scenario 18: a receiver that was down gets it later."""
    service._retry_s = [0.0, 0.0]
    created = await hook(client, receiver)
    receiver.status = 500
    await client.session()
    await deliver(service)
    path = f"/webhooks/{created['id']}"
    [failed] = await client.data("GET", f"{path}/deliveries")
    assert (failed["status"], failed["attempts"], failed["response_status_code"]) == ("failed", 3, 500)
    assert (await client.data("GET", path))["failure_count"] == 3
    receiver.status = 200
    await client.data("POST", f"{path}/deliveries/{failed['id']}/redeliver")
    await deliver(service)
    assert (await client.data("GET", f"{path}/deliveries"))[0]["status"] == "delivered"
    assert (await client.data("GET", path))["failure_count"] == 0
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    receiver.status = 410
    await client.session()
    await deliver(service)
    assert (await client.data("GET", path))["active"] is False
    await client.error("POST", f"{path}/test", 409, "WEBHOOK_INACTIVE")


@proves("webhooks.retries")
async def test_twenty_failures_in_a_row_switch_off(
    client: Client, receiver: Receiver, service: DeliveryService
) -> None:
    """Scenario 18."""
    service._retry_s = [0.0, 60.0]
    created = await hook(client, receiver)
    receiver.status = 302
    for _ in range(22):
        await client.session()
    await deliver(service)
    found = await client.data("GET", f"/webhooks/{created['id']}")
    assert (found["active"], found["failure_count"] >= 20) == (False, True)
    deliveries = await client.data("GET", f"/webhooks/{created['id']}/deliveries", params={"limit": 100})
    assert {item["status"] for item in deliveries} == {"failed"}


@proves("webhooks.down")
async def test_a_receiver_that_is_down_while_much_waits_is_not_switched_off(
    client: Client, receiver: Receiver, service: DeliveryService
) -> None:
    """Scenario 18: down for a while is not gone."""
    service._retry_s = [0.2, 0.2, 0.2, 0.2]
    created = await hook(client, receiver)
    receiver.status = 503
    ids = {await client.session() for _ in range(40)}
    for _ in range(5):
        await deliver(service)
    found = await client.data("GET", f"/webhooks/{created['id']}")
    assert (found["active"], found["last_delivery_status"]) == (True, "failed")
    assert 3 <= found["failure_count"] < 20
    receiver.status = 200
    receiver.got.clear()

    async def arrived() -> bool:
        await deliver(service)
        return {payload["session_id"] for payload in receiver.payloads} == ids

    await eventually(arrived, 60)
    assert (await client.data("GET", f"/webhooks/{created['id']}"))["failure_count"] == 0


@proves("webhooks.rotation")
async def test_both_secrets_sign_after_a_rotation(client: Client, receiver: Receiver, service: DeliveryService) -> None:
    created = await hook(client, receiver)
    rotated = await client.data("POST", f"/webhooks/{created['id']}/rotate-secret")
    assert rotated["secret"] != created["secret"]
    await client.data("POST", f"/webhooks/{created['id']}/test")
    await deliver(service)
    [(headers, body)] = receiver.got
    for secret in (created["secret"], rotated["secret"]):
        assert Webhook(secret).verify(body, {key.lower(): value for key, value in headers.items()})


@proves("webhooks.signed")
async def test_checkpoints_are_told_of_on_request_and_automatic_ones(
    client: Client, core: Core, receiver: Receiver, service: DeliveryService
) -> None:
    """Scenario 18."""
    wanted = {"url": receiver.url, "events": ["checkpoint.created"]}
    await client.data("POST", "/webhooks", status=201, json=wanted)
    session_id = await client.session()
    ids = [await client.store("one two three four five six seven " * 100, session_id=session_id) for _ in range(6)]
    asked = await client.data("POST", f"/sessions/{session_id}/checkpoint", status=201)
    documents = [Document(episode_id, {"session_id": session_id}, Revision(0, 0, "none")) for episode_id in ids]
    assert await automatic_checkpoints(core).look(documents) == 1
    await deliver(service)
    told = {payload["data"]["automatic"]: payload["data"] for payload in receiver.payloads}
    assert len(receiver.payloads) == len(told) == 2
    assert told[False]["checkpoint_id"] == asked["checkpoint_id"]
    listed = await client.data("GET", f"/sessions/{session_id}/checkpoints")
    known = {item["checkpoint_id"]: item["automatic"] for item in listed["checkpoints"]}
    assert known == {data["checkpoint_id"]: automatic for automatic, data in told.items()}
    for data in told.values():
        assert (data["session_id"], data["user_id"]) == (session_id, client.user_id)
        assert data["message_count"] >= 1
    assert await service.fan_out() == 0


async def events_of(client: Client, receiver: Receiver, service: DeliveryService) -> list[Any]:
    """Data of what has arrived since, one per event."""
    receiver.got.clear()
    await deliver(service)
    return [payload["data"] for payload in receiver.payloads if payload["event"] == "memory.deleted"]


@proves("webhooks.deletes")
async def test_deletes_of_many_and_for_good_are_told_of_once_each(
    client: Client, core: Core, receiver: Receiver, service: DeliveryService
) -> None:
    await hook(client, receiver)
    session_id = await client.session()
    for text in ("one", "two"):
        await client.store(text, session_id=session_id)
    kept = await client.store("kept for a while")
    whole = {"user_id": client.user_id, "agent_id": None}
    await client.data("DELETE", f"/memory/session/{session_id}")
    assert await events_of(client, receiver, service) == [
        whole | {"session_id": session_id, "deleted_count": 2, "soft": True}
    ]
    await client.data("DELETE", f"/memory/{kept}/hard")
    assert await events_of(client, receiver, service) == [
        whole | {"episode_id": kept, "session_id": None, "deleted_count": 1, "soft": False}
    ]
    await client.store("theirs")
    await client.data("DELETE", f"/memory/user/{client.user_id}")
    assert await events_of(client, receiver, service) == [
        {"user_id": client.user_id, "deleted_count": 1, "deleted_sessions": 1, "soft": True}
    ]
    # Documents that were made only to carry an event don't stay.
    await core.es.indices.refresh(index=indices.EVENTS.alias(core.settings.index_prefix))
    found = await core.es.count(
        index=indices.EVENTS.alias(core.settings.index_prefix), query={"term": {"org_id": client.org_id}}
    )
    assert found.body["count"] == 0


@proves("webhooks.deletes")
async def test_a_hard_delete_loses_no_event_that_its_episode_carried(
    client: Client, receiver: Receiver, service: DeliveryService
) -> None:
    await hook(client, receiver)
    episode_id = await client.store("gone before anybody was told", tags=["a:b"])
    await client.data("DELETE", f"/memory/{episode_id}")
    await client.data("DELETE", f"/memory/{episode_id}/hard")
    await deliver(service)
    told = [(payload["event"], payload.get("soft"), payload["episode_id"]) for payload in receiver.payloads]
    assert sorted(told, key=str) == sorted(
        [
            ("memory.stored", None, episode_id),
            ("memory.deleted", True, episode_id),
            ("memory.deleted", False, episode_id),
        ],
        key=str,
    )
    assert next(payload for payload in receiver.payloads if payload["event"] == "memory.stored")["tags"] == ["a:b"]


@proves("webhooks.forgotten")
async def test_what_was_delivered_of_an_episode_or_user_is_forgotten_with_it(
    client: Client, receiver: Receiver, service: DeliveryService
) -> None:
    created = await hook(client, receiver)
    path = f"/webhooks/{created['id']}/deliveries"
    gone, kept = await client.store("one", tags=["private:yes"]), await client.store("two")
    await deliver(service)
    await client.data("DELETE", f"/memory/{gone}/hard")
    assert [item["payload"]["episode_id"] for item in await client.data("GET", path)] == [kept]
    await client.data("DELETE", f"/memory/user/{client.user_id}")
    assert await client.data("GET", path) == []


@proves("webhooks.forgotten")
async def test_the_purge_removes_old_deliveries_and_webhooks_that_were_deleted_long_ago(
    client: Client, core: Core, receiver: Receiver, service: DeliveryService
) -> None:
    created, other = await hook(client, receiver), await hook(client, receiver)
    await client.session()
    await deliver(service)
    await client.data("DELETE", f"/webhooks/{other['id']}")
    await core.es.indices.refresh(index=f"{core.settings.index_prefix}-*")
    old = {"source": "ctx._source[params.field] = '2020-01-01T00:00:00Z'", "lang": "painless"}
    for definition, name, doomed in (
        (indices.DELIVERIES, "created_at", created),
        (indices.WEBHOOKS, "deleted_at", other),
    ):
        await core.es.update_by_query(
            index=definition.alias(core.settings.index_prefix),
            query={"term": {"webhook_id": doomed["id"]}},
            script=old | {"params": {"field": name}},
            refresh=True,
        )
    receipt = await PurgeService(core.engine, LifecycleStore(core.engine), core.settings).purge()
    assert (receipt["deliveries"], receipt["webhooks"]) == (1, 1)
    assert await client.data("GET", f"/webhooks/{created['id']}/deliveries") == []
    await client.error("GET", f"/webhooks/{other['id']}", 404, "WEBHOOK_NOT_FOUND")


async def test_a_target_inside_is_refused_where_no_network_is_opened(own_settings: Settings, client: Client) -> None:
    closed = own_settings.model_copy(update={"webhook_allowed_networks": ""})
    async with serving(closed) as url, connect(url) as same:
        same.http.headers["Authorization"] = client.http.headers["Authorization"]
        for target in ("http://127.0.0.1/", "http://169.254.169.254/latest", "http://[::ffff:10.0.0.1]/"):
            body = {"url": target, "events": EVENTS}
            assert (await same.error("POST", "/webhooks", 422, json=body))["code"] == "VALIDATION_ERROR"
