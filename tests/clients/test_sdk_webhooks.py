"""The published client's webhooks, against a receiver."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from remembr import RemembrClient
from remembr.exceptions import NotFoundError

from app.container import open_core, open_deliveries
from app.settings import Settings
from app.webhooks.deliver import DeliveryService
from tests.conftest import serving
from tests.promises import proves
from tests.receivers import Receiver

EVENTS = ["memory.stored", "session.created", "memory.deleted"]


@pytest.fixture
def open_settings(settings: Settings) -> Settings:
    """Receivers on loopback may be named."""
    return settings.model_copy(update={"webhook_allowed_networks": "127.0.0.0/8"})


@pytest.fixture
async def client(open_settings: Settings, api_key: str) -> AsyncIterator[RemembrClient]:
    async with serving(open_settings) as url, RemembrClient(api_key=api_key, base_url=url) as made:
        yield made


@pytest.fixture
async def deliveries(open_settings: Settings) -> AsyncIterator[DeliveryService]:
    async with open_core(open_settings) as core, open_deliveries(core) as service:
        yield service


async def deliver(service: DeliveryService) -> None:
    while await service.fan_out():
        pass
    await service.deliver_due()
    await service.drain()


@proves("webhooks.sdk")
async def test_scenario_12_and_18_every_call_of_the_client(
    client: RemembrClient, receiver: Receiver, deliveries: DeliveryService
) -> None:
    created = await client.webhooks.create(url=receiver.url, events=["memory.stored"], active=True)
    receiver.secret = created.secret
    assert (created.url, created.events, created.active, created.failure_count) == (
        receiver.url, ["memory.stored"], True, 0,
    )  # fmt: skip
    assert [item.id for item in await client.webhooks.list()] == [created.id]
    changed = await client.webhooks.update(created.id, events=EVENTS)
    assert changed.events == EVENTS
    rotated = await client.webhooks.rotate_secret(created.id)
    assert rotated.secret != created.secret
    receiver.secret = rotated.secret

    session = await client.create_session()
    episode = await client.store("something", session_id=session.session_id, tags=["kind:note"])
    await client.forget_episode(episode.episode_id)
    test = await client.webhooks.test(created.id)
    await deliver(deliveries)
    assert sorted(event["event"] for event in receiver.payloads.values()) == sorted([*EVENTS, "webhook.test"])
    assert set(receiver.seen.values()) == {1}

    read = await client.webhooks.get(created.id)
    assert (read.last_delivery_status, read.failure_count) == ("delivered", 0)
    assert read.last_delivery_at is not None
    listed = await client.webhooks.deliveries(created.id, limit=50)
    assert {(item.status, item.attempts, item.response_status_code) for item in listed} == {("delivered", 1, 200)}
    assert {item.id for item in listed if item.event == "webhook.test"} == {test["delivery_id"]}
    assert len(await client.webhooks.deliveries(created.id, limit=2)) == 2

    deleted = await client.webhooks.delete(created.id)
    assert (deleted["deleted"], deleted["webhook_id"]) == (True, created.id)
    with pytest.raises(NotFoundError):
        await client.webhooks.get(created.id)
    await client.store("nobody is told of this")
    await deliver(deliveries)
    assert len(receiver.payloads) == 4
