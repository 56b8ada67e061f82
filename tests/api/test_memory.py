"""Storing episodes one by one, reading their receipt, and forgetting them."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.client import Client
from tests.conftest import Embed
from tests.promises import proves


@proves("memory.read-your-writes")
async def test_what_was_stored_is_found_by_its_words_at_once(organisation: Client) -> None:
    await organisation.store("User prefers email notifications on Fridays")
    assert await organisation.contents("notifications") == ["User prefers email notifications on Fridays"]


async def test_what_was_embedded_is_found_by_its_meaning(organisation: Client, embed: Embed) -> None:
    await organisation.store("Our cat Mimi sleeps on the radiator all day")
    await organisation.store("The invoice for order 1842 was paid in May")
    await embed()
    found = await organisation.search("a pet keeping itself warm", search_mode="semantic")
    assert found["results"][0]["content"].startswith("Our cat")
    assert found["total"] == 2


async def test_the_receipt_of_a_stored_episode(organisation: Client) -> None:
    session_id = await organisation.session()
    body = {"role": "user", "content": "Customer prefers Friday summaries.", "session_id": session_id}
    stored = await organisation.data("POST", "/memory", status=201, json=body)
    assert set(stored) == {
        "request_id", "episode_id", "session_id", "created_at", "token_count", "embedding_status",
    }  # fmt: skip
    assert (stored["session_id"], stored["token_count"], stored["embedding_status"]) == (session_id, 5, "pending")


@proves("sessions.none")
async def test_an_episode_needs_no_session(organisation: Client) -> None:
    stored = await organisation.data("POST", "/memory", status=201, json={"role": "user", "content": "alone"})
    assert stored["session_id"] is None
    assert (await organisation.search("alone"))["results"][0]["session_id"] is None


@proves("envelope.unknown-fields")
async def test_nulls_and_unknown_fields_are_ignored(organisation: Client) -> None:
    body: dict[str, Any] = {"role": "user", "content": "x", "session_id": None, "tags": None, "metadata": None}
    await organisation.data("POST", "/memory", status=201, json=body | {"created_at": None, "team_id": [1], "id": 7})
    result = (await organisation.search())["results"][0]
    assert (result["tags"], result["metadata"], result["session_id"]) == ([], {}, None)


@proves("search.fields")
async def test_a_result_has_everything_that_was_stored(organisation: Client) -> None:
    session_id = await organisation.session()
    fields = {"role": "tool", "session_id": session_id, "tags": ["kind:fact", "x"], "metadata": {"team_id": "red"}}
    episode_id = await organisation.store("All of it", **fields)
    result = (await organisation.search("all of it"))["results"][0]
    assert set(result) == {
        "episode_id", "session_id", "content", "role", "score", "created_at", "tags", "metadata",
    }  # fmt: skip
    assert result["episode_id"] == episode_id
    assert {name: result[name] for name in fields} == fields


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("2026-04-22T10:00:00Z", "2026-04-22T10:00:00Z"),
        ("2026-04-22T12:00:00+02:00", "2026-04-22T10:00:00Z"),
        ("2026-04-22T10:00:00", "2026-04-22T10:00:00Z"),
        ("2026-04-22", "2026-04-22T00:00:00Z"),
        ("1815-12-10T00:00:00Z", "1815-12-10T00:00:00Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ],
)
@proves("memory.created-at")
async def test_history_is_imported_with_its_own_times(organisation: Client, given: str, shown: str) -> None:
    body = {"role": "user", "content": "long ago", "created_at": given}
    stored = await organisation.data("POST", "/memory", status=201, json=body)
    assert stored["created_at"] == shown
    assert [result["created_at"] for result in (await organisation.search("long"))["results"]] == [shown]
    assert (await organisation.search())["results"][0]["created_at"] == shown


@proves("envelope.time-fraction")
async def test_a_fraction_of_a_second_is_kept(organisation: Client) -> None:
    await organisation.store("x", created_at="2026-04-22T10:00:00.123Z")
    shown = (await organisation.search())["results"][0]["created_at"]
    assert datetime.fromisoformat(shown) == datetime.fromisoformat("2026-04-22T10:00:00.123Z")


async def test_a_session_that_is_not_there_is_404(organisation: Client) -> None:
    body = {"role": "user", "content": "x", "session_id": "6f3b0a52-7c6e-4d0a-9a0e-2f6d9d1c7b11"}
    await organisation.error("POST", "/memory", 404, "SESSION_NOT_FOUND", json=body)
    assert (await organisation.search())["total"] == 0


@proves("delete.gone")
async def test_scenario_14_a_deleted_episode_is_gone_from_every_read_at_once(
    organisation: Client, embed: Embed
) -> None:
    session_id = await organisation.session()
    kept = await organisation.store("The lighthouse stays", session_id=session_id)
    gone = await organisation.store("The lighthouse goes", session_id=session_id)
    await embed()
    receipt = await organisation.data("DELETE", f"/memory/{gone}")
    assert (receipt["deleted"], receipt["soft"], receipt["episode_id"]) == (True, True, gone)
    for mode in ("semantic", "keyword", "hybrid"):
        found = await organisation.search("lighthouse", search_mode=mode)
        assert [result["episode_id"] for result in found["results"]] == [kept]
        assert found["total"] == 1
    assert (await organisation.search())["total"] == 1
    past = await organisation.data("GET", f"/sessions/{session_id}/history")
    assert ([episode["episode_id"] for episode in past["episodes"]], past["total"]) == ([kept], 1)
    window = await organisation.data("GET", f"/sessions/{session_id}")
    assert [message["content"] for message in window["messages"]] == ["The lighthouse stays"]
    counts = await organisation.data("GET", f"/sessions/{session_id}/embedding-status")
    assert (counts["total"], counts["ready"]) == (1, 1)
    assert (await organisation.data("GET", "/sessions"))["sessions"][0]["message_count"] == 1
    await organisation.error("GET", f"/memory/{gone}/status", 404, "EPISODE_NOT_FOUND")
    await organisation.error("DELETE", f"/memory/{gone}", 404, "EPISODE_NOT_FOUND")


async def test_a_deleted_episode_can_be_restored_for_thirty_days(organisation: Client) -> None:
    episode_id = await organisation.store("x")
    receipt = await organisation.data("DELETE", f"/memory/{episode_id}")
    assert set(receipt) == {"request_id", "deleted", "episode_id", "soft", "restorable_until"}
    now = (await organisation.data("POST", "/sessions", status=201))["created_at"]
    left = datetime.fromisoformat(receipt["restorable_until"]) - datetime.fromisoformat(now)
    assert timedelta(days=29, hours=23) < left <= timedelta(days=30)


async def test_an_episode_that_was_deleted_before_it_was_embedded_stays_gone(
    organisation: Client, embed: Embed
) -> None:
    episode_id = await organisation.store("never mind")
    await organisation.data("DELETE", f"/memory/{episode_id}")
    await embed()
    assert (await organisation.search("never mind"))["total"] == 0


async def test_of_ten_deletes_at_once_one_is_told_that_it_did_it(organisation: Client) -> None:
    episode_id = await organisation.store("x")
    answers = await asyncio.gather(*(organisation.send("DELETE", f"/memory/{episode_id}") for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [404] * 9


async def test_a_hundred_stores_at_once_are_a_hundred_episodes(unembedded: Client) -> None:
    ids = await asyncio.gather(*(unembedded.store(f"note {n}") for n in range(100)))
    assert len(set(ids)) == 100
    first, last = [await unembedded.search(limit=50, offset=offset) for offset in (0, 50)]
    found = [result["episode_id"] for result in first["results"] + last["results"]]
    assert set(found) == set(ids)
    assert first["total"] == 100
