"""The OpenAI Agents SDK's session on Remembr.

session = RemembrSession(Clients("http://127.0.0.1:8000/api/v1", "rk_..."), session_id)
await Runner.run(agent, "When do summaries go out?", session=session)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from agents.items import TResponseInputItem
from agents.memory.session import SessionABC
from agents.memory.session_settings import SessionSettings

from app.adapters import conversations
from app.adapters.conversations import Message
from app.client import Clients

__all__ = ["Clients", "RemembrSession"]

_FRAMEWORK = "openai_agents"


class RemembrSession(SessionABC):
    """The items of one session. session_id: of Remembr. What others stored in it comes as messages.

    `await RemembrSession.start(clients)` begins a new one.
    """

    session_settings: SessionSettings | None = None

    def __init__(self, clients: Clients, session_id: str, *, settings: SessionSettings | None = None) -> None:
        self._clients = clients
        self.session_id = session_id
        self.session_settings = settings

    @classmethod
    async def start(cls, clients: Clients, **metadata: Any) -> RemembrSession:
        """A new session. Raises ApiError."""
        return cls(clients, await clients.run_async(conversations.start({"source": _FRAMEWORK} | metadata)))

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """All items, or the latest so many, oldest first. Raises ApiError."""
        if limit is None and self.session_settings is not None:
            limit = self.session_settings.limit
        read = conversations.read(self.session_id, _FRAMEWORK, limit)
        return [_shown(message) for message in await self._clients.run_async(read)]

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """Add them in this order. Raises ApiError."""
        kept = [_kept(cast("dict[str, Any]", item)) for item in items]
        await self._clients.run_async(conversations.add(self.session_id, _FRAMEWORK, kept))

    async def pop_item(self) -> TResponseInputItem | None:
        """Take the latest out, if there is one. Raises ApiError."""
        latest = await self._clients.run_async(conversations.read(self.session_id, _FRAMEWORK, 1))
        if not latest:
            return None
        await self._clients.run_async(conversations.forget(latest[0].episode_id))
        return _shown(latest[0])

    async def clear_session(self) -> None:
        """Delete all of them; they can be restored for a while. Raises ApiError."""
        await self._clients.run_async(conversations.clear(self.session_id))


def _kept(item: dict[str, Any]) -> Message:
    role, text = str(item.get("role") or item.get("type") or "item"), _text_of(item)
    if item.get("content") == text and text:
        return Message(role, text, {name: value for name, value in item.items() if name != "content"})
    return Message(role, text or f"({role})", item)


def _text_of(item: Mapping[str, Any]) -> str:
    """What somebody would look for."""
    content = item.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(str(part["text"]) for part in content if isinstance(part, dict) and part.get("text"))
    if item.get("name"):
        return f"calls {item['name']} {item.get('arguments', '')}".strip()
    output = item.get("output")
    return output if isinstance(output, str) else json.dumps(output, ensure_ascii=False) if output else ""


def _shown(message: Message) -> TResponseInputItem:
    if message.whole is None:
        return cast("TResponseInputItem", {"role": message.role, "content": message.text})
    whole = dict(message.whole)
    if not {"content", "arguments", "output"} & set(whole) and "role" in whole:
        whole["content"] = message.text
    return cast("TResponseInputItem", whole)
