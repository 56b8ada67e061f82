"""The OpenAI Agents SDK's session: what its protocol asks for, and a run of the SDK itself with a model of ours."""

from __future__ import annotations

from typing import Any

from agents import Agent, Model, ModelResponse, Runner, Usage, set_tracing_disabled
from agents.memory import Session
from openai.types.responses import ResponseOutputMessage, ResponseOutputText

from app.adapters.openai_agents import Clients, RemembrSession
from tests.client import Client

ITEMS: list[Any] = [
    {"role": "user", "content": "What is the weather in Bern?"},
    {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Bern"}'},
    {"type": "function_call_output", "call_id": "call_1", "output": "clear"},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Clear."}], "id": "m1"},
]


async def test_items_come_back_as_they_were(clients: Clients, organisation: Client) -> None:
    session = await RemembrSession.start(clients, thread="weather")
    assert isinstance(session, Session)
    await session.add_items(ITEMS)
    assert await session.get_items() == ITEMS
    assert await session.get_items(limit=2) == ITEMS[-2:]
    found = await organisation.contents("Bern", session_id=session.session_id, search_mode="keyword")
    assert sorted(found) == ["What is the weather in Bern?", 'calls weather {"city": "Bern"}']
    assert await session.pop_item() == ITEMS[-1]
    assert await session.get_items() == ITEMS[:-1]
    await session.clear_session()
    assert (await session.get_items(), await session.pop_item()) == ([], None)


async def test_another_session_of_the_same_id_goes_on(clients: Clients, organisation: Client) -> None:
    session = await RemembrSession.start(clients)
    await session.add_items(ITEMS[:1])
    await organisation.store("Stored by somebody else", role="assistant", session_id=session.session_id)
    again = RemembrSession(clients, session.session_id)
    assert await again.get_items() == [ITEMS[0], {"role": "assistant", "content": "Stored by somebody else"}]


class Counts(Model):
    """Answers with how many items it was given."""

    async def get_response(self, system_instructions: Any, input: Any, *_: Any, **__: Any) -> ModelResponse:
        given = 1 if isinstance(input, str) else len(input)
        text = ResponseOutputText(type="output_text", text=f"{given} items", annotations=[])
        message = ResponseOutputMessage(id="m", type="message", role="assistant", status="completed", content=[text])
        return ModelResponse(output=[message], usage=Usage(), response_id=None)

    def stream_response(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


async def test_a_run_has_what_was_said_before(clients: Clients) -> None:
    set_tracing_disabled(True)
    agent = Agent(name="counts", model=Counts())
    session = await RemembrSession.start(clients)
    first = await Runner.run(agent, "one", session=session)
    assert first.final_output == "1 items"
    second = await Runner.run(agent, "two", session=RemembrSession(clients, session.session_id))
    assert second.final_output == "3 items"
    assert len(await session.get_items()) == 4
