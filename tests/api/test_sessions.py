"""Sessions: creating, listing, the window, history and how far embedding is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.client import Client
from tests.conftest import Embed
from tests.promises import proves

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def turns(client: Client, session_id: str, count: int, **fields: Any) -> None:
    """Turns "turn 0", "turn 1" ... a minute apart, in one batch."""
    episodes = [
        {
            "role": "user",
            "content": f"turn {n}",
            "session_id": session_id,
            "created_at": (START + timedelta(minutes=n)).isoformat(),
        }
        | fields
        for n in range(count)
    ]
    stored = await client.data("POST", "/memory/batch", status=201, json={"episodes": episodes})
    assert stored["failed"] == 0


async def history(client: Client, session_id: str, **params: Any) -> Any:
    return await client.data("GET", f"/sessions/{session_id}/history", params=params)


def said(page: Any) -> list[str]:
    return [episode["content"] for episode in page["episodes"]]


@proves("envelope.success")
async def test_a_new_session_answers_what_it_was_given(organisation: Client) -> None:
    metadata = {"source": "docs", "nested": {"list": [1, None, True, 0.5]}}
    session = await organisation.data("POST", "/sessions", status=201, json={"metadata": metadata})
    assert set(session) == {"request_id", "session_id", "org_id", "created_at", "metadata"}
    assert (session["metadata"], session["org_id"]) == (metadata, organisation.org_id)
    assert session["created_at"].endswith("Z")


@pytest.mark.parametrize("options", [{}, {"json": {}}, {"json": {"metadata": None}}, {"json": {"unknown": 1}}])
async def test_metadata_may_be_left_out(organisation: Client, options: dict[str, Any]) -> None:
    assert (await organisation.data("POST", "/sessions", status=201, **options))["metadata"] == {}


@proves("envelope.empty-body")
async def test_an_empty_body_with_the_json_header_is_no_body(organisation: Client) -> None:
    headers = {"Content-Type": "application/json"}
    assert (await organisation.data("POST", "/sessions", status=201, headers=headers))["metadata"] == {}


@proves("sessions.list")
async def test_sessions_are_listed_newest_first_in_pages_that_join_up(organisation: Client) -> None:
    made = [await organisation.session(n=n) for n in range(7)]
    pages: list[str] = []
    for offset in range(0, 9, 3):
        page = await organisation.data("GET", "/sessions", params={"limit": 3, "offset": offset})
        assert (page["total"], page["limit"], page["offset"]) == (7, 3, offset)
        assert page["org_id"] == organisation.org_id
        pages += [session["session_id"] for session in page["sessions"]]
    assert len(pages) == len(set(pages)) == 7
    listed = (await organisation.data("GET", "/sessions"))["sessions"]
    assert [session["session_id"] for session in listed] == pages
    assert pages == made[::-1]
    times = [session["created_at"] for session in listed]
    assert times == sorted(times, reverse=True)


@proves("sessions.list")
async def test_a_listing_shows_metadata_and_message_counts(organisation: Client) -> None:
    session_id = await organisation.session(thread="support-42")
    await organisation.session()
    await turns(organisation, session_id, 3)
    listed = (await organisation.data("GET", "/sessions"))["sessions"]
    counts = {session["session_id"]: session["message_count"] for session in listed}
    assert sorted(counts.values()) == [0, 3]
    assert counts[session_id] == 3
    assert {"thread": "support-42"} in [session["metadata"] for session in listed]


@pytest.mark.parametrize("offset", [1, 1_000, 100_000, 10_000_000])
async def test_a_page_beyond_the_end_is_empty(organisation: Client, offset: int) -> None:
    await organisation.session()
    page = await organisation.data("GET", "/sessions", params={"offset": offset})
    assert (page["sessions"], page["total"]) == ([], 1)


async def test_an_empty_parameter_is_none(organisation: Client) -> None:
    page = await organisation.data("GET", "/sessions", params={"limit": "", "offset": "", "unknown": "x"})
    assert (page["limit"], page["offset"]) == (20, 0)


@proves("sessions.usage")
async def test_a_session_is_read_with_its_window_and_token_usage(organisation: Client) -> None:
    session_id = await organisation.session(thread="a")
    await organisation.store("Question", session_id=session_id)
    await organisation.store("An answer", session_id=session_id, role="assistant")
    read = await organisation.data("GET", f"/sessions/{session_id}")
    assert read["session"]["session_id"] == session_id
    assert read["session"]["metadata"] == {"thread": "a"}
    assert [message["content"] for message in read["messages"]] == ["Question", "An answer"]
    first = read["messages"][0]
    assert set(first) >= {"role", "content", "tokens", "priority_score", "timestamp"}
    assert first["priority_score"] == pytest.approx(0.9, abs=0.01)
    assert read["messages"][1]["priority_score"] == pytest.approx(0.8, abs=0.01)
    usage = read["token_usage"]
    tokens = sum(message["tokens"] for message in read["messages"])
    assert (usage["message_count"], usage["estimated_tokens"], usage["used"]) == (2, tokens, tokens)
    assert (usage["max"], usage["percentage"]) == (4_000, pytest.approx(tokens / 40, abs=0.01))


async def test_an_empty_session_has_an_empty_window(organisation: Client) -> None:
    read = await organisation.data("GET", f"/sessions/{await organisation.session()}")
    assert read["messages"] == []
    assert read["token_usage"]["used"] == read["token_usage"]["message_count"] == 0


@proves("sessions.window")
async def test_the_window_keeps_the_newest_that_fit_and_system_messages(unembedded: Client) -> None:
    session_id = await unembedded.session()
    long = "word " * 99
    await unembedded.store("You are helpful.", session_id=session_id, role="system", created_at="2020-01-01")
    await turns(unembedded, session_id, 60, content=long)
    await unembedded.store("the newest", session_id=session_id)
    read = await unembedded.data("GET", f"/sessions/{session_id}")
    messages = read["messages"]
    assert (messages[0]["role"], messages[-1]["content"]) == ("system", "the newest")
    assert 4_000 - 110 < read["token_usage"]["used"] <= 4_000
    times = [message["timestamp"] for message in messages]
    assert times == sorted(times)
    assert times[1] > (START + timedelta(minutes=15)).isoformat()


@proves("sessions.history")
async def test_history_is_the_newest_turns_in_ascending_order(unembedded: Client) -> None:
    session_id = await unembedded.session()
    await turns(unembedded, session_id, 60)
    page = await history(unembedded, session_id)
    assert said(page) == [f"turn {n}" for n in range(10, 60)]
    assert (page["total"], page["limit"], page["offset"]) == (60, 50, 0)
    assert said(await history(unembedded, session_id, limit=5)) == [f"turn {n}" for n in range(55, 60)]
    assert said(await history(unembedded, session_id, limit=5, offset=5)) == [f"turn {n}" for n in range(50, 55)]
    assert said(await history(unembedded, session_id, limit=50, offset=50)) == [f"turn {n}" for n in range(10)]


@proves("sessions.history")
async def test_history_can_be_paged_from_the_oldest(unembedded: Client) -> None:
    session_id = await unembedded.session()
    await turns(unembedded, session_id, 25)
    pages: list[str] = []
    for offset in range(0, 40, 10):
        pages += said(await history(unembedded, session_id, limit=10, offset=offset, order="asc"))
    assert pages == [f"turn {n}" for n in range(25)]


async def test_turns_of_one_moment_stay_in_the_order_in_which_they_came(organisation: Client) -> None:
    session_id = await organisation.session()
    for n in range(5):
        await organisation.store(f"turn {n}", session_id=session_id, created_at="2026-03-01T12:00:00Z")
    expected = [f"turn {n}" for n in range(5)]
    assert said(await history(organisation, session_id)) == expected
    assert said(await history(organisation, session_id, order="asc")) == expected
    window = await organisation.data("GET", f"/sessions/{session_id}")
    assert [message["content"] for message in window["messages"]] == expected


async def test_an_episode_in_a_history_has_all_its_fields(organisation: Client) -> None:
    session_id = await organisation.session()
    episode_id = await organisation.store("Hello", session_id=session_id, tags=["a:b"], metadata={"c": 1})
    bare_id = await organisation.store("No more", session_id=session_id)
    full, bare = (await history(organisation, session_id))["episodes"]
    assert set(full) == {
        "episode_id", "session_id", "role", "content", "created_at", "tags", "metadata", "embedding_status",
    }  # fmt: skip
    assert (full["episode_id"], full["session_id"], full["role"]) == (episode_id, session_id, "user")
    assert (full["tags"], full["metadata"], full["embedding_status"]) == (["a:b"], {"c": 1}, "pending")
    assert (bare["episode_id"], bare["tags"], bare["metadata"]) == (bare_id, [], {})


@pytest.mark.parametrize(
    ("params", "turns_found"),
    [
        ({"from_time": "2026-03-01T12:03:00Z"}, [3, 4, 5]),
        ({"to_time": "2026-03-01T12:02:00Z"}, [0, 1, 2]),
        ({"from_time": "2026-03-01T12:02:00Z", "to_time": "2026-03-01T12:02:00Z"}, [2]),
        ({"from_time": "2026-03-01T14:02:00+02:00", "to_time": "2026-03-01T12:03:00"}, [2, 3]),
        ({"from_time": "2026-03-01"}, [0, 1, 2, 3, 4, 5]),
        ({"to_time": "2026-03-01"}, []),
    ],
)
@proves("sessions.history-time")
async def test_history_by_time_includes_both_ends(
    organisation: Client, params: dict[str, str], turns_found: list[int]
) -> None:
    session_id = await organisation.session()
    await turns(organisation, session_id, 6)
    page = await history(organisation, session_id, **params)
    assert said(page) == [f"turn {n}" for n in turns_found]
    assert page["total"] == len(turns_found)


@proves("envelope.plus")
async def test_an_offset_whose_plus_was_not_escaped_is_read(organisation: Client) -> None:
    session_id = await organisation.session()
    await turns(organisation, session_id, 6)
    path = f"/sessions/{session_id}/history?from_time=2026-03-01T14:04:00+02:00"
    assert said(await organisation.data("GET", path)) == ["turn 4", "turn 5"]


async def test_times_out_of_order_are_told_so(organisation: Client) -> None:
    session_id = await organisation.session()
    params = {"from_time": "2026-03-02", "to_time": "2026-03-01"}
    await organisation.error("GET", f"/sessions/{session_id}/history", 422, "INVALID_TIME_RANGE", params=params)


async def test_an_unknown_order_is_refused(organisation: Client) -> None:
    session_id = await organisation.session()
    error = await organisation.error("GET", f"/sessions/{session_id}/history", 422, params={"order": "up"})
    assert error["details"]["errors"][0]["loc"] == ["query", "order"]


@proves("memory.embedding")
async def test_scenario_16_embedding_goes_from_pending_to_ready(organisation: Client, embed: Embed) -> None:
    session_id = await organisation.session()
    episode_id = await organisation.store("Order 1842 was shipped", session_id=session_id)
    await turns(organisation, session_id, 4)
    counts = await organisation.data("GET", f"/sessions/{session_id}/embedding-status")
    assert counts == {"session_id": session_id, "pending": 5, "ready": 0, "failed": 0, "total": 5}
    lag = await organisation.data("GET", "/memory/embedding-status")
    first = (await organisation.data("GET", f"/sessions/{session_id}/history"))["episodes"][0]
    assert lag == {"pending": 5, "ready": 0, "failed": 0, "total": 5, "oldest_pending_at": first["created_at"]}
    pending = await organisation.data("GET", f"/memory/{episode_id}/status")
    assert (pending["embedding_status"], pending["embedding_generated_at"]) == ("pending", None)
    found = await organisation.contents("1842", session_id=session_id, search_mode="keyword")
    assert found == ["Order 1842 was shipped"]
    await embed()
    counts = await organisation.data("GET", f"/sessions/{session_id}/embedding-status")
    assert counts == {"session_id": session_id, "pending": 0, "ready": 5, "failed": 0, "total": 5}
    lag = await organisation.data("GET", "/memory/embedding-status")
    assert (lag["ready"], lag["oldest_pending_at"]) == (5, None)
    ready = await organisation.data("GET", f"/memory/{episode_id}/status")
    assert set(ready) == {"episode_id", "embedding_status", "embedding_generated_at", "embedding_error"}
    assert (ready["embedding_status"], ready["embedding_error"]) == ("ready", None)
    assert ready["embedding_generated_at"].endswith("Z")
