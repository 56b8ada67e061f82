"""What the adapters of agent frameworks do through the published client, call by call.

They are synchronous: each call runs an event loop of its own over the one HTTP client.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Coroutine
from typing import Any, TypeVar

from remembr import RemembrClient, TagFilter

from tests.client import Client

T = TypeVar("T")


def _run(call: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(call)


def _say_key(framework: str, session_id: str, role: str, content: str) -> str:
    digest = hashlib.sha256(f"{role}:{content}".encode()).hexdigest()[:16]
    return f"{framework}-{session_id}-{digest}"


async def test_scenario_11_langchain_chat_history(base_url: str, api_key: str) -> None:
    """The same sentence twice within a day is stored once: the adapter's key says so."""

    def conversation() -> tuple[list[str], int, list[str]]:
        client = RemembrClient(api_key=api_key, base_url=base_url)
        session_id = _run(client.create_session({"thread": "t"})).session_id
        for role, content in (("user", "My name is Ada"), ("assistant", "Hello Ada"), ("user", "My name is Ada")):
            key = _say_key("langchain", session_id, role, content)
            _run(client.store(content, role=role, session_id=session_id, idempotency_key=key))
        said = [episode.content for episode in _run(client.get_session_history(session_id, limit=20))]
        found = _run(client.search("What is my name?", session_id=session_id, limit=10, mode="hybrid"))
        _run(client.forget_session(session_id))
        return said, found.total, [episode.content for episode in _run(client.get_session_history(session_id))]

    assert await asyncio.to_thread(conversation) == (["My name is Ada", "Hello Ada"], 2, [])


async def test_scenario_11_langgraph_nodes_share_a_memory(base_url: str, api_key: str) -> None:
    def graph() -> tuple[int, set[str]]:
        client = RemembrClient(api_key=api_key, base_url=base_url)
        session_id = _run(client.create_session({"thread_id": "thread-1"})).session_id
        before = _run(client.search("research agents", session_id=session_id, limit=10)).total
        _run(client.store("research agents", role="user", session_id=session_id))
        _run(client.store("They need memory.", role="assistant", session_id=session_id))
        found = _run(client.search("research agents", session_id=session_id, limit=10)).results
        return before, {result.content for result in found}

    assert await asyncio.to_thread(graph) == (0, {"research agents", "They need memory."})


async def test_scenario_9_and_11_a_langgraph_saver_brings_a_thread_back(base_url: str, api_key: str) -> None:
    """Its puts are checkpoints by the keys of the thread's own; another put of the same key is the same one."""

    def graph() -> tuple[list[str], list[int], list[str]]:
        client = RemembrClient(api_key=api_key, base_url=base_url)
        session_id = _run(client.create_session({"thread_id": "thread-1"})).session_id
        _run(client.store("research agents", role="user", session_id=session_id))
        _run(client.store("They need memory.", role="assistant", session_id=session_id))
        first = _run(client.checkpoint(session_id, idempotency_key="thread-1:1"))
        assert _run(client.checkpoint(session_id, idempotency_key="thread-1:1")) == first
        _run(client.store("a step that crashed", role="assistant", session_id=session_id))
        second = _run(client.checkpoint(session_id, idempotency_key="thread-1:2"))
        _run(client.restore(session_id, first.checkpoint_id))
        said = [episode.content for episode in _run(client.get_session_history(session_id))]
        counts = [item.message_count for item in _run(client.list_checkpoints(session_id))]
        _run(client.restore(session_id, second.checkpoint_id))
        return said, counts, [episode.content for episode in _run(client.get_session_history(session_id))]

    said, counts, later = await asyncio.to_thread(graph)
    assert said == ["research agents", "They need memory."]
    assert counts == [3, 2]
    assert later == ["research agents", "They need memory.", "a step that crashed"]


async def test_scenario_11_crewai_agents_share_a_session_beside_their_own(base_url: str, api_key: str) -> None:
    def crew() -> tuple[set[str], set[str], list[str]]:
        client = RemembrClient(api_key=api_key, base_url=base_url)
        team = _run(client.create_session({"team_id": "crew"})).session_id
        own = {name: _run(client.create_session({"agent_id": name})).session_id for name in ("writer", "editor")}
        for name, session_id in own.items():
            for target in (session_id, team):
                _run(client.store(f"note of the {name}", session_id=target, metadata={"agent_id": name}))

        def seen(name: str) -> set[str]:
            merged = {}
            for session_id in (own[name], team):
                for result in _run(client.search("note", session_id=session_id, limit=20)).results:
                    merged[result.episode_id] = result.content
            return set(merged.values())

        writer, editor = seen("writer"), seen("editor")
        _run(client.forget_session(own["writer"]))
        left = [result.content for result in _run(client.search("note", session_id=own["writer"])).results]
        return writer, editor, left

    both = {"note of the writer", "note of the editor"}
    assert await asyncio.to_thread(crew) == (both, both, [])


async def test_scenario_11_autogen_uses_one_key_for_every_message(base_url: str, api_key: str) -> None:
    """The adapter swallows refusals, so a key that comes again with another message must store it."""

    def agents() -> list[str]:
        client = RemembrClient(api_key=api_key, base_url=base_url)
        session_id = _run(client.create_session()).session_id
        for content in ("first message", "second message", "third message"):
            _run(client.store(content, session_id=session_id, idempotency_key="autogen-default-0"))
        found = _run(client.search("message", session_id=session_id, limit=30)).results
        return sorted(result.content for result in found)

    assert await asyncio.to_thread(agents) == ["first message", "second message", "third message"]


async def test_scenario_11_llamaindex_gets_its_messages_in_order(base_url: str, api_key: str) -> None:
    def chat_store() -> tuple[list[str], int, list[str]]:
        client = RemembrClient(api_key=api_key, base_url=base_url)
        session_id = _run(client.create_session()).session_id
        for number in range(6):
            _run(client.store(f"message {number}", session_id=session_id, tags=["kind:chat"]))
        said = [episode.content for episode in _run(client.get_session_history(session_id, limit=200))]
        retrieved = _run(client.search("message", session_id=session_id, tag_filters=[TagFilter(key="kind")])).total
        _run(client.forget_session(session_id))
        return said, retrieved, [item.content for item in _run(client.get_session_history(session_id, limit=200))]

    assert await asyncio.to_thread(chat_store) == ([f"message {number}" for number in range(6)], 6, [])


async def test_scenario_11_llamaindex_gets_the_latest_of_a_long_chat(organisation: Client, sdk: RemembrClient) -> None:
    session_id = (await sdk.create_session()).session_id
    said = [f"message {number:03}" for number in range(250)]
    episodes = [{"role": "user", "content": content, "session_id": session_id} for content in said]
    await organisation.data("POST", "/memory/batch", status=201, json={"episodes": episodes})
    latest = await sdk.get_session_history(session_id, limit=200)
    assert [episode.content for episode in latest] == said[-200:]


async def test_scenario_11_pydantic_ai_stores_twice_in_one_run(base_url: str, api_key: str) -> None:
    def run() -> tuple[int, int]:
        client = RemembrClient(api_key=api_key, base_url=base_url)
        session_id = _run(client.create_session()).session_id
        stored = [
            _run(client.store(text, session_id=session_id, idempotency_key="run-1")).episode_id
            for text in ("likes tea", "likes trains")
        ]
        # The adapter gives up after two seconds and goes on without a memory.
        before = _run(asyncio.wait_for(client.search("relevant memories", session_id=session_id, limit=5), 2)).total
        _run(client.forget_episode(stored[0]))
        return before, _run(client.search("relevant memories", session_id=session_id, limit=5)).total

    assert await asyncio.to_thread(run) == (2, 1)


async def test_scenario_11_openai_agents_and_haystack_roles_are_kept(base_url: str, api_key: str) -> None:
    async with RemembrClient(api_key=api_key, base_url=base_url) as client:
        session_id = (await client.create_session()).session_id
        roles = ("user", "tool", "handoff", "chatrole.assistant")
        for role in roles:
            await client.store(f"by {role}", role=role, session_id=session_id)
        assert [episode.role for episode in await client.get_session_history(session_id, limit=30)] == list(roles)
        found = await client.search("by", session_id=session_id, limit=8)
        assert {result.role for result in found.results} == set(roles)
