"""The MCP server, by the official SDK's own client: over stdio and over streamable HTTP."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from app.engines import ports
from tests.client import Client as Rest
from tests.conftest import Embed

COMMAND = str(Path(sys.executable).with_name("remembr-mcp"))
UP_S = 30
NOBODYS = "7d444840-9dc0-11d1-b245-5ffdce74fad2"
TOOLS = {
    "remember", "search", "forget", "start_session", "list_sessions", "recall_session", "checkpoint",
    "list_checkpoints", "restore_checkpoint",
}  # fmt: skip


@pytest.fixture
def mcp(base_url: str, api_key: str) -> Client:
    """A client that starts the server, as desktop applications do by one block of their settings. To be entered in
    the test's own task."""
    environment = {"REMEMBR_API_KEY": api_key, "REMEMBR_BASE_URL": base_url, "PATH": os.environ["PATH"]}
    return Client(StdioServerParameters(command=COMMAND, env=environment))


async def use(client: Client, tool: str, **arguments: Any) -> Any:
    """What a tool gives."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    """What a tool says when it can't."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return str(getattr(result.content[0], "text", ""))


async def test_tools_say_what_they_do_and_whether_they_change_anything(mcp: Client) -> None:
    async with mcp:
        tools = {tool.name: tool for tool in (await mcp.list_tools()).tools}
        assert set(tools) == TOOLS
        for name, tool in tools.items():
            assert tool.description, name
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint == name.startswith(("search", "list", "recall")), name
            for argument, schema in tool.input_schema["properties"].items():
                assert schema.get("description"), (name, argument)
        forget = tools["forget"].annotations
        assert forget is not None
        assert forget.destructive_hint


async def test_what_is_remembered_is_found_with_what_was_said_around_it(mcp: Client, embed: Embed) -> None:
    async with mcp:
        session = await use(mcp, "start_session", title="Support 42")
        inside = {"session_id": session["session_id"]}
        await use(mcp, "remember", content="My invoice is wrong", **inside)
        await use(mcp, "remember", content="Which one?", role="assistant", **inside)
        kept = await use(
            mcp, "remember", content="Number 1842", tags=["kind:fact"], metadata={"source": "chat"}, **inside
        )
        await embed()
        found = await use(mcp, "search", query="1842", neighbours=2, limit=1)
        (best,) = found["memories"]
        assert (best["episode_id"], best["content"], best["tags"]) == (kept["episode_id"], "Number 1842", ["kind:fact"])
        assert [turn["content"] for turn in best["before"]] == ["My invoice is wrong", "Which one?"]
        only = await use(mcp, "search", query="invoice", role="assistant")
        assert [memory["content"] for memory in only["memories"]] == ["Which one?"]


async def test_a_session_is_recalled_goes_back_to_a_checkpoint_and_is_forgotten(mcp: Client) -> None:
    async with mcp:
        session_id = (await use(mcp, "start_session"))["session_id"]
        await use(mcp, "remember", content="The plan is A", session_id=session_id)
        made = await use(mcp, "checkpoint", session_id=session_id)
        await use(mcp, "remember", content="The plan is B", session_id=session_id)
        window = await use(mcp, "recall_session", session_id=session_id)
        assert [message["content"] for message in window["messages"]] == ["The plan is A", "The plan is B"]
        assert 0 < window["tokens_used"] < window["tokens_max"]
        listed = await use(mcp, "list_checkpoints", session_id=session_id)
        assert [each["checkpoint_id"] for each in listed["checkpoints"]] == [made["checkpoint_id"]]
        await use(mcp, "restore_checkpoint", session_id=session_id, checkpoint_id=made["checkpoint_id"])
        window = await use(mcp, "recall_session", session_id=session_id)
        assert [message["content"] for message in window["messages"]] == ["The plan is A"]
        assert (await use(mcp, "forget", session_id=session_id))["episodes"] == 2
        assert (await use(mcp, "recall_session", session_id=session_id))["messages"] == []
        assert [each["session_id"] for each in (await use(mcp, "list_sessions"))["sessions"]] == [session_id]


async def test_one_episode_is_forgotten(mcp: Client) -> None:
    async with mcp:
        kept = await use(mcp, "remember", content="Said and regretted")
        gone = await use(mcp, "forget", episode_id=kept["episode_id"])
        assert gone["episodes"] == 1
        assert (await use(mcp, "search", query="regretted"))["memories"] == []


async def test_what_the_service_refuses_a_model_can_read(mcp: Client) -> None:
    async with mcp:
        assert "no such session" in await refused(
            mcp, "recall_session", session_id="7d444840-9dc0-11d1-b245-5ffdce74fad2"
        )
        assert "episode_id or a session_id" in await refused(mcp, "forget")
        assert "from_time" in await refused(mcp, "search", query="anything", from_time="yesterday")


async def test_sessions_are_resources(mcp: Client) -> None:
    async with mcp:
        session_id = (await use(mcp, "start_session", title="Resources"))["session_id"]
        await use(mcp, "remember", content="Read as a resource", session_id=session_id)
        listed = {str(each.uri): each.title for each in (await mcp.list_resources()).resources}
        assert listed == {"remembr://sessions": "Sessions", f"remembr://sessions/{session_id}": "Resources"}
        templates = {each.uri_template for each in (await mcp.list_resource_templates()).resource_templates}
        assert templates == {"remembr://sessions/{session_id}", "remembr://sessions/{session_id}/history"}

        async def text(uri: str) -> str:
            (content,) = (await mcp.read_resource(uri)).contents
            return str(getattr(content, "text", ""))

        assert session_id in await text("remembr://sessions")
        assert "Read as a resource" in await text(f"remembr://sessions/{session_id}")
        assert await text(f"remembr://sessions/{session_id}/history") == "user: Read as a resource"
        with pytest.raises(MCPError, match="no such session"):
            await text(f"remembr://sessions/{NOBODYS}")


@asynccontextmanager
async def served(base_url: str) -> AsyncIterator[str]:
    """`remembr-mcp --http`: its address."""
    port = ports.pick(0, "the MCP server", "--port")
    process = await asyncio.create_subprocess_exec(
        COMMAND, "--http", "--port", str(port), "--base-url", base_url, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        deadline = asyncio.get_running_loop().time() + UP_S
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                assert asyncio.get_running_loop().time() < deadline
                await asyncio.sleep(0.1)
            else:
                writer.close()
                break
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@asynccontextmanager
async def over_http(url: str, **headers: str) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers=headers) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        yield client


async def test_over_http_each_caller_has_the_scope_of_the_key_it_sends(
    base_url: str, organisation: Rest, stranger: Rest
) -> None:
    async with served(base_url) as url:
        for rest in (organisation, stranger):
            async with over_http(url, Authorization=rest.http.headers["Authorization"]) as client:
                await use(client, "remember", content=f"said in {rest.org_id}")
                found = await use(client, "search", query="said in")
                assert [memory["content"] for memory in found["memories"]] == [f"said in {rest.org_id}"]
        async with over_http(url) as nobody:
            assert re.search("Authorization: Bearer", await refused(nobody, "search", query="said in"))
        async with over_http(url, Authorization="Bearer rk_wrong") as wrong:
            assert "key" in await refused(wrong, "search", query="said in")


async def test_without_its_extra_the_command_says_what_to_install() -> None:
    hidden = "import sys; sys.modules['mcp.server'] = None; from app.mcp_server.command import main; main()"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", hidden, env=os.environ | {"REMEMBR_API_KEY": "rk_any"}, stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    assert (process.returncode, "remembr-server[mcp]" in err.decode()) == (1, True)


async def test_without_a_key_the_command_says_what_to_set() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REMEMBR_")}
    process = await asyncio.create_subprocess_exec(COMMAND, env=environment, stderr=asyncio.subprocess.PIPE)
    _, err = await process.communicate()
    assert (process.returncode, "REMEMBR_API_KEY" in err.decode()) == (2, True)
