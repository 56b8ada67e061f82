"""Restoring what was deleted, and what changed in a period."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch

from app.settings import Settings
from tests.api.conftest import OpenClient
from tests.api.test_forget import EVER, age_deletions, es, reads
from tests.client import Client
from tests.conftest import Embed
from tests.promises import proves

__all__ = ["es"]


@proves("delete.restored")
async def test_scenario_14_a_restored_episode_is_back_everywhere(organisation: Client, embed: Embed) -> None:
    """Scenario 14."""
    session_id = await organisation.session()
    episode_id = await organisation.store("The lighthouse", session_id=session_id, tags=["kind:place"])
    await embed()
    before = await reads(organisation, session_id)
    assert set(before.values()) == {1}
    await organisation.data("DELETE", f"/memory/{episode_id}")
    assert set((await reads(organisation, session_id)).values()) == {0}
    receipt = await organisation.data("POST", f"/memory/{episode_id}/restore")
    assert receipt.pop("request_id")
    assert receipt == {"episode_id": episode_id, "restored": True}
    assert await reads(organisation, session_id) == before
    for mode in ("semantic", "keyword", "hybrid"):
        found = await organisation.search("lighthouse", search_mode=mode)
        assert [(result["episode_id"], result["tags"]) for result in found["results"]] == [(episode_id, ["kind:place"])]
    assert (await organisation.data("GET", f"/memory/{episode_id}/status"))["embedding_status"] == "ready"
    assert (await organisation.data("GET", "/memory/diff", params=EVER))["deleted"] == []


async def test_an_episode_that_was_deleted_before_it_was_embedded_is_embedded_once_restored(
    organisation: Client, embed: Embed
) -> None:
    episode_id = await organisation.store("never mind")
    await organisation.data("DELETE", f"/memory/{episode_id}")
    await embed()
    await organisation.data("POST", f"/memory/{episode_id}/restore")
    await embed()
    assert (await organisation.data("GET", f"/memory/{episode_id}/status"))["embedding_status"] == "ready"


async def test_what_a_deleted_session_held_is_restored_with_its_vectors(organisation: Client, embed: Embed) -> None:
    session_id = await organisation.session()
    episode_id = await organisation.store("The lighthouse", session_id=session_id)
    await embed()
    await organisation.data("DELETE", f"/memory/session/{session_id}")
    await organisation.data("POST", f"/memory/{episode_id}/restore")
    assert (await organisation.search("beacon by the sea", search_mode="semantic"))["total"] == 1
    assert set((await reads(organisation, session_id)).values()) == {1}


@proves("delete.restore")
async def test_restoring_what_is_not_deleted_is_409_and_what_is_not_there_404(organisation: Client) -> None:
    """Scenario 14."""
    episode_id = await organisation.store("x")
    error = await organisation.error("POST", f"/memory/{episode_id}/restore", 409, "NOT_DELETED")
    assert error["code"] == "CONFLICT_ERROR"
    for unknown in (uuid.uuid4(), "no-uuid"):
        await organisation.error("POST", f"/memory/{unknown}/restore", 404, "EPISODE_NOT_FOUND")


async def test_of_ten_restores_at_once_one_is_told_that_it_did_it(organisation: Client) -> None:
    episode_id = await organisation.store("x")
    await organisation.data("DELETE", f"/memory/{episode_id}")
    answers = await asyncio.gather(*(organisation.send("POST", f"/memory/{episode_id}/restore") for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 9


@pytest.mark.parametrize(("days", "status"), [(29, 200), (31, 410)])
@proves("delete.restore")
async def test_scenario_14_an_episode_can_be_restored_for_thirty_days(
    organisation: Client, es: AsyncElasticsearch, settings: Settings, days: int, status: int
) -> None:
    """Scenario 14."""
    episode_id = await organisation.store("x")
    await organisation.data("DELETE", f"/memory/{episode_id}")
    await age_deletions(es, settings, organisation, days)
    answer = await organisation.send("POST", f"/memory/{episode_id}/restore")
    assert answer.status_code == status
    assert (await organisation.search())["total"] == (1 if status == 200 else 0)
    if status == 410:
        error = answer.json()["error"]
        assert (error["code"], error["details"]["code"]) == ("GONE", "RESTORE_WINDOW_EXPIRED")


async def test_scenario_7_single_episodes_of_a_forgotten_user_come_back_with_their_session(
    organisation: Client,
) -> None:
    """Scenario 7."""
    session_id = await organisation.session(topic="boats")
    first, _ = [await organisation.store(f"lighthouse {n}", session_id=session_id) for n in range(2)]
    await organisation.data("DELETE", f"/memory/user/{organisation.user_id}")
    await organisation.data("POST", f"/memory/{first}/restore")
    assert set((await reads(organisation, session_id)).values()) == {1}
    shown = (await organisation.data("GET", f"/sessions/{session_id}"))["session"]
    assert shown["metadata"] == {"topic": "boats"}
    await organisation.store("lighthouse again", session_id=session_id)
    assert set((await reads(organisation, session_id)).values()) == {2}


async def test_an_agent_cannot_restore_or_remove_another_agents_episode(
    organisation: Client, agent_of: OpenClient
) -> None:
    ada, bob = await agent_of(organisation), await agent_of(organisation)
    episode_id = await ada.store("hers")
    await ada.data("DELETE", f"/memory/{episode_id}")
    await bob.error("POST", f"/memory/{episode_id}/restore", 404, "EPISODE_NOT_FOUND")
    await bob.error("DELETE", f"/memory/{episode_id}/hard", 404, "EPISODE_NOT_FOUND")
    await ada.data("POST", f"/memory/{episode_id}/restore")
    assert await organisation.contents() == ["hers"]


async def diff(client: Client, **params: Any) -> Any:
    return await client.data("GET", "/memory/diff", params=EVER | params)


@proves("diff.added")
async def test_scenario_8_a_diff_is_what_was_said_in_a_period_oldest_first_ends_included(
    organisation: Client,
) -> None:
    """Scenario 8."""
    start = datetime(2026, 3, 1, 12, tzinfo=UTC)
    session_id = await organisation.session()
    for minute in (60, 0, 30, -1, 61):
        moment = (start + timedelta(minutes=minute)).isoformat()
        await organisation.store(f"minute {minute}", session_id=session_id, created_at=moment, tags=["kind:run"])
    period = {"from_time": start.isoformat(), "to_time": (start + timedelta(hours=1)).isoformat()}
    answer = await organisation.data("GET", "/memory/diff", params=period)
    assert [episode["content"] for episode in answer["added"]] == ["minute 0", "minute 30", "minute 60"]
    assert set(answer) == {"request_id", "added", "deleted", "period", "count"}
    assert (answer["count"], answer["deleted"]) == (3, [])
    first, last = "2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z"
    assert answer["period"] == {"from_time": first, "to_time": last, "from": first, "to": last}
    episode = answer["added"][0]
    assert set(episode) == {"episode_id", "session_id", "role", "content", "created_at", "tags"}
    assert (episode["session_id"], episode["tags"], episode["created_at"]) == (session_id, ["kind:run"], first)
    assert [episode["content"] for episode in (await diff(organisation, limit=1))["added"]] == ["minute -1"]


@proves("diff.deleted")
async def test_a_diff_tells_what_was_deleted_in_the_period(organisation: Client) -> None:
    session_id = await organisation.session()
    gone, _ = await organisation.store("goes", session_id=session_id), await organisation.store("stays")
    before = datetime.now(UTC)
    await organisation.data("DELETE", f"/memory/{gone}")
    answer = await diff(organisation)
    assert [episode["content"] for episode in answer["added"]] == ["stays"]
    (deleted,) = answer["deleted"]
    assert set(deleted) == {"episode_id", "session_id", "deleted_at"}
    assert (deleted["episode_id"], deleted["session_id"]) == (gone, session_id)
    assert abs(datetime.fromisoformat(deleted["deleted_at"]) - before) < timedelta(seconds=10)
    assert (await diff(organisation, to_time="2026-01-01"))["deleted"] == []


@proves("diff.narrowed")
async def test_a_diff_is_narrowed_by_session_role_user_and_tags(organisation: Client) -> None:
    session_id = await organisation.session()
    await organisation.store("one", session_id=session_id, role="assistant", tags=["a", "b"])
    await organisation.store("two", tags=["a"])
    for params, expected in (
        ({}, ["one", "two"]),
        ({"session_id": session_id}, ["one"]),
        ({"role": "assistant"}, ["one"]),
        ({"user_id": organisation.user_id}, ["one", "two"]),
        ({"user_id": str(uuid.uuid4())}, []),
        ({"tags": "a"}, ["one", "two"]),
        ({"tags": ["a", "b"]}, ["one"]),
        ({"tags": "a,b"}, ["one"]),
        ({"tags": "c"}, []),
    ):
        assert [episode["content"] for episode in (await diff(organisation, **params))["added"]] == expected, params


async def test_a_diff_never_shows_another_organisation(organisation: Client, stranger: Client) -> None:
    episode_id = await organisation.store("mine")
    await organisation.data("DELETE", f"/memory/{await organisation.store('gone')}")
    for params in ({}, {"user_id": organisation.user_id}):
        answer = await diff(stranger, **params)
        assert (answer["added"], answer["deleted"]) == ([], [])
    assert [episode["episode_id"] for episode in (await diff(organisation))["added"]] == [episode_id]


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"from_time": "2026-01-01"}, None),
        ({"to_time": "2026-01-01"}, None),
        (EVER | {"limit": 0}, None),
        (EVER | {"limit": 1001}, None),
        (EVER | {"session_id": "no-uuid"}, None),
        (EVER | {"user_id": "no-uuid"}, None),
        ({"from_time": "2026-01-02", "to_time": "2026-01-01"}, "INVALID_TIME_RANGE"),
    ],
)
@proves("diff.narrowed")
async def test_a_diff_of_no_period_or_a_wrong_one_is_422(member: Client, params: Any, code: str | None) -> None:
    error = await member.error("GET", "/memory/diff", 422, code, params=params)
    assert error["code"] == "VALIDATION_ERROR"
