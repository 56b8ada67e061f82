"""The published client's ways to forget."""

from __future__ import annotations

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
    receipt = await sdk.forget_user(organisation.user_id)
    assert (receipt["deleted_episodes"], receipt["deleted_sessions"]) == (4, 2)
    assert (receipt["deletedEpisodes"], receipt["deletedSessions"]) == (4, 2)
    assert (await sdk.search("personal")).total == 0
    assert await sdk.list_sessions() == []
    exported = await sdk.export()
    assert not isinstance(exported, bytes)
    assert [row async for row in exported] == []
    for session_id in sessions:
        for call in (sdk.get_session, sdk.get_session_history):
            with pytest.raises(NotFoundError):
                await call(session_id)
