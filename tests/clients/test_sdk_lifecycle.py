"""The published client's checkpoints, restores and ways to forget."""

from __future__ import annotations

import uuid

import pytest
from remembr import RemembrClient
from remembr.exceptions import NotFoundError

from tests.client import Client


async def _session_with(sdk: RemembrClient, *contents: str) -> str:
    session = await sdk.create_session()
    for content in contents:
        await sdk.store(content, session_id=session.session_id)
    return str(session.session_id)


async def _history(sdk: RemembrClient, session_id: str) -> list[str]:
    return [episode.content for episode in await sdk.get_session_history(session_id)]


async def _window(sdk: RemembrClient, session_id: str) -> list[str]:
    shown = await sdk.arequest("GET", f"/sessions/{session_id}")
    return [message["content"] for message in shown["messages"]]


async def test_scenario_9_a_crash_is_undone_by_a_checkpoint(sdk: RemembrClient) -> None:
    session_id = await _session_with(sdk, "plan", "step one")
    checkpoint = await sdk.checkpoint(session_id)
    assert checkpoint.message_count == 2
    for content in ("wrong turn", "worse", "lost"):
        await sdk.store(content, session_id=session_id)
    restored = await sdk.restore(session_id, checkpoint.checkpoint_id)
    assert (restored["restored_message_count"], restored["restoredMessageCount"]) == (2, 2)
    assert await _window(sdk, session_id) == ["plan", "step one"]
    assert await _history(sdk, session_id) == ["plan", "step one"]
    found = await sdk.search("wrong turn", session_id=session_id, search_mode="keyword")
    assert [result.content for result in found.results] == ["wrong turn"]
    await sdk.store("right turn", session_id=session_id)
    assert await _window(sdk, session_id) == ["plan", "step one", "right turn"]


async def test_scenario_9_checkpoints_are_listed_newest_first(sdk: RemembrClient) -> None:
    session_id = await _session_with(sdk, "one")
    first = await sdk.checkpoint(session_id)
    await sdk.store("two", session_id=session_id)
    second = await sdk.checkpoint(session_id)
    listed = await sdk.list_checkpoints(session_id)
    assert [(item.checkpoint_id, item.message_count) for item in listed] == [
        (second.checkpoint_id, 2),
        (first.checkpoint_id, 1),
    ]
    assert [item.created_at for item in listed] == [second.created_at, first.created_at]


async def test_scenario_9_a_savers_puts_are_checkpoints_by_their_keys(sdk: RemembrClient) -> None:
    session_id = await _session_with(sdk, "state")
    first = await sdk.checkpoint(session_id, idempotency_key="thread-1:checkpoint-1")
    again = await sdk.checkpoint(session_id, idempotency_key="thread-1:checkpoint-1")
    other = await sdk.checkpoint(session_id, idempotency_key="thread-1:checkpoint-2")
    assert again == first
    assert other.checkpoint_id != first.checkpoint_id
    assert len(await sdk.list_checkpoints(session_id)) == 2


async def test_a_checkpoint_that_is_not_there_is_a_not_found_error(sdk: RemembrClient) -> None:
    session_id = await _session_with(sdk, "one")
    with pytest.raises(NotFoundError) as missing:
        await sdk.restore(session_id, str(uuid.uuid4()))
    assert missing.value.details == {"code": "CHECKPOINT_NOT_FOUND"}
    for call in (sdk.checkpoint, sdk.list_checkpoints):
        with pytest.raises(NotFoundError):
            await call(str(uuid.uuid4()))


async def test_a_forgotten_session_is_empty(sdk: RemembrClient) -> None:
    session_id = await _session_with(sdk, "one", "two", "three")
    kept = await _session_with(sdk, "kept")
    receipt = await sdk.forget_session(session_id)
    assert (receipt["deleted_count"], receipt["deletedCount"], receipt["session_id"]) == (3, 3, session_id)
    assert [result.content for result in (await sdk.search("one two three kept")).results] == ["kept"]
    assert await _history(sdk, kept) == ["kept"]


async def test_scenario_11_a_reset_crew_goes_on_with_its_session(sdk: RemembrClient) -> None:
    """Published adapters call forget_session as `reset` and store into the same session again."""
    session_id = await _session_with(sdk, "before")
    await sdk.forget_session(session_id)
    assert await _history(sdk, session_id) == []
    await sdk.store("after", session_id=session_id)
    assert await _history(sdk, session_id) == ["after"]
    assert await _window(sdk, session_id) == ["after"]


async def test_scenario_7_a_user_is_forgotten_with_everything(sdk: RemembrClient, organisation: Client) -> None:
    sessions = [await _session_with(sdk, "personal one", "personal two"), await _session_with(sdk, "personal three")]
    await sdk.store("personal and alone")
    await sdk.checkpoint(sessions[0])
    receipt = await sdk.forget_user(organisation.user_id)
    assert (receipt["deleted_episodes"], receipt["deleted_sessions"]) == (4, 2)
    assert (receipt["deletedEpisodes"], receipt["deletedSessions"]) == (4, 2)
    assert (await sdk.search("personal")).total == 0
    assert await sdk.list_sessions() == []
    exported = await sdk.export()
    assert not isinstance(exported, bytes)
    assert [row async for row in exported] == []
    for session_id in sessions:
        for call in (sdk.get_session, sdk.get_session_history, sdk.list_checkpoints):
            with pytest.raises(NotFoundError):
                await call(session_id)
