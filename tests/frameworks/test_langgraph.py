"""LangGraph: its own conformance tests, and graphs that go on after their process ended."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.graph import END, START, StateGraph
from langgraph.store.base import GetOp, PutOp, SearchOp
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict

from app.adapters.langgraph import Clients, RemembrSaver, RemembrStore
from tests.client import Client
from tests.conftest import Embed


class State(TypedDict):
    said: Annotated[list[str], operator.add]


def graph(saver: RemembrSaver) -> Any:
    """Asks a person in the middle."""

    def ask(state: State) -> dict[str, list[str]]:
        return {"said": [f"heard {interrupt('which one?')}"]}

    def end(state: State) -> dict[str, list[str]]:
        return {"said": [f"{len(state['said'])} things were said"]}

    builder = StateGraph(State)
    builder.add_node("ask", ask)
    builder.add_node("end", end)
    builder.add_edge(START, "ask")
    builder.add_edge("ask", "end")
    builder.add_edge("end", END)
    return builder.compile(checkpointer=saver)


@pytest.mark.slow
async def test_the_checkpointer_passes_langgraphs_own_conformance_tests(clients: Clients) -> None:
    @checkpointer_test(name="RemembrSaver")
    async def saver() -> AsyncIterator[RemembrSaver]:
        yield RemembrSaver(clients)

    report = await validate(saver)
    report.print_report()
    assert report.passed_all_base()
    assert report.passed_all()


async def test_a_graph_goes_on_where_another_process_left_it(clients: Clients) -> None:
    config = {"configurable": {"thread_id": "support-42"}}
    stopped = await graph(RemembrSaver(clients)).ainvoke({"said": ["My invoice is wrong"]}, config)
    assert stopped["__interrupt__"][0].value == "which one?"
    again = graph(RemembrSaver(clients))
    ended = await again.ainvoke(Command(resume="number 1842"), config)
    assert ended["said"] == ["My invoice is wrong", "heard number 1842", "2 things were said"]
    past = [snapshot async for snapshot in again.aget_state_history(config)]
    assert [len(snapshot.values.get("said", [])) for snapshot in past] == [3, 2, 1, 0]
    await RemembrSaver(clients).adelete_thread("support-42")
    assert (await again.aget_state(config)).values == {}


async def test_without_a_loop_it_does_the_same(clients: Clients) -> None:
    def play() -> Any:
        with clients:
            config = {"configurable": {"thread_id": "without a loop"}}
            graph(RemembrSaver(clients)).invoke({"said": ["hello"]}, config)
            return graph(RemembrSaver(clients)).invoke(Command(resume="this"), config)

    assert (await asyncio.to_thread(play))["said"] == ["hello", "heard this", "2 things were said"]


async def test_state_of_any_size_comes_back_whole(clients: Clients) -> None:
    config = {"configurable": {"thread_id": "large"}}
    large = "x" * 150_000
    await graph(RemembrSaver(clients)).ainvoke({"said": [large]}, config)
    assert (await graph(RemembrSaver(clients)).aget_state(config)).values["said"] == [large]


async def test_a_key_of_its_own_agent_keeps_state_out_of_what_agents_find(
    clients: Clients, organisation: Client, base_url: str
) -> None:
    agent = {"name": "graph", "agent_id": "7d444840-9dc0-11d1-b245-5ffdce74fad2"}
    other = {"name": "talks", "agent_id": "7d444840-9dc0-11d1-b245-5ffdce74fad3"}
    keys = [(await organisation.data("POST", "/api-keys", status=201, json=body))["api_key"] for body in (agent, other)]
    async with Clients(base_url, keys[0]) as graphs:
        await graph(RemembrSaver(graphs)).ainvoke({"said": ["secret plan"]}, {"configurable": {"thread_id": "1"}})
    organisation.use(keys[1])
    assert await organisation.contents("langgraph checkpoint") == []


async def test_the_store_puts_gets_replaces_and_deletes(clients: Clients) -> None:
    store = RemembrStore(clients)
    await store.aput(("users", "ada"), "plan", {"tier": "gold", "nested": {"deep": [1, 2.5, None, True]}})
    first = await store.aget(("users", "ada"), "plan")
    assert first is not None
    assert first.value == {"tier": "gold", "nested": {"deep": [1, 2.5, None, True]}}
    await store.aput(("users", "ada"), "plan", {"tier": "silver"})
    second = await store.aget(("users", "ada"), "plan")
    assert second is not None
    assert (second.value, second.created_at) == ({"tier": "silver"}, first.created_at)
    assert second.updated_at > first.updated_at
    assert await store.aget(("users",), "plan") is None
    await store.adelete(("users", "ada"), "plan")
    assert await store.aget(("users", "ada"), "plan") is None
    assert await store.asearch(("users",)) == []


async def test_the_store_searches_by_meaning_within_a_namespace(clients: Clients, embed: Embed) -> None:
    store = RemembrStore(clients)
    await store.aput(("users", "ada"), "summaries", {"text": "Wants billing summaries on Fridays", "rank": 3})
    await store.aput(("users", "ada"), "food", {"text": "Is allergic to peanuts", "rank": 5})
    await store.aput(("users", "bob"), "food", {"text": "Doesn't eat nuts", "rank": 9})
    await store.aput(("users", "ada"), "hidden", {"text": "billing"}, index=False)
    await embed()
    found = await store.asearch(("users", "ada"), query="When do invoices go out?")
    assert [item.key for item in found] == ["summaries", "food"]
    assert found[0].score is not None
    assert [item.key for item in await store.asearch(("users",), filter={"rank": {"$gte": 5}})] == ["food", "food"]
    assert [item.key for item in await store.asearch(("users", "ada"), filter={"rank": 3})] == ["summaries"]
    assert len(await store.asearch(("users",), limit=2)) == 2
    assert len(await store.asearch(("users",), limit=10, offset=3)) == 1
    with pytest.raises(ValueError, match="operator"):
        await store.asearch(("users",), filter={"rank": {"$near": 3}})


async def test_a_filtered_search_reads_on_until_it_has_found_enough(clients: Clients) -> None:
    store = RemembrStore(clients)
    await store.abatch([PutOp(("many",), str(number), {"rank": number}) for number in range(130)])
    found = await store.asearch(("many",), filter={"rank": {"$lt": 3}})
    assert sorted(item.key for item in found) == ["0", "1", "2"]
    assert len(await store.asearch(("many",), limit=125)) == 125


async def test_the_store_lists_namespaces(clients: Clients) -> None:
    store = RemembrStore(clients)
    for namespace in (("a", "b", "c"), ("a", "b", "d"), ("a", "e", "c"), ("f",)):
        await store.aput(namespace, "key", {"text": "anything"})
    assert await store.alist_namespaces() == [("a", "b", "c"), ("a", "b", "d"), ("a", "e", "c"), ("f",)]
    assert await store.alist_namespaces(prefix=("a", "b")) == [("a", "b", "c"), ("a", "b", "d")]
    assert await store.alist_namespaces(suffix=("c",)) == [("a", "b", "c"), ("a", "e", "c")]
    assert await store.alist_namespaces(prefix=("a", "*", "c")) == [("a", "b", "c"), ("a", "e", "c")]
    assert await store.alist_namespaces(max_depth=2) == [("a", "b"), ("a", "e"), ("f",)]
    assert await store.alist_namespaces(limit=1, offset=1) == [("a", "b", "d")]


async def test_a_batch_reads_what_was_there_before_it(clients: Clients) -> None:
    store = RemembrStore(clients)
    await store.aput(("n",), "one", {"text": "before"})
    got, searched, put, last = await store.abatch(
        [
            GetOp(("n",), "one"),
            SearchOp(("n",)),
            PutOp(("n",), "one", {"text": "between"}),
            PutOp(("n",), "one", {"text": "after"}),
        ]
    )
    assert got is not None
    assert (got.value, [item.key for item in searched], put, last) == ({"text": "before"}, ["one"], None, None)  # type: ignore[union-attr]
    now = await store.aget(("n",), "one")
    assert now is not None
    assert now.value == {"text": "after"}
    assert await asyncio.to_thread(store.get, ("n",), "one") == now
