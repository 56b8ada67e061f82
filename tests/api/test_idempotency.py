"""Idempotency keys: what is sent again makes nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.container import WorkerContainer
from app.elastic.index import ScopedIndex
from app.elastic.indices import EPISODES, IDEMPOTENCY, SESSIONS
from app.elastic.scope import SystemScope
from app.idempotency.models import KEY_LIFE
from app.settings import Settings
from app.types import JsonObject, from_iso, iso
from tests.client import Client, connect
from tests.conftest import NewOrganisation, serving
from tests.promises import proves

REPLAY = "X-Idempotent-Replay"
REUSED = "X-Idempotency-Key-Reused"
KEY = "Idempotency-Key"
EVERYTHING = SystemScope("a test looks at and ages what is stored")


async def _post(client: Client, path: str, key: str, body: JsonObject) -> httpx.Response:
    response = await client.send("POST", path, headers={KEY: key}, json=body)
    assert response.status_code == 201, response.text
    return response


def _data(response: httpx.Response) -> Any:
    """`data` without what differs between two requests."""
    return {key: value for key, value in response.json()["data"].items() if key != "request_id"}


def _said(content: str, session_id: str | None = None) -> JsonObject:
    return {"role": "user", "content": content, "session_id": session_id}


@pytest.mark.parametrize("header", ["Idempotency-Key", "X-Idempotency-Key"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/sessions", {"metadata": {"a": 1}}),
        ("/memory", {"role": "user", "content": "once", "created_at": "2020-01-01T00:00:00Z"}),
        ("/memory/batch", {"episodes": [{"role": "user", "content": "one"}, {"role": "user", "content": ""}]}),
    ],
)
@proves("idempotency.replay")
async def test_scenario_10_a_repeat_replays_the_first_answer(
    organisation: Client, header: str, path: str, body: JsonObject
) -> None:
    first = await organisation.send("POST", path, headers={header: "k"}, json=body)
    again = await organisation.send("POST", path, headers={header: "k"}, json=body)
    assert (first.status_code, again.status_code) == (201, 201)
    assert _data(again) == _data(first)
    assert again.json()["data"]["request_id"] == again.headers["X-Request-ID"] != first.headers["X-Request-ID"]
    assert (REPLAY in first.headers, again.headers[REPLAY]) == (False, "true")
    assert REUSED not in again.headers


async def test_scenario_10_without_a_key_each_request_is_a_new_write(organisation: Client) -> None:
    assert await organisation.store("twice") != await organisation.store("twice")


async def test_null_absence_and_the_order_of_fields_make_no_other_body(organisation: Client) -> None:
    first = await _post(organisation, "/memory", "k", {"role": "user", "content": "x", "tags": None})
    again = await _post(organisation, "/memory", "k", {"metadata": {}, "content": "x", "role": "user"})
    assert _data(again) == _data(first)


@proves("idempotency.other-body")
async def test_another_body_under_the_same_key_is_a_new_write_that_says_so(organisation: Client) -> None:
    first = await _post(organisation, "/memory", "k", _said("one"))
    other = await _post(organisation, "/memory", "k", _said("two"))
    assert other.json()["data"]["episode_id"] != first.json()["data"]["episode_id"]
    assert (other.headers[REUSED], REPLAY in other.headers, REUSED in first.headers) == ("true", False, False)
    for response, body in ((first, "one"), (other, "two")):
        again = await _post(organisation, "/memory", "k", _said(body))
        assert (_data(again), again.headers[REPLAY]) == (_data(response), "true")


@proves("idempotency.apart")
async def test_scenario_10_one_key_in_two_organisations_is_two_things(organisation: Client, stranger: Client) -> None:
    ours, theirs = [await _post(client, "/memory", "k", _said("x")) for client in (organisation, stranger)]
    assert ours.json()["data"]["episode_id"] != theirs.json()["data"]["episode_id"]
    assert REPLAY not in theirs.headers


@proves("idempotency.apart")
async def test_scenario_10_one_key_in_two_sessions_is_two_things(organisation: Client) -> None:
    sessions = [await organisation.session() for _ in range(2)]
    stored = [await _post(organisation, "/memory", "autogen-default-0", _said("x", id)) for id in sessions]
    assert [response.headers.get(REUSED) for response in stored] == [None, None]
    assert len({response.json()["data"]["episode_id"] for response in stored}) == 2


@proves("idempotency.apart")
async def test_two_agents_of_one_user_do_not_share_keys(organisation: Client) -> None:
    ids = set()
    for agent in ("8c9a1a9c-8d5b-4c3e-9c51-0c6a6f6f1c01", "8c9a1a9c-8d5b-4c3e-9c51-0c6a6f6f1c02"):
        key = await organisation.data("POST", "/api-keys", status=201, json={"name": "a", "agent_id": agent})
        headers = {KEY: "k", "Authorization": f"Bearer {key['api_key']}"}
        stored = await organisation.data("POST", "/memory", status=201, headers=headers, json=_said("x"))
        ids.add(stored["episode_id"])
    assert len(ids) == 2


@proves("idempotency.race")
async def test_a_hundred_at_once_on_two_servers_make_one_thing(organisation: Client, second_url: str) -> None:
    credential = organisation.http.headers["Authorization"]
    async with connect(second_url) as other:
        other.http.headers["Authorization"] = credential
        answers = await asyncio.gather(
            *(_post(client, "/memory", "race", _said("x")) for client in (organisation, other) for _ in range(50))
        )
    assert len({answer.json()["data"]["episode_id"] for answer in answers}) == 1
    assert len({answer.json()["data"]["created_at"] for answer in answers}) == 1
    assert sum(REPLAY not in answer.headers for answer in answers) == 1
    assert (await organisation.search(""))["total"] == 1


@proves("idempotency.redis")
async def test_it_holds_when_redis_is_flushed_in_between(
    organisation: Client, worker_container: WorkerContainer
) -> None:
    first = await _post(organisation, "/memory", "k", _said("x"))
    await worker_container.core.redis.client.flushall()
    again = await _post(organisation, "/memory", "k", _said("x"))
    assert (_data(again), again.headers[REPLAY]) == (_data(first), "true")


async def test_a_soft_deleted_thing_is_not_made_again(organisation: Client) -> None:
    first = await _post(organisation, "/memory", "k", _said("x"))
    await organisation.data("DELETE", f"/memory/{first.json()['data']['episode_id']}")
    again = await _post(organisation, "/memory", "k", _said("x"))
    assert _data(again) == _data(first)
    assert (await organisation.search(""))["total"] == 0


@proves("idempotency.batch")
async def test_a_batch_that_was_cut_short_is_completed_by_its_repeat(
    organisation: Client, worker_container: WorkerContainer
) -> None:
    episodes = [_said(f"turn {n}") for n in range(5)]
    whole = await _post(organisation, "/memory/batch", "k", {"episodes": episodes})
    ids = [item["episode_id"] for item in whole.json()["data"]["items"]]
    es, alias = worker_container.core.es, EPISODES.alias(worker_container.core.settings.index_prefix)
    for lost in ids[3:]:
        await es.delete(index=alias, id=lost, routing=organisation.org_id)
    again = await _post(organisation, "/memory/batch", "k", {"episodes": episodes})
    assert [item["episode_id"] for item in again.json()["data"]["items"]] == ids
    assert REPLAY not in again.headers
    assert (await organisation.search(""))["total"] == 5


Age = Callable[[str, str], Any]


@pytest.fixture
def age(worker_container: WorkerContainer) -> Age:
    """Makes a thing older than a key lives."""
    core = worker_container.core
    indices = {index.name: ScopedIndex(core.engine, index) for index in (EPISODES, SESSIONS, IDEMPOTENCY)}

    async def apply(index: str, document_id: str, org_id: str = "") -> None:
        document = await indices[index].get(EVERYTHING, document_id, routing=org_id or None)
        assert document is not None
        late = KEY_LIFE + timedelta(minutes=1)
        changes: JsonObject = {"created_at": iso(from_iso(document.source["created_at"]) - late)}
        if index == "episodes":
            changes = {"ordinal": document.source["ordinal"] - int(late.total_seconds() * 1e6)}
        await indices[index].update(EVERYTHING, document, changes)

    return apply


@proves("idempotency.day")
async def test_a_key_is_forgotten_after_a_day(organisation: Client, age: Any) -> None:
    session = await _post(organisation, "/sessions", "k", {})
    await age("sessions", session.json()["data"]["session_id"])
    episode = await _post(organisation, "/memory", "k", _said("x"))
    await age("episodes", episode.json()["data"]["episode_id"], organisation.org_id)
    for path, body, first in (("/sessions", {}, session), ("/memory", _said("x"), episode)):
        later = await _post(organisation, path, "k", body)
        assert (REPLAY in later.headers, _data(later) == _data(first)) == (False, False)
        repeat = await _post(organisation, path, "k", body)
        assert (repeat.headers[REPLAY], _data(repeat)) == ("true", _data(later))


@pytest.mark.parametrize("key", ["x" * 256, "tab\there", "caf\u00e9\u0080"])
@pytest.mark.parametrize("path", ["/sessions", "/memory", "/memory/batch"])
@proves("idempotency.key")
async def test_a_key_that_can_not_be_one_is_refused(organisation: Client, path: str, key: str) -> None:
    body = {"role": "user", "content": "x", "episodes": [_said("x")]}
    headers = {KEY: key.encode("utf-8")}
    error = await organisation.error("POST", path, 422, headers=headers, json=body)
    assert error["details"]["errors"][0]["loc"] == ["header", KEY]


async def test_a_blank_key_is_none(organisation: Client) -> None:
    first, second = [await _post(organisation, "/memory", "", _said("x")) for _ in range(2)]
    assert _data(first) != _data(second)


@pytest.fixture
async def strict(settings: Settings, new_organisation: NewOrganisation) -> AsyncIterator[Client]:
    """A client of a server that refuses keys with another body."""
    known = await new_organisation()
    async with (
        serving(settings.model_copy(update={"idempotency_strict": True})) as url,
        connect(url) as client,
    ):
        client.http.headers["Authorization"] = known.http.headers["Authorization"]
        yield client


@proves("idempotency.strict")
async def test_strict_servers_refuse_another_body_under_the_same_key(strict: Client) -> None:
    first = await _post(strict, "/memory", "k", _said("one"))
    refused = await strict.error(
        "POST", "/memory", 409, "IDEMPOTENCY_KEY_REUSED", headers={KEY: "k"}, json=_said("two")
    )
    assert refused["code"] == "CONFLICT_ERROR"
    again = await _post(strict, "/memory", "k", _said("one"))
    assert (_data(again), again.headers[REPLAY]) == (_data(first), "true")
    assert (await strict.search(""))["total"] == 1


async def test_strict_servers_make_one_thing_of_a_race(strict: Client) -> None:
    answers = await asyncio.gather(*(_post(strict, "/sessions", "race", {}) for _ in range(20)))
    assert len({answer.json()["data"]["session_id"] for answer in answers}) == 1
