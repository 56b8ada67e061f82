"""Forgetting sessions, users and episodes: gone from every read at once, and at last for good."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch
from elasticsearch.helpers import async_scan

from app.auth.store import AccountStore
from app.container import WorkerContainer
from app.elastic.client import open_elasticsearch
from app.elastic.indices import ACCOUNTS, EPISODES
from app.settings import Settings
from tests.api.conftest import OpenClient
from tests.client import Client
from tests.conftest import Embed
from tests.promises import proves

EVER = {"from_time": "2000-01-01", "to_time": "2100-01-01"}


@pytest.fixture
async def es(settings: Settings) -> AsyncIterator[AsyncElasticsearch]:
    """The tests' Elasticsearch, behind the service's back."""
    assert settings.elasticsearch_url is not None
    async with open_elasticsearch(settings, settings.elasticsearch_url) as client:
        yield client


async def age_deletions(es: AsyncElasticsearch, settings: Settings, client: Client, days: int) -> None:
    """Make all that an organisation has deleted look deleted days ago."""
    at = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    await es.indices.refresh(index=f"{settings.index_prefix}-*")
    await es.update_by_query(
        index=f"{settings.index_prefix}-*",
        query={"bool": {"filter": [{"term": {"org_id": client.org_id}}, {"exists": {"field": "deleted_at"}}]}},
        script={"source": "ctx._source.deleted_at = params.at", "params": {"at": at}},
        refresh=True,
        ignore_unavailable=True,
    )


async def everything_stored(es: AsyncElasticsearch, settings: Settings) -> str:
    """Every document of every index of the tests, as text, vectors left out."""
    await es.indices.refresh(index=f"{settings.index_prefix}-*")
    return "\n".join([str(document) async for document in async_scan(es, index=f"{settings.index_prefix}-*")])


async def reads(client: Client, session_id: str) -> dict[str, Any]:
    """How many episodes each read shows of a session."""
    past = await client.data("GET", f"/sessions/{session_id}/history")
    window = await client.data("GET", f"/sessions/{session_id}")
    counts = await client.data("GET", f"/sessions/{session_id}/embedding-status")
    listed = (await client.data("GET", "/sessions"))["sessions"]
    diff = await client.data("GET", "/memory/diff", params=EVER | {"session_id": session_id})
    found = [(await client.search(query, session_id=session_id))["total"] for query in (None, "lighthouse")]
    return {
        "history": past["total"],
        "window": len(window["messages"]),
        "embedding": counts["total"],
        "listed": next(session["message_count"] for session in listed if session["session_id"] == session_id),
        "diff": diff["count"],
        "filters": found[0],
        "search": found[1],
    }


@proves("delete.session")
async def test_a_deleted_session_is_empty_in_every_read_and_goes_on_being_used(organisation: Client) -> None:
    session_id, other = await organisation.session(), await organisation.session()
    for n in range(3):
        await organisation.store(f"lighthouse {n}", session_id=session_id)
    await organisation.store("lighthouse of another session", session_id=other)
    receipt = await organisation.data("DELETE", f"/memory/session/{session_id}")
    until = datetime.fromisoformat(receipt.pop("restorable_until"))
    assert timedelta(days=29, hours=23) < until - datetime.now(UTC) <= timedelta(days=30)
    assert receipt.pop("request_id")
    assert receipt == {"deleted_count": 3, "deletedCount": 3, "session_id": session_id, "soft": True}
    assert set((await reads(organisation, session_id)).values()) == {0}
    assert set((await reads(organisation, other)).values()) == {1}
    # Published adapters clear a session so and write on under the same id.
    await organisation.store("lighthouse afterwards", session_id=session_id)
    assert set((await reads(organisation, session_id)).values()) == {1}


async def test_deleting_an_empty_session_again_deletes_nothing(organisation: Client) -> None:
    session_id = await organisation.session()
    await organisation.store("x", session_id=session_id)
    counts = [(await organisation.data("DELETE", f"/memory/session/{session_id}"))["deleted_count"] for _ in range(2)]
    assert counts == [1, 0]


@pytest.mark.parametrize("session_id", [str(uuid.uuid4()), "no-uuid"])
async def test_a_session_that_is_not_there_is_404(organisation: Client, session_id: str) -> None:
    await organisation.error("DELETE", f"/memory/session/{session_id}", 404, "SESSION_NOT_FOUND")


async def test_an_agent_deletes_of_a_session_what_it_reads(organisation: Client, agent_of: OpenClient) -> None:
    ada, bob = await agent_of(organisation), await agent_of(organisation)
    session_id = await organisation.session()
    for client, text in ((organisation, "of the user"), (ada, "of ada"), (bob, "of bob")):
        await client.store(text, session_id=session_id)
    receipt = await ada.data("DELETE", f"/memory/session/{session_id}")
    assert receipt["deleted_count"] == 2
    assert await organisation.contents() == ["of bob"]


async def fill(client: Client, session_id: str, count: int) -> None:
    """Store that many episodes into a session."""
    for start in range(0, count, 500):
        episodes = [
            {"role": "user", "content": f"lighthouse {n}", "session_id": session_id}
            for n in range(start, min(start + 500, count))
        ]
        stored = await client.data("POST", "/memory/batch", status=201, json={"episodes": episodes})
        assert stored["failed"] == 0


async def test_three_thousand_episodes_go_in_one_call_while_others_are_stored_and_deleted(unembedded: Client) -> None:
    session_id, other = await unembedded.session(), await unembedded.session()
    await fill(unembedded, session_id, 3_000)
    receipts = [asyncio.create_task(unembedded.data("DELETE", f"/memory/session/{session_id}")) for _ in range(2)]
    kept = 0
    while not all(receipt.done() for receipt in receipts):
        await unembedded.store(f"lighthouse {kept}", session_id=other)
        kept += 1
    # Two at once share them: none is counted twice, none is left.
    assert sum(receipt.result()["deleted_count"] for receipt in receipts) == 3_000
    assert set((await reads(unembedded, session_id)).values()) == {0}
    assert (await reads(unembedded, other))["history"] == kept > 0


@proves("delete.user")
async def test_scenario_7_a_forgotten_user_is_gone_from_every_read_at_once(
    organisation: Client, agent_of: OpenClient
) -> None:
    """Scenario 7."""
    agent = await agent_of(organisation)
    session_id, of_agent = await organisation.session(), await agent.session()
    for client, session in ((organisation, session_id), (organisation, None), (agent, of_agent)):
        await client.store("The lighthouse knows", session_id=session)
    receipt = await organisation.data("DELETE", f"/memory/user/{organisation.user_id}")
    assert receipt.pop("request_id")
    assert datetime.fromisoformat(receipt.pop("restorable_until")) > datetime.now(UTC)
    assert receipt == {
        "user_id": organisation.user_id,
        "deleted_episodes": 3,
        "deleted_sessions": 2,
        "deletedEpisodes": 3,
        "deletedSessions": 2,
        "soft": True,
    }
    for client in (organisation, agent):
        for mode in ("semantic", "keyword", "hybrid"):
            assert (await client.search("lighthouse", search_mode=mode))["total"] == 0
        assert (await client.search())["total"] == 0
        assert (await client.data("GET", "/sessions"))["total"] == 0
        assert (await client.data("GET", "/memory/diff", params=EVER))["added"] == []
        for path in ("", "/history", "/embedding-status"):
            await client.error("GET", f"/sessions/{session_id}{path}", 404, "SESSION_NOT_FOUND")
    body = {"role": "user", "content": "x", "session_id": session_id}
    await organisation.error("POST", "/memory", 404, "SESSION_NOT_FOUND", json=body)
    again = await organisation.data("DELETE", f"/memory/user/{organisation.user_id}")
    assert (again["deleted_episodes"], again["deleted_sessions"]) == (0, 0)
    # The account stays: it can remember anew.
    await organisation.store("Something new")
    assert (await organisation.search())["total"] == 1


@proves("scope.user-delete")
async def test_an_agents_key_cannot_delete_a_user(organisation: Client, agent_of: OpenClient) -> None:
    """Scenario 7."""
    agent = await agent_of(organisation)
    await organisation.store("x")
    error = await agent.error("DELETE", f"/memory/user/{organisation.user_id}", 403)
    assert error["code"] == "AUTHORIZATION_ERROR"
    assert (await organisation.search())["total"] == 1


@pytest.mark.parametrize("user_id", [str(uuid.uuid4()), "no-uuid"])
async def test_a_user_that_is_not_there_is_404(organisation: Client, user_id: str) -> None:
    await organisation.error("DELETE", f"/memory/user/{user_id}", 404, "USER_NOT_FOUND")


@proves("scope.user-delete")
async def test_an_owner_forgets_any_user_of_its_organisation_and_others_only_themselves(
    organisation: Client, new_organisation: Any, es: AsyncElasticsearch, settings: Settings
) -> None:
    # Accounts may hold more than their owner: this one is moved in, as a member.
    moved = await new_organisation()
    await organisation.store("of the owner")
    accounts = ACCOUNTS.alias(settings.index_prefix)
    account = {"org_id": organisation.org_id, "is_owner": False}
    await es.update(index=accounts, id=moved.user_id, doc=account, refresh=True)
    login = {"email": (await moved.data("GET", "/me"))["email"], "password": "correct-horse-battery-staple"}
    moved.use((await moved.data("POST", "/auth/login", json=login))["access_token"])
    await moved.store("of the member")
    assert (await organisation.search())["total"] == 1
    await moved.error("DELETE", f"/memory/user/{organisation.user_id}", 403)
    assert (await organisation.search())["total"] == 1
    receipt = await organisation.data("DELETE", f"/memory/user/{moved.user_id}")
    assert receipt["deleted_episodes"] == 1
    assert (await moved.search())["total"] == 0
    assert (await organisation.search())["total"] == 1
    assert AccountStore.user_id(login["email"]) == moved.user_id


@proves("delete.hard")
async def test_a_hard_delete_is_final_whether_deleted_before_or_not(organisation: Client) -> None:
    """Scenario 7."""
    first, second = await organisation.store("one"), await organisation.store("two")
    await organisation.data("DELETE", f"/memory/{first}")
    for episode_id in (first, second):
        receipt = await organisation.data("DELETE", f"/memory/{episode_id}/hard")
        assert receipt.pop("request_id")
        assert receipt == {"deleted": True, "episode_id": episode_id, "soft": False}
        for method, path in (("DELETE", "/hard"), ("DELETE", ""), ("POST", "/restore"), ("GET", "/status")):
            await organisation.error(method, f"/memory/{episode_id}{path}", 404, "EPISODE_NOT_FOUND")
    assert (await organisation.search())["total"] == 0
    assert (await organisation.data("GET", "/memory/diff", params=EVER))["deleted"] == []


async def test_of_ten_hard_deletes_at_once_one_is_told_that_it_did_it(organisation: Client) -> None:
    episode_id = await organisation.store("x", session_id=await organisation.session())
    answers = await asyncio.gather(*(organisation.send("DELETE", f"/memory/{episode_id}/hard") for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [404] * 9


async def test_a_hard_delete_leaves_nothing_in_the_contexts_of_what_was_said_after_it(
    organisation: Client, embed: Embed, es: AsyncElasticsearch, settings: Settings
) -> None:
    session_id, secret = await organisation.session(), uuid.uuid4().hex
    gone = await organisation.store(f"My number is {secret}", session_id=session_id)
    kept = [await organisation.store(text, session_id=session_id) for text in ("Thank you", "And the street?")]
    await embed()
    assert (await everything_stored(es, settings)).count(secret) == 3
    await organisation.data("DELETE", f"/memory/{gone}/hard")
    assert secret not in await everything_stored(es, settings)
    found = await organisation.search("gratitude")
    assert {result["episode_id"] for result in found["results"]} == set(kept)
    # What they meant behind it is gone as well, and what they mean without it comes.
    assert (await organisation.search("gratitude", search_mode="semantic"))["total"] == 0
    await embed()
    assert (await organisation.search("gratitude", search_mode="semantic"))["total"] == 2
    last = await es.get(index=EPISODES.alias(settings.index_prefix), id=kept[1], routing=organisation.org_id)
    assert last["_source"]["context"] == "Thank you"
    assert last["_source"]["context_of"] == [kept[0]]


@proves("delete.user")
async def test_scenario_7_nothing_of_a_forgotten_user_is_left_after_the_purge(
    organisation: Client,
    stranger: Client,
    embed: Embed,
    es: AsyncElasticsearch,
    settings: Settings,
    worker_container: WorkerContainer,
) -> None:
    """Scenario 7."""
    secret, public = uuid.uuid4().hex, uuid.uuid4().hex
    session_id = await organisation.session(topic=secret)
    for n in range(4):
        content = f"{secret} number {n}"
        await organisation.store(content, session_id=session_id, tags=[secret], metadata={"about": secret})
    await stranger.store(public)
    await embed()
    await organisation.data("DELETE", f"/memory/user/{organisation.user_id}")
    await worker_container.purge.purge()
    # What can still be restored is still there.
    assert secret in await everything_stored(es, settings)
    await age_deletions(es, settings, organisation, 31)
    receipt = await worker_container.purge.purge()
    assert (receipt["episodes"], receipt["sessions"]) >= (4, 1)
    left = await everything_stored(es, settings)
    assert secret not in left
    assert public in left


async def test_the_purge_takes_what_it_removes_out_of_contexts(
    organisation: Client, embed: Embed, es: AsyncElasticsearch, settings: Settings, worker_container: WorkerContainer
) -> None:
    session_id, secret = await organisation.session(), uuid.uuid4().hex
    gone = await organisation.store(f"My number is {secret}", session_id=session_id)
    await organisation.store("Thank you", session_id=session_id)
    await embed()
    await organisation.data("DELETE", f"/memory/{gone}")
    await age_deletions(es, settings, organisation, 31)
    await worker_container.purge.purge()
    assert secret not in await everything_stored(es, settings)
    assert await organisation.contents() == ["Thank you"]


async def test_the_purge_removes_refresh_tokens_that_have_expired(
    organisation: Client, es: AsyncElasticsearch, settings: Settings, worker_container: WorkerContainer
) -> None:
    index = f"{settings.index_prefix}-refresh-tokens"
    old = {"org_id": organisation.org_id, "expires_at": "2026-01-01T00:00:00Z"}
    await es.index(index=index, id=f"old-{organisation.org_id}", document=old)
    mine = {"term": {"org_id": organisation.org_id}}
    assert (await worker_container.purge.purge())["refresh_tokens"] >= 1
    await es.indices.refresh(index=index)
    left = await es.search(index=index, query=mine)
    assert [hit["_id"] for hit in left["hits"]["hits"] if hit["_id"].startswith("old-")] == []
    # The one that was issued at registration is good still.
    await organisation.data("POST", "/auth/refresh", json={"refresh_token": organisation.tokens["refresh_token"]})


@proves("memory.read-your-writes")
async def test_deletes_and_restores_are_seen_by_every_server_process_at_once(
    organisation: Client, open_client: OpenClient, second_url: str
) -> None:
    other = await open_client(organisation, url=second_url)
    for forget in ("session", "user", "hard", "restore"):
        session_id = await organisation.session()
        episode_id = await organisation.store("lighthouse", session_id=session_id)
        assert (await other.search(session_id=session_id))["total"] == 1
        if forget == "hard":
            await organisation.data("DELETE", f"/memory/{episode_id}/hard")
        else:
            target = organisation.user_id if forget == "user" else session_id
            await organisation.data("DELETE", f"/memory/{'user' if forget == 'user' else 'session'}/{target}")
        assert (await other.search(session_id=session_id))["total"] == 0, forget
        if forget == "restore":
            await organisation.data("POST", f"/memory/{episode_id}/restore")
            assert (await other.search(session_id=session_id))["total"] == 1
