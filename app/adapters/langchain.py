"""LangChain's chat history on Remembr.

history = RemembrChatMessageHistory(Clients("http://127.0.0.1:8000/api/v1", "rk_..."), session_id)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    message_to_dict,
    messages_from_dict,
)

from app.adapters import conversations
from app.adapters.conversations import Message
from app.client import Clients

__all__ = ["Clients", "RemembrChatMessageHistory"]

_FRAMEWORK = "langchain"
_ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool"}
_BY_ROLE: dict[str, type[BaseMessage]] = {"user": HumanMessage, "assistant": AIMessage, "system": SystemMessage}


class RemembrChatMessageHistory(BaseChatMessageHistory):
    """The messages of one session. session_id: of Remembr; a new session is begun where none is given.

    Messages that others stored in it come as what their role is. Raises ApiError.
    """

    def __init__(self, clients: Clients, session_id: str | None = None) -> None:
        self._clients = clients
        self.session_id = session_id or clients.run(conversations.start({"source": _FRAMEWORK}))

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        """All of them, oldest first. Raises ApiError."""
        return _shown(self._clients.run(conversations.read(self.session_id, _FRAMEWORK)))

    async def aget_messages(self) -> list[BaseMessage]:
        """The same without blocking."""
        return _shown(await self._clients.run_async(conversations.read(self.session_id, _FRAMEWORK)))

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Add them in this order. Raises ApiError."""
        self._clients.run(conversations.add(self.session_id, _FRAMEWORK, _kept(messages)))

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """The same without blocking."""
        await self._clients.run_async(conversations.add(self.session_id, _FRAMEWORK, _kept(messages)))

    def clear(self) -> None:
        """Delete all of them; they can be restored for a while. Raises ApiError."""
        self._clients.run(conversations.clear(self.session_id))

    async def aclear(self) -> None:
        """The same without blocking."""
        await self._clients.run_async(conversations.clear(self.session_id))


def _kept(messages: Sequence[BaseMessage]) -> list[Message]:
    kept = []
    for message in messages:
        whole = message_to_dict(message)
        text = str(message.text)
        if whole["data"]["content"] == text and text:
            del whole["data"]["content"]
        role = message.role if isinstance(message, ChatMessage) else _ROLES.get(message.type, message.type)
        kept.append(Message(role, text or _instead_of_text(message), whole))
    return kept


def _instead_of_text(message: BaseMessage) -> str:
    """An episode says something, and a call of tools has no words."""
    calls: list[Any] = getattr(message, "tool_calls", None) or []
    return ", ".join(f"calls {call['name']}" for call in calls) or f"({message.type} message without text)"


def _shown(messages: Sequence[Message]) -> list[BaseMessage]:
    shown: list[BaseMessage] = []
    for each in messages:
        if each.whole is not None:
            whole = {"type": each.whole["type"], "data": {"content": each.text, **each.whole["data"]}}
            shown += messages_from_dict([whole])
        elif each.role in _BY_ROLE:
            shown.append(_BY_ROLE[each.role](content=each.text))
        else:
            shown.append(ChatMessage(role=each.role, content=each.text))
    return shown
