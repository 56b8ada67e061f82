"""A new encryption key: webhooks go on signing, and the old key can be taken away."""

from __future__ import annotations

import logging

import pytest

from app.container import Core
from app.elastic.index import ScopedIndex
from app.elastic.indices import WEBHOOKS
from app.elastic.scope import Scope
from app.sealing import Sealer
from app.webhooks.reseal import ResealService
from app.webhooks.store import WebhookStore
from tests.client import Client

OLD = "o1d-" * 10
NEW = "n3w-" * 10


async def secrets_of(core: Core, client: Client, webhook_id: str) -> list[str]:
    found = await ScopedIndex(core.engine, WEBHOOKS).get(Scope(client.org_id, client.user_id), webhook_id)
    assert found is not None
    return [found.source[name] for name in ("secret", "previous_secret") if name in found.source]


async def test_after_a_run_with_the_new_key_the_old_one_is_not_needed(client: Client, core: Core) -> None:
    store, scope = WebhookStore(core.engine), Scope(client.org_id, client.user_id)
    hook = {"url": "https://hooks.example.com/", "events": ["memory.stored"]}
    created = await client.data("POST", "/webhooks", status=201, json=hook)
    rotated = await client.data("POST", f"/webhooks/{created['id']}/rotate-secret")
    old = Sealer(OLD)
    sealed = {"secret": old.seal(rotated["secret"]), "previous_secret": old.seal(created["secret"])}
    await store.change(scope, created["id"], lambda _: sealed)
    assert await ResealService(store, Sealer(f"{NEW},{OLD}")).reseal() >= 1
    opened = [Sealer(NEW).open(text) for text in await secrets_of(core, client, created["id"])]
    assert opened == [rotated["secret"], created["secret"]]
    # What is sealed with the newest already is left alone.
    before = await secrets_of(core, client, created["id"])
    await ResealService(store, Sealer(f"{NEW},{OLD}")).reseal()
    assert await secrets_of(core, client, created["id"]) == before


async def test_a_secret_that_no_key_opens_is_kept_and_told(
    client: Client, core: Core, caplog: pytest.LogCaptureFixture
) -> None:
    store, scope = WebhookStore(core.engine), Scope(client.org_id, client.user_id)
    hook = {"url": "https://hooks.example.com/", "events": ["memory.stored"]}
    created = await client.data("POST", "/webhooks", status=201, json=hook)
    sealed = Sealer(OLD).seal(created["secret"])
    await store.change(scope, created["id"], lambda _: {"secret": sealed})
    with caplog.at_level(logging.ERROR):
        await ResealService(store, Sealer(NEW)).reseal()
    assert (await secrets_of(core, client, created["id"]))[0] == sealed
    assert "REMEMBR_ENCRYPTION_KEYS" in caplog.text
    assert sealed not in caplog.text
