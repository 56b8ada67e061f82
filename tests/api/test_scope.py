"""Who reads what: organisations never meet; agents of one user share only what belongs to no agent."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.http.routing import Route
from tests.api.conftest import OpenClient
from tests.api.paths import body_of, each, filled, has_ids
from tests.client import Client, connect
from tests.conftest import PASSWORD
from tests.promises import proves


async def owned(client: Client) -> dict[str, str]:
    """One of everything, by the name that paths give its id."""
    session_id = await client.session(secret="of the owner")
    episode_id = await client.store("A secret of the owner", session_id=session_id, tags=["kind:secret"])
    key = await client.data("POST", "/api-keys", status=201, json={"name": "owner"})
    body = {"url": "https://hooks.example.com/", "events": ["checkpoint.created"], "active": True}
    hook = await client.data("POST", "/webhooks", status=201, json=body)
    test = await client.data("POST", f"/webhooks/{hook['id']}/test")
    checkpoint = await client.data("POST", f"/sessions/{session_id}/checkpoint", status=201)
    return {
        "session_id": session_id,
        "checkpoint_id": checkpoint["checkpoint_id"],
        "episode_id": episode_id,
        "key_id": key["id"],
        "user_id": client.user_id,
        "webhook_id": hook["id"],
        "delivery_id": test["delivery_id"],
    }


async def state(client: Client, ids: dict[str, str]) -> list[Any]:
    """All that the owner sees, but for what every answer has of its own."""
    answers = [
        await client.data("GET", "/api-keys"),
        await client.data("GET", "/sessions"),
        await client.data("GET", f"/sessions/{ids['session_id']}"),
        await client.data("GET", f"/sessions/{ids['session_id']}/history"),
        await client.data("GET", f"/sessions/{ids['session_id']}/checkpoints"),
        await client.data("GET", f"/memory/{ids['episode_id']}/status"),
        await client.search(),
        {"webhooks": await client.data("GET", "/webhooks")},
    ]
    for answer in answers:
        for passing in ("request_id", "query_time_ms"):
            answer.pop(passing, None)
        for key in answer.get("keys", []):
            del key["last_used_at"]
        for message in answer.get("messages", []):
            del message["priority_score"]
    return answers


@pytest.fixture(scope="session")
async def victim(base_url: str) -> AsyncIterator[tuple[Client, dict[str, str]]]:
    """An organisation that has one of everything, and the ids."""
    async with connect(base_url) as client:
        await client.register(f"{uuid.uuid4().hex}@example.com", PASSWORD)
        yield client, await owned(client)


@each(has_ids)
@proves("scope.organisation")
async def test_another_organisations_ids_are_404_and_change_nothing(
    victim: tuple[Client, dict[str, str]], stranger: Client, route: Route
) -> None:
    organisation, ids = victim
    before = await state(organisation, ids)
    body = body_of(route, ids["checkpoint_id"])
    error = await stranger.error(route.method, filled(route, ids), 404, json=body)
    assert error["code"] == "NOT_FOUND"
    # Someone else's looks like what doesn't exist.
    nothing = await stranger.error(route.method, filled(route, str(uuid.uuid4())), 404, json=body)
    assert error | {"request_id": ""} == nothing | {"request_id": ""}
    assert await state(organisation, ids) == before


@each(lambda route: route.method == "GET" and not has_ids(route))
@proves("scope.organisation")
async def test_no_listing_shows_another_organisation(
    victim: tuple[Client, dict[str, str]], stranger: Client, route: Route
) -> None:
    organisation, ids = victim
    text = (await stranger.send(route.method, route.path)).text
    assert not [found for found in (*ids.values(), organisation.org_id, "of the owner") if found in text]


@pytest.mark.parametrize("mode", ["semantic", "keyword", "hybrid"])
@proves("scope.organisation")
async def test_no_search_reaches_another_organisation(
    victim: tuple[Client, dict[str, str]], stranger: Client, mode: str
) -> None:
    _, ids = victim
    for fields in (
        {},
        {"session_id": ids["session_id"]},
        {"tags": ["kind:secret"]},
        {"tag_filters": [{"key": "kind", "op": "exists"}]},
    ):
        for query in ("secret of the owner", None):
            assert (await stranger.search(query, search_mode=mode, **fields))["total"] == 0


async def test_nothing_can_be_written_into_another_organisations_session(
    organisation: Client, stranger: Client
) -> None:
    ids = await owned(organisation)
    before = await state(organisation, ids)
    body = {"role": "user", "content": "planted", "session_id": ids["session_id"]}
    await stranger.error("POST", "/memory", 404, "SESSION_NOT_FOUND", json=body)
    answer = await stranger.data("POST", "/memory/batch", status=201, json={"episodes": [body]})
    assert answer["items"][0]["status"] == 404
    assert await state(organisation, ids) == before


async def test_organisations_that_store_the_same_see_their_own(organisation: Client, stranger: Client) -> None:
    mine, theirs = await organisation.store("the same words"), await stranger.store("the same words")
    for client, own in ((organisation, mine), (stranger, theirs)):
        assert [result["episode_id"] for result in (await client.search("same words"))["results"]] == [own]


async def seen(client: Client, session_id: str) -> set[str]:
    """What a caller reads by search, history and window, which must agree."""
    by_search = {result["content"] for result in (await client.search())["results"]}
    past = await client.data("GET", f"/sessions/{session_id}/history")
    window = await client.data("GET", f"/sessions/{session_id}")
    assert by_search == {episode["content"] for episode in past["episodes"]}
    assert by_search == {message["content"] for message in window["messages"]}
    counts = await client.data("GET", f"/sessions/{session_id}/embedding-status")
    assert counts["total"] == past["total"] == len(by_search)
    assert (await client.data("GET", "/memory/embedding-status"))["total"] == len(by_search)
    return by_search


@proves("scope.agent")
async def test_agents_read_their_own_rows_and_those_of_no_agent_and_the_user_reads_all(
    organisation: Client, agent_of: OpenClient
) -> None:
    ada, bob = await agent_of(organisation), await agent_of(organisation)
    session_id = await organisation.session()
    for client, name in ((organisation, "user"), (ada, "ada"), (bob, "bob")):
        await client.store(f"said by {name}", session_id=session_id)
    assert await seen(organisation, session_id) == {"said by user", "said by ada", "said by bob"}
    assert await seen(ada, session_id) == {"said by user", "said by ada"}
    assert await seen(bob, session_id) == {"said by user", "said by bob"}


async def test_two_keys_of_one_agent_are_one_agent(organisation: Client, agent_of: OpenClient) -> None:
    agent_id = str(uuid.uuid4())
    first, second = await agent_of(organisation, agent_id), await agent_of(organisation, agent_id)
    await first.store("shared by both keys")
    assert await second.contents("shared") == ["shared by both keys"]


async def test_an_agent_cannot_touch_another_agents_rows(organisation: Client, agent_of: OpenClient) -> None:
    ada, bob = await agent_of(organisation), await agent_of(organisation)
    session_id = await ada.session()
    episode_id = await ada.store("hers", session_id=session_id)
    for method, path in (
        ("GET", f"/sessions/{session_id}"),
        ("GET", f"/sessions/{session_id}/history"),
        ("GET", f"/sessions/{session_id}/embedding-status"),
        ("GET", f"/memory/{episode_id}/status"),
        ("DELETE", f"/memory/{episode_id}"),
    ):
        await bob.error(method, path, 404)
    body = {"role": "user", "content": "his", "session_id": session_id}
    await bob.error("POST", "/memory", 404, "SESSION_NOT_FOUND", json=body)
    assert (await bob.data("GET", "/sessions"))["total"] == 0
    assert await ada.contents() == ["hers"]
    await organisation.data("DELETE", f"/memory/{episode_id}")
    assert await ada.contents() == []


@proves("scope.metadata")
async def test_scenario_13_scope_words_in_metadata_are_plain_metadata(
    organisation: Client, agent_of: OpenClient
) -> None:
    metadata = {"team_id": "red", "visibility": "private", "org_id": "x", "user_id": "y", "agent_id": "z"}
    red, blue = await organisation.session(**metadata), await organisation.session(team_id="blue")
    await organisation.store("plans of red", session_id=red, metadata=metadata)
    await organisation.store("plans of blue", session_id=blue)
    agent = await agent_of(organisation)
    for client in (organisation, agent):
        assert await client.contents("plans", session_id=red) == ["plans of red"]
        assert await client.contents("plans", session_id=blue) == ["plans of blue"]
        assert (await client.search("plans"))["total"] == 2
