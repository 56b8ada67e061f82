"""The tools and resources. Each is one or two calls of the REST API, in the name and scope of the key that asks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError
from mcp.types import Resource, ToolAnnotations
from pydantic import Field

from app.client import ApiError
from app.mcp_server.callers import Callers
from app.mcp_server.models import (
    Checkpoint,
    Checkpoints,
    Forgotten,
    Memories,
    Memory,
    Message,
    Remembered,
    Restored,
    Session,
    Sessions,
    Turn,
    Window,
)

_INSTRUCTIONS = (
    "Long-term memory. Search it before you answer what may depend on earlier conversations, and remember what will"
    " matter later: preferences, decisions, facts about people. Keep one session for each conversation."
)
_LISTED = 100
_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_ADDS = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)
_TAKES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)

Call = Callable[..., Awaitable[Any]]

SessionId = Annotated[str, Field(description="Id of a session.")]
MaybeSession = Annotated[str | None, Field(description="Id of a session; left out, no session or all of them.")]
TagList = Annotated[list[str], Field(description="Tags, mostly of the form key:value.")]


def build(callers: Callers) -> MCPServer:
    """The server, not running yet. callers: closed when it stops."""

    @asynccontextmanager
    async def lifespan(_server: MCPServer) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await callers.close()

    server = _Server(
        "remembr",
        title="Remembr",
        instructions=_INSTRUCTIONS,
        version=version("remembr-server"),
        lifespan=lifespan,
        log_level="WARNING",
        middleware=[callers.note],
    )
    server.callers = callers
    _memory_tools(server, callers.call)
    _session_tools(server, callers.call)
    _resources(server, callers.call)
    return server


class _Server(MCPServer):
    """Lists the caller's own sessions as resources."""

    callers: Callers

    async def list_resources(self) -> list[Resource]:
        """The newest sessions, beside the list of them."""
        listed = await self.callers.call("GET", "/sessions", query={"limit": _LISTED})
        sessions = Sessions.model_validate(listed).sessions
        return [*await super().list_resources(), *(_as_resource(session) for session in sessions)]


def _as_resource(session: Session) -> Resource:
    title = session.metadata.get("title") or session.metadata.get("name")
    return Resource(
        uri=f"remembr://sessions/{session.session_id}",
        name=session.session_id,
        title=str(title) if title else None,
        description=f"{session.message_count} messages since {session.created_at:%Y-%m-%d %H:%M} UTC",
        mime_type="application/json",
    )


def _memory_tools(server: MCPServer, call: Call) -> None:
    @server.tool(title="Remember", annotations=_ADDS)
    async def remember(
        content: Annotated[str, Field(description="What was said or found out, in full sentences.", min_length=1)],
        role: Annotated[str, Field(description="Who said it: user, assistant, system or another.")] = "user",
        session_id: MaybeSession = None,
        tags: TagList = [],  # noqa: B006 - read, and part of the schema
        metadata: Annotated[dict[str, Any], Field(description="Anything to keep beside it.")] = {},  # noqa: B006
    ) -> Remembered:
        """Store something for later. It is found by every search from now on."""
        body = {"content": content, "role": role, "session_id": session_id, "tags": tags, "metadata": metadata}
        return Remembered.model_validate(await call("POST", "/memory", body))

    @server.tool(title="Search memory", annotations=_READS)
    async def search(
        query: Annotated[str, Field(description="What to look for, as a question or in words.")],
        limit: Annotated[int, Field(description="How many at most.", ge=1, le=50)] = 5,
        neighbours: Annotated[
            int, Field(description="How many turns before and after each result to show.", ge=0, le=10)
        ] = 1,
        session_id: MaybeSession = None,
        role: Annotated[str | None, Field(description="Only what this role said.")] = None,
        tags: TagList = [],  # noqa: B006
        from_time: Annotated[str | None, Field(description="Only what was said since: ISO 8601.")] = None,
        to_time: Annotated[str | None, Field(description="Only what was said until: ISO 8601.")] = None,
    ) -> Memories:
        """Find what was said before, by meaning, words and recency, with what was said around it."""
        body = {
            "query": query,
            "limit": limit,
            "include_context": neighbours,
            "session_id": session_id,
            "role": role,
            "tags": tags,
            "from_time": from_time,
            "to_time": to_time,
        }
        found = await call("POST", "/memory/search", body)
        return Memories(memories=[_memory(result) for result in found["results"]], total=found["total"])

    @server.tool(title="Forget", annotations=_TAKES)
    async def forget(
        episode_id: Annotated[str | None, Field(description="Forget one episode.")] = None,
        session_id: Annotated[str | None, Field(description="Or forget all of a session.")] = None,
    ) -> Forgotten:
        """Take an episode, or everything of a session, out of every read. It can be restored for 30 days."""
        if (episode_id is None) == (session_id is None):
            raise ToolError("Name an episode_id or a session_id, and not both.")
        if episode_id is not None:
            gone = await call("DELETE", f"/memory/{episode_id}")
            return Forgotten(episodes=1, restorable_until=gone["restorable_until"])
        gone = await call("DELETE", f"/memory/session/{session_id}")
        return Forgotten(episodes=gone["deleted_count"], restorable_until=gone["restorable_until"])


def _session_tools(server: MCPServer, call: Call) -> None:
    @server.tool(title="Start a session", annotations=_ADDS)
    async def start_session(
        title: Annotated[str, Field(description="What the conversation is about.")] = "",
    ) -> Session:
        """Begin a conversation, to remember its turns in."""
        return Session.model_validate(await call("POST", "/sessions", {"metadata": {"title": title} if title else {}}))

    @server.tool(title="List sessions", annotations=_READS)
    async def list_sessions(
        limit: Annotated[int, Field(description="How many at most.", ge=1, le=100)] = 20,
    ) -> Sessions:
        """The conversations there are, newest first."""
        return Sessions.model_validate(await call("GET", "/sessions", query={"limit": limit}))

    @server.tool(title="Recall a session", annotations=_READS)
    async def recall_session(session_id: SessionId) -> Window:
        """What of a conversation fits its token budget, oldest first: enough to go on with it."""
        return _window(await call("GET", f"/sessions/{session_id}"))

    @server.tool(title="Make a checkpoint", annotations=_ADDS)
    async def checkpoint(session_id: SessionId) -> Checkpoint:
        """Keep a session's window as it is now, to go back to it later."""
        return Checkpoint.model_validate(await call("POST", f"/sessions/{session_id}/checkpoint"))

    @server.tool(title="List checkpoints", annotations=_READS)
    async def list_checkpoints(session_id: SessionId) -> Checkpoints:
        """The checkpoints of a session, newest first."""
        return Checkpoints.model_validate(await call("GET", f"/sessions/{session_id}/checkpoints"))

    @server.tool(title="Go back to a checkpoint", annotations=_TAKES)
    async def restore_checkpoint(
        session_id: SessionId, checkpoint_id: Annotated[str, Field(description="Id of a checkpoint.")]
    ) -> Restored:
        """Make a session's window what it was at a checkpoint. What was said since stays in its history."""
        body = {"checkpoint_id": checkpoint_id}
        restored = await call("POST", f"/sessions/{session_id}/restore", body)
        return Restored(
            message_count=restored["restored_message_count"], checkpoint_created_at=restored["checkpoint_created_at"]
        )


def _resources(server: MCPServer, call: Call) -> None:
    async def read(path: str, query: Any = None) -> Any:
        try:
            return await call("GET", path, query=query)
        except ToolError as error:
            cause = error.__cause__
            gone = isinstance(cause, ApiError) and cause.status == 404
            raise (ResourceNotFoundError if gone else ResourceError)(str(error)) from cause

    @server.resource("remembr://sessions", title="Sessions", mime_type="application/json")
    async def sessions() -> str:
        """The newest hundred sessions."""
        listed = Sessions.model_validate(await read("/sessions", {"limit": _LISTED}))
        return listed.model_dump_json(indent=2)

    @server.resource("remembr://sessions/{session_id}", title="A session's window", mime_type="application/json")
    async def session(session_id: str) -> str:
        """What of a conversation fits its token budget."""
        return _window(await read(f"/sessions/{session_id}")).model_dump_json(indent=2)

    @server.resource("remembr://sessions/{session_id}/history", title="A session's history", mime_type="text/plain")
    async def history(session_id: str) -> str:
        """The newest 500 turns of a conversation, oldest first, as lines."""
        past = await read(f"/sessions/{session_id}/history", {"limit": 500})
        return "\n".join(f"{turn['role']}: {turn['content']}" for turn in past["episodes"])


def _memory(result: dict[str, Any]) -> Memory:
    around = result.pop("context", None) or {"before": [], "after": []}
    before, after = ([Turn.model_validate(turn) for turn in around[side]] for side in ("before", "after"))
    return Memory.model_validate(result | {"before": before, "after": after})


def _window(answer: dict[str, Any]) -> Window:
    messages = [Message.model_validate(message) for message in answer["messages"]]
    session = Session.model_validate(answer["session"] | {"message_count": len(messages)})
    used = answer["token_usage"]
    return Window(session=session, messages=messages, tokens_used=used["used"], tokens_max=used["max"])
