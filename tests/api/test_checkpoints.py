"""Checkpoints: taken, listed, gone back to, and taken by themselves."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from app.container import Core, WorkerContainer, automatic_checkpoints
from app.elastic.index import ScopedIndex
from app.elastic.indices import EPISODES
from app.elastic.scope import Scope
from app.settings import Settings
from tests.client import Client, connect
from tests.conftest import Embed, serving
from tests.promises import proves

REPLAY = "X-Idempotent-Replay"


async def _checkpoint(client: Client, session_id: str) -> Any:
    return await client.data("POST", f"/sessions/{session_id}/checkpoint", status=201)


async def _restore(client: Client, session_id: str, checkpoint: Any) -> Any:
    body = {"checkpoint_id": checkpoint["checkpoint_id"]}
    return await client.data("POST", f"/sessions/{session_id}/restore", json=body)


async def _listed(client: Client, session_id: str) -> list[Any]:
    found = await client.data("GET", f"/sessions/{session_id}/checkpoints")
    assert found["total"] >= len(found["checkpoints"])
    return list(found["checkpoints"])


async def _window(client: Client, session_id: str) -> list[str]:
    shown = await client.data("GET", f"/sessions/{session_id}")
    assert shown["token_usage"]["message_count"] == len(shown["messages"])
    return [message["content"] for message in shown["messages"]]


async def _history(client: Client, session_id: str, **params: Any) -> list[str]:
    found = await client.data("GET", f"/sessions/{session_id}/history", params=params)
    assert found["total"] == len(found["episodes"])
    return [episode["content"] for episode in found["episodes"]]


async def _say(client: Client, session_id: str, *contents: str) -> list[str]:
    return [await client.store(content, session_id=session_id) for content in contents]


@proves("checkpoints.create", "checkpoints.restore")
async def test_scenario_9_the_window_is_the_checkpoints_and_what_comes_after(organisation: Client) -> None:
    session_id = await organisation.session()
    await _say(organisation, session_id, "one", "two")
    checkpoint = await _checkpoint(organisation, session_id)
    assert checkpoint["message_count"] == 2
    await _say(organisation, session_id, "wrong a", "wrong b", "wrong c")
    receipt = await _restore(organisation, session_id, checkpoint)
    assert (receipt["restored_message_count"], receipt["restoredMessageCount"]) == (2, 2)
    assert receipt["checkpoint_created_at"] == checkpoint["created_at"]
    assert await _window(organisation, session_id) == ["one", "two"]
    await _say(organisation, session_id, "three")
    assert await _window(organisation, session_id) == ["one", "two", "three"]
    assert await _history(organisation, session_id) == ["one", "two", "three"]
    listed = (await organisation.data("GET", "/sessions"))["sessions"][0]
    assert (listed["session_id"], listed["message_count"]) == (session_id, 3)


@proves("checkpoints.superseded")
async def test_nothing_is_deleted_by_a_restore(organisation: Client) -> None:
    session_id = await organisation.session()
    checkpoint = await _checkpoint(organisation, session_id)
    await _say(organisation, session_id, "superseded words")
    await _restore(organisation, session_id, checkpoint)
    assert await _history(organisation, session_id) == []
    assert await _history(organisation, session_id, include_superseded="true") == ["superseded words"]
    assert await organisation.contents("superseded", session_id=session_id) == ["superseded words"]
    assert (await organisation.data("GET", f"/sessions/{session_id}/embedding-status"))["total"] == 1


@proves("checkpoints.list")
async def test_scenario_9_checkpoints_are_listed_newest_first_in_pages(organisation: Client) -> None:
    session_id = await organisation.session()
    made = []
    for content in ("one", "two", "three"):
        await _say(organisation, session_id, content)
        made.append(await _checkpoint(organisation, session_id))
    listed = await _listed(organisation, session_id)
    assert [item["checkpoint_id"] for item in listed] == [item["checkpoint_id"] for item in reversed(made)]
    assert [item["message_count"] for item in listed] == [3, 2, 1]
    assert {item["automatic"] for item in listed} == {False}
    page = await organisation.data("GET", f"/sessions/{session_id}/checkpoints", params={"limit": 1, "offset": 1})
    assert (page["total"], page["checkpoints"]) == (3, [listed[1]])


@proves("checkpoints.restore")
async def test_ten_restores_back_and_forth_end_in_the_right_window(organisation: Client) -> None:
    session_id = await organisation.session()
    await _say(organisation, session_id, "root")
    states = [(await _checkpoint(organisation, session_id), ["root"])]
    for turn in range(10):
        checkpoint, past = states[(turn * 7) % len(states)]
        await _restore(organisation, session_id, checkpoint)
        assert await _window(organisation, session_id) == past
        await _say(organisation, session_id, f"turn {turn}")
        states.append((await _checkpoint(organisation, session_id), [*past, f"turn {turn}"]))
    for checkpoint, past in (states[3], states[-1], states[0]):
        await _restore(organisation, session_id, checkpoint)
        assert await _window(organisation, session_id) == past
        assert await _history(organisation, session_id) == past


STEPS = st.lists(st.tuples(st.sampled_from(["say", "keep", "back", "lose"]), st.integers(0, 9)), max_size=14)


@hypothesis.given(steps=STEPS)
@hypothesis.settings(max_examples=8)
@proves("checkpoints.restore")
async def test_any_sequence_shows_what_a_list_would(steps: list[tuple[str, int]], base_url: str) -> None:
    await _follow(steps, base_url)


async def _follow(steps: list[tuple[str, int]], base_url: str) -> None:
    async with connect(base_url) as client:
        await client.register(f"{uuid.uuid4().hex}@example.com", "correct-horse-battery-staple")
        session_id, present, kept = await client.session(), [], []
        for number, (step, which) in enumerate(steps):
            if step == "say":
                present.append((await _say(client, session_id, f"said {number}"))[0])
            elif step == "keep":
                kept.append((await _checkpoint(client, session_id), list(present)))
            elif step == "back" and kept:
                checkpoint, present = kept[which % len(kept)]
                present = list(present)
                await _restore(client, session_id, checkpoint)
            elif step == "lose" and present:
                lost = present[which % len(present)]
                await client.data("DELETE", f"/memory/{lost}")
                present.remove(lost)
                kept = [(checkpoint, [x for x in past if x != lost]) for checkpoint, past in kept]
        history = await client.data("GET", f"/sessions/{session_id}/history")
        assert [episode["episode_id"] for episode in history["episodes"]] == present
        window = await client.data("GET", f"/sessions/{session_id}")
        assert [message["episode_id"] for message in window["messages"]] == present


async def test_what_was_deleted_since_stays_deleted_and_is_not_counted(organisation: Client) -> None:
    session_id = await organisation.session()
    first, _ = await _say(organisation, session_id, "one", "two")
    checkpoint = await _checkpoint(organisation, session_id)
    await organisation.data("DELETE", f"/memory/{first}")
    receipt = await _restore(organisation, session_id, checkpoint)
    assert receipt["restored_message_count"] == 1
    assert await _window(organisation, session_id) == ["two"]
    await organisation.data("POST", f"/memory/{first}/restore")
    assert await _window(organisation, session_id) == ["one", "two"]


async def test_imported_history_belongs_to_the_present_in_which_it_arrives(organisation: Client) -> None:
    session_id = await organisation.session()
    checkpoint = await _checkpoint(organisation, session_id)
    await organisation.store("old, superseded", session_id=session_id, created_at="2020-01-01T00:00:00Z")
    await _restore(organisation, session_id, checkpoint)
    await organisation.store("older", session_id=session_id, created_at="2019-01-01T00:00:00Z")
    assert await _history(organisation, session_id) == ["older"]


@proves("checkpoints.restore")
async def test_a_restored_window_keeps_to_its_budget(settings: Settings, organisation: Client) -> None:
    async with serving(settings.model_copy(update={"window_tokens": 12})) as url, connect(url) as client:
        client.http.headers["Authorization"] = organisation.http.headers["Authorization"]
        session_id = await client.session()
        await _say(client, session_id, *(f"this is message number {n}" for n in range(6)))
        before = await _window(client, session_id)
        checkpoint = await _checkpoint(client, session_id)
        assert checkpoint["message_count"] == len(before) < 6
        await _say(client, session_id, "one more", "and one more")
        receipt = await _restore(client, session_id, checkpoint)
        assert receipt["restored_message_count"] == len(before)
        assert await _window(client, session_id) == before


@proves("checkpoints.superseded")
async def test_stores_that_race_a_restore_are_never_lost(organisation: Client) -> None:
    session_id = await organisation.session()
    await _say(organisation, session_id, "root")
    checkpoint = await _checkpoint(organisation, session_id)
    said = [f"racing {n}" for n in range(30)]
    await asyncio.gather(
        *(organisation.store(content, session_id=session_id) for content in said[:15]),
        *(_restore(organisation, session_id, checkpoint) for _ in range(5)),
        *(organisation.store(content, session_id=session_id) for content in said[15:]),
    )
    everything = await _history(organisation, session_id, include_superseded="true")
    assert sorted(everything) == sorted(["root", *said])
    present = await _history(organisation, session_id)
    assert present[0] == "root"
    assert set(present) <= set(everything)


@proves("checkpoints.create")
async def test_the_same_key_is_one_checkpoint_and_another_key_another(organisation: Client) -> None:
    session_id = await organisation.session()
    await _say(organisation, session_id, "one")
    path = f"/sessions/{session_id}/checkpoint"
    first = await organisation.send("POST", path, headers={"Idempotency-Key": "put-1"})
    await _say(organisation, session_id, "two")
    again = await organisation.send("POST", path, headers={"Idempotency-Key": "put-1"})
    assert (again.status_code, again.headers[REPLAY], REPLAY in first.headers) == (201, "true", False)
    for name in ("checkpoint_id", "created_at", "message_count"):
        assert again.json()["data"][name] == first.json()["data"][name]
    other = await organisation.send("POST", path, headers={"Idempotency-Key": "put-2"})
    assert other.json()["data"]["message_count"] == 2
    assert len(await _listed(organisation, session_id)) == 2


@proves("checkpoints.create")
async def test_a_race_of_one_key_makes_one_checkpoint(organisation: Client, second_url: str) -> None:
    session_id = await organisation.session()
    path, headers = f"/sessions/{session_id}/checkpoint", {"Idempotency-Key": "race"}
    async with connect(second_url) as other:
        other.http.headers["Authorization"] = organisation.http.headers["Authorization"]
        answers = await asyncio.gather(
            *(client.send("POST", path, headers=headers) for client in (organisation, other) for _ in range(10))
        )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["data"]["checkpoint_id"] for answer in answers}) == 1


@proves("checkpoints.not-found")
async def test_a_checkpoint_of_another_session_or_organisation_is_not_there(
    organisation: Client, stranger: Client
) -> None:
    mine, other = await organisation.session(), await organisation.session()
    theirs = await stranger.session()
    checkpoint = await _checkpoint(organisation, mine)
    foreign = await _checkpoint(stranger, theirs)
    for session_id, wanted in ((other, checkpoint), (mine, foreign), (mine, {"checkpoint_id": str(uuid.uuid4())})):
        body = {"checkpoint_id": wanted["checkpoint_id"]}
        path = f"/sessions/{session_id}/restore"
        await organisation.error("POST", path, 404, "CHECKPOINT_NOT_FOUND", json=body)
    for method, path in (("POST", "checkpoint"), ("GET", "checkpoints")):
        await organisation.error(method, f"/sessions/{theirs}/{path}", 404, "SESSION_NOT_FOUND")


@pytest.mark.parametrize("body", [{}, {"checkpoint_id": None}, {"checkpoint_id": "x"}, {"checkpoint_id": 7}, []])
async def test_a_bad_restore_is_422(organisation: Client, body: Any) -> None:
    session_id = await organisation.session()
    await organisation.error("POST", f"/sessions/{session_id}/restore", 422, json=body)


async def test_forgetting_takes_checkpoints_along(organisation: Client) -> None:
    session_id = await organisation.session()
    await _say(organisation, session_id, "forgotten")
    checkpoint = await _checkpoint(organisation, session_id)
    await organisation.data("DELETE", f"/memory/session/{session_id}")
    assert await _listed(organisation, session_id) == []
    body = {"checkpoint_id": checkpoint["checkpoint_id"]}
    path = f"/sessions/{session_id}/restore"
    await organisation.error("POST", path, 404, "CHECKPOINT_NOT_FOUND", json=body)


async def test_an_agents_checkpoint_keeps_what_others_said_before_it(organisation: Client) -> None:
    """One agent sees only its own messages; the session's present is cut alike for all."""
    session_id = await organisation.session()
    agents = []
    for _ in range(2):
        body = {"name": "agent", "agent_id": str(uuid.uuid4())}
        agents.append((await organisation.data("POST", "/api-keys", status=201, json=body))["api_key"])
    own = organisation.http.headers["Authorization"].removeprefix("Bearer ")
    organisation.use(agents[0])
    await _say(organisation, session_id, "by the first")
    organisation.use(agents[1])
    await _say(organisation, session_id, "by the second")
    organisation.use(agents[0])
    checkpoint = await _checkpoint(organisation, session_id)
    assert checkpoint["message_count"] == 1
    organisation.use(own)
    await _say(organisation, session_id, "later")
    await _restore(organisation, session_id, checkpoint)
    assert await _history(organisation, session_id) == ["by the first", "by the second"]


@proves("window.without-redis")
async def test_a_flushed_redis_changes_no_window(organisation: Client, worker_container: WorkerContainer) -> None:
    session_id = await organisation.session()
    for n in range(5):
        await _say(organisation, session_id, f"turn {n}")
        before = await organisation.data("GET", f"/sessions/{session_id}")
        await worker_container.core.redis.client.flushall()
        after = await organisation.data("GET", f"/sessions/{session_id}")
        assert [message["content"] for message in after["messages"]] == [f"turn {k}" for k in range(n + 1)]
        assert after["token_usage"] == before["token_usage"]


LONG = "one two three four five six seven eight nine ten " * 60
"""Some 600 tokens: six of them fill a window of 4,000 to more than 80 %."""


@proves("checkpoints.automatic")
async def test_a_window_that_fills_up_is_kept_by_itself_and_again_when_it_has_filled_anew(
    organisation: Client, embed: Embed
) -> None:
    session_id = await organisation.session()
    await _say(organisation, session_id, *(f"{n} {LONG}" for n in range(4)))
    await embed()
    assert await _listed(organisation, session_id) == []
    await _say(organisation, session_id, *(f"{n} {LONG}" for n in range(4, 6)))
    await embed()
    await embed()
    (first,) = await _listed(organisation, session_id)
    assert (first["automatic"], first["message_count"]) == (True, 6)
    window = await _window(organisation, session_id)
    await _say(organisation, session_id, "short")
    await embed()
    assert await _listed(organisation, session_id) == [first]
    await _say(organisation, session_id, *(f"{n} {LONG}" for n in range(6, 12)))
    await embed()
    assert [item["automatic"] for item in await _listed(organisation, session_id)] == [True, True]
    await _restore(organisation, session_id, first)
    assert await _window(organisation, session_id) == window


@proves("checkpoints.automatic")
async def test_only_so_many_automatic_ones_are_kept_and_all_that_a_caller_made(
    organisation: Client, worker_container: WorkerContainer
) -> None:
    session_id = await organisation.session()
    own = await _checkpoint(organisation, session_id)
    await _fill(organisation, worker_container.core, session_id, times=5)
    listed = await _listed(organisation, session_id)
    assert [item["automatic"] for item in listed] == [True] * 3 + [False]
    assert listed[-1]["checkpoint_id"] == own["checkpoint_id"]


async def test_a_checkpoint_stays_until_its_webhooks_were_told_of_it(
    organisation: Client, worker_container: WorkerContainer
) -> None:
    hook = {"url": "https://hooks.example.com/", "events": ["checkpoint.created"]}
    await organisation.data("POST", "/webhooks", status=201, json=hook)
    session_id = await organisation.session()
    await _fill(organisation, worker_container.core, session_id, times=5)
    assert len(await _listed(organisation, session_id)) == 5
    while await worker_container.webhooks.fan_out():
        pass
    await _fill(organisation, worker_container.core, session_id, times=1)
    assert len(await _listed(organisation, session_id)) == 3


async def _fill(client: Client, core: Core, session_id: str, times: int) -> None:
    """Let a small window of this session overflow, of which three automatic checkpoints are kept."""
    few = {"automatic_checkpoints_kept": 3, "window_tokens": 20}
    automatic = automatic_checkpoints(replace(core, settings=core.settings.model_copy(update=few)))
    episodes = ScopedIndex(core.engine, EPISODES)
    for n in range(times):
        episode_id = await client.store(f"{n} {LONG}", session_id=session_id)
        stored = await episodes.get(Scope(client.org_id, client.user_id), episode_id)
        assert stored is not None
        assert await automatic.look([stored]) == 1
