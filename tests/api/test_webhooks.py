"""Managing webhooks. What becomes of events is tested with the workers."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import pytest

from app.container import WorkerContainer
from app.settings import Settings
from tests.api.conftest import OpenClient
from tests.api.test_secrets import in_elasticsearch, in_redis
from tests.client import Client, connect
from tests.conftest import serving
from tests.promises import proves

URL = "https://hooks.invalid/a"
EVENTS = ["memory.stored", "embedding.ready", "session.created", "memory.deleted", "checkpoint.created"]
SHOWN = {
    "id", "org_id", "url", "events", "active", "created_at", "updated_at", "last_delivery_at", "last_delivery_status",
    "failure_count", "disabled_reason",
}  # fmt: skip


async def create(client: Client, **fields: Any) -> Any:
    body = {"url": URL, "events": ["memory.stored"]} | fields
    return await client.data("POST", "/webhooks", status=201, json=body)


def routes(webhook_id: str, delivery_id: str | None = None) -> list[tuple[str, str, Any]]:
    """Every request about one webhook: method, path, body."""
    path = f"/webhooks/{webhook_id}"
    return [
        ("GET", path, None),
        ("PATCH", path, {"active": False}),
        ("POST", f"{path}/rotate-secret", None),
        ("POST", f"{path}/test", None),
        ("GET", f"{path}/deliveries", None),
        ("POST", f"{path}/deliveries/{delivery_id or uuid.uuid4()}/redeliver", None),
        ("DELETE", path, None),
    ]


@proves("webhooks.manage")
async def test_a_webhook_is_created_read_and_listed(organisation: Client) -> None:
    made = [await create(organisation, events=EVENTS), await create(organisation, active=False)]
    assert set(made[0]) == {*SHOWN, "secret"}
    assert len(bytes.fromhex(made[0]["secret"])) == 32
    shown = [{key: value for key, value in webhook.items() if key != "secret"} for webhook in made]
    first = shown[0]
    assert (first["org_id"], first["url"], first["events"], first["active"], first["failure_count"]) == (
        organisation.org_id, URL, EVENTS, True, 0,
    )  # fmt: skip
    assert first["created_at"] == first["updated_at"]
    assert shown[1]["active"] is False
    assert await organisation.data("GET", f"/webhooks/{first['id']}") == first
    assert await organisation.data("GET", "/webhooks") == shown[::-1]


@proves("webhooks.manage")
@pytest.mark.parametrize(
    ("change", "value"),
    [("url", "http://other.invalid:8443/b?c=d"), ("events", ["session.created"]), ("active", False)],
)
async def test_each_field_is_changed_by_itself(organisation: Client, change: str, value: Any) -> None:
    before = await create(organisation)
    del before["secret"]
    after = await organisation.data("PATCH", f"/webhooks/{before['id']}", json={change: value})
    assert datetime.fromisoformat(after["updated_at"]) >= datetime.fromisoformat(before["updated_at"])
    assert after == before | {change: value, "updated_at": after["updated_at"]}
    assert await organisation.data("GET", f"/webhooks/{before['id']}") == after


async def test_null_changes_nothing(organisation: Client) -> None:
    before = await create(organisation)
    nothing = {"url": None, "events": None, "active": None}
    after = await organisation.data("PATCH", f"/webhooks/{before['id']}", json=nothing)
    assert [after[name] for name in nothing] == [before[name] for name in nothing]


async def test_an_event_named_twice_counts_once(organisation: Client) -> None:
    made = await create(organisation, events=["memory.deleted", "memory.stored", "memory.deleted"])
    assert made["events"] == ["memory.deleted", "memory.stored"]


@proves("webhooks.refused")
@pytest.mark.parametrize(
    "fields",
    [
        {"events": ["memory.forgotten"]},
        {"events": ["*"]},
        {"events": ["webhook.test"]},
        {"events": []},
        {"events": "memory.stored"},
        {"events": None},
        {"url": None},
        {"url": "ftp://hooks.invalid/"},
        {"url": "hooks.invalid"},
        {"url": "https://user:password@hooks.invalid/"},
        {"url": f"https://hooks.invalid/{'a' * 2_048}"},
        {"url": "http://127.0.0.1:9200/"},
        {"url": "http://[::1]/"},
        {"url": "http://169.254.169.254/latest/meta-data"},
        {"url": "http://localhost/"},
        {"active": "perhaps"},
    ],
)
async def test_what_is_no_webhook_is_refused_on_create_and_change(organisation: Client, fields: Any) -> None:
    webhook = await create(organisation)
    body = {"url": URL, "events": ["memory.stored"]} | fields
    error = await organisation.error("POST", "/webhooks", 422, json=body)
    assert [problem["loc"][1] for problem in error["details"]["errors"]][:1] == list(fields)
    assert [item["id"] for item in await organisation.data("GET", "/webhooks")] == [webhook["id"]]
    if None not in fields.values():
        await organisation.error("PATCH", f"/webhooks/{webhook['id']}", 422, json=fields)


@proves("webhooks.manage")
async def test_a_deleted_webhook_is_gone_from_every_route(organisation: Client) -> None:
    webhook = await create(organisation)
    test = await organisation.data("POST", f"/webhooks/{webhook['id']}/test")
    receipt = await organisation.data("DELETE", f"/webhooks/{webhook['id']}")
    assert receipt == {"id": webhook["id"], "webhook_id": webhook["id"], "deleted": True}
    assert await organisation.data("GET", "/webhooks") == []
    for method, path, body in routes(webhook["id"], test["delivery_id"]):
        await organisation.error(method, path, 404, "WEBHOOK_NOT_FOUND", json=body)


@proves("webhooks.scope")
async def test_another_organisation_neither_sees_nor_changes_one(organisation: Client, stranger: Client) -> None:
    """Scenario 13."""
    webhook = await create(organisation)
    for method, path, body in routes(webhook["id"]):
        await stranger.error(method, path, 404, "WEBHOOK_NOT_FOUND", json=body)
    assert await stranger.data("GET", "/webhooks") == []
    same = await organisation.data("GET", f"/webhooks/{webhook['id']}")
    assert same == {key: value for key, value in webhook.items() if key != "secret"}


@proves("webhooks.scope")
async def test_a_key_that_acts_as_an_agent_manages_none(organisation: Client, agent_of: OpenClient) -> None:
    webhook, agent = await create(organisation), await agent_of(organisation)
    new = {"url": URL, "events": ["memory.stored"]}
    for method, path, body in [*routes(webhook["id"]), ("GET", "/webhooks", None), ("POST", "/webhooks", new)]:
        error = await agent.error(method, path, 403, json=body)
        assert error["code"] == "AUTHORIZATION_ERROR"


@proves("webhooks.secret")
async def test_a_secret_is_shown_twice_and_stored_encrypted(
    organisation: Client, worker_container: WorkerContainer
) -> None:
    created = await create(organisation)
    path = f"/webhooks/{created['id']}"
    rotated = await organisation.data("POST", f"{path}/rotate-secret")
    assert set(rotated) == {*SHOWN, "secret"}
    secrets = (created["secret"], rotated["secret"])
    assert secrets[0] != secrets[1]
    await organisation.data("POST", f"{path}/test")
    answers = [
        await organisation.send("GET", "/webhooks"),
        await organisation.send("GET", path),
        await organisation.send("PATCH", path, json={"active": True}),
        await organisation.send("GET", f"{path}/deliveries"),
    ]
    core = worker_container.core
    await core.es.indices.refresh(index=f"{core.settings.index_prefix}-*")
    stored, cached = await in_elasticsearch(core), await in_redis(core)
    # What is there to be found is found.
    assert created["id"] in stored
    for secret in secrets:
        assert all(secret not in answer.text for answer in answers)
        assert secret not in stored
        assert secret not in cached


@proves("webhooks.limit")
async def test_an_organisation_has_so_many_and_no_more(settings: Settings, organisation: Client) -> None:
    async with serving(settings.model_copy(update={"webhook_max": 2})) as url, connect(url) as client:
        client.http.headers["Authorization"] = organisation.http.headers["Authorization"]
        first, _ = await create(client), await create(client)
        body = {"url": URL, "events": ["memory.stored"]}
        await client.error("POST", "/webhooks", 409, "WEBHOOK_LIMIT", json=body)
        await client.data("DELETE", f"/webhooks/{first['id']}")
        await create(client)


@proves("webhooks.test")
async def test_a_test_is_queued_and_listed(organisation: Client) -> None:
    webhook = await create(organisation)
    path = f"/webhooks/{webhook['id']}"
    queued = await organisation.data("POST", f"{path}/test")
    assert queued == {"delivery_id": queued["delivery_id"], "queued": True, "event": "webhook.test"}
    [delivery] = await organisation.data("GET", f"{path}/deliveries")
    assert (delivery["id"], delivery["webhook_id"], delivery["event"], delivery["attempts"]) == (
        queued["delivery_id"], webhook["id"], "webhook.test", 0,
    )  # fmt: skip
    payload = delivery["payload"]
    assert (payload["event"], payload["org_id"]) == ("webhook.test", organisation.org_id)
    assert payload["data"]["webhook_id"] == payload["webhook_id"] == webhook["id"]
    assert delivery["status"] == "pending"
    assert {"last_attempt_at", "response_status_code", "response_body_snippet", "created_at"} <= set(delivery)


@proves("webhooks.deliveries")
async def test_deliveries_are_twenty_unless_asked_for_and_a_hundred_at_most(organisation: Client) -> None:
    webhook = await create(organisation)
    path = f"/webhooks/{webhook['id']}"
    ids = [(await organisation.data("POST", f"{path}/test"))["delivery_id"] for _ in range(103)]
    for params, count in (({}, 20), ({"limit": 3}, 3), ({"limit": 100}, 100), ({"limit": 1_000_000}, 100)):
        listed = await organisation.data("GET", f"{path}/deliveries", params=params)
        assert len(listed) == count
        times = [datetime.fromisoformat(item["created_at"]) for item in listed]
        assert times == sorted(times, reverse=True)
        assert {item["id"] for item in listed} <= set(ids)
    for wrong in (0, -1, "many"):
        await organisation.error("GET", f"{path}/deliveries", 422, params={"limit": wrong})
    await organisation.data("DELETE", path)


@proves("webhooks.redeliver")
async def test_only_a_delivery_of_that_webhook_is_sent_again(organisation: Client) -> None:
    webhook, other = await create(organisation), await create(organisation)
    test = await organisation.data("POST", f"/webhooks/{webhook['id']}/test")
    again = f"deliveries/{test['delivery_id']}/redeliver"
    queued = await organisation.data("POST", f"/webhooks/{webhook['id']}/{again}")
    assert queued == test
    await organisation.error("POST", f"/webhooks/{other['id']}/{again}", 404, "DELIVERY_NOT_FOUND")
    for unknown in (str(uuid.uuid4()), "x"):
        path = f"/webhooks/{webhook['id']}/deliveries/{unknown}/redeliver"
        await organisation.error("POST", path, 404, "DELIVERY_NOT_FOUND")


@proves("webhooks.off")
async def test_one_that_is_off_sends_nothing_until_it_is_on_again(organisation: Client) -> None:
    webhook = await create(organisation, active=False)
    path = f"/webhooks/{webhook['id']}"
    await organisation.error("POST", f"{path}/test", 409, "WEBHOOK_INACTIVE")
    on = await organisation.data("PATCH", path, json={"active": True})
    assert (on["active"], on["failure_count"], on["disabled_reason"]) == (True, 0, None)
    test = await organisation.data("POST", f"{path}/test")
    await organisation.data("PATCH", path, json={"active": False})
    again = f"{path}/deliveries/{test['delivery_id']}/redeliver"
    await organisation.error("POST", again, 409, "WEBHOOK_INACTIVE")
