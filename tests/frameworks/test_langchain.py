"""LangChain's chat history: messages come back as they were, and are found like anything that was said."""

from __future__ import annotations

import asyncio

from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage

from app.adapters.langchain import Clients, RemembrChatMessageHistory
from tests.client import Client

MESSAGES: list[BaseMessage] = [
    SystemMessage("Be brief."),
    HumanMessage("What is the weather in Bern?", id="m1"),
    AIMessage("", tool_calls=[{"name": "weather", "args": {"city": "Bern"}, "id": "call_1"}]),
    ToolMessage('{"sky": "clear"}', tool_call_id="call_1"),
    AIMessage("Clear.", usage_metadata={"input_tokens": 9, "output_tokens": 2, "total_tokens": 11}),
    HumanMessage([{"type": "text", "text": "And here?"}, {"type": "image", "url": "https://example.com/sky.png"}]),
    ChatMessage(role="observer", content="It rains."),
]


async def test_messages_come_back_as_they_were(clients: Clients, organisation: Client) -> None:
    history = RemembrChatMessageHistory(clients, await organisation.session())
    await history.aadd_messages(MESSAGES)
    assert await history.aget_messages() == MESSAGES
    found = await organisation.search("weather Bern", session_id=history.session_id, search_mode="keyword")
    assert found["results"][0]["content"] == "What is the weather in Bern?"
    window = await organisation.data("GET", f"/sessions/{history.session_id}")
    roles = [message["role"] for message in window["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "assistant", "user", "observer"]
    await history.aclear()
    assert await history.aget_messages() == []


async def test_what_others_stored_comes_by_its_role(clients: Clients, organisation: Client) -> None:
    session_id = await organisation.session()
    for role, content in (("user", "hi"), ("assistant", "hello"), ("narrator", "silence")):
        await organisation.store(content, role=role, session_id=session_id)
    messages = await RemembrChatMessageHistory(clients, session_id).aget_messages()
    assert messages == [HumanMessage("hi"), AIMessage("hello"), ChatMessage(role="narrator", content="silence")]


async def test_long_histories_come_whole_and_in_order(clients: Clients, organisation: Client) -> None:
    history = RemembrChatMessageHistory(clients, await organisation.session())
    many: list[BaseMessage] = [HumanMessage(f"number {number}") for number in range(620)]
    await history.aadd_messages(many)
    assert [message.text for message in await history.aget_messages()] == [message.text for message in many]


async def test_a_model_has_what_was_said_before_without_a_loop(clients: Clients) -> None:
    def play() -> list[str]:
        with clients:
            first = RemembrChatMessageHistory(clients)
            model = FakeListChatModel(responses=["Hello Ada", "You are Ada"])
            for text in ("I am Ada", "Who am I?"):
                history = RemembrChatMessageHistory(clients, first.session_id)
                history.add_user_message(text)
                history.add_message(model.invoke(history.messages))
            return [str(message.text) for message in first.messages]

    assert await asyncio.to_thread(play) == ["I am Ada", "Hello Ada", "Who am I?", "You are Ada"]
