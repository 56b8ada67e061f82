"""Who asks, and the REST client that asks in their name."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from mcp.server.mcpserver.exceptions import ToolError

from app.client import AsyncRemembr

_KEPT = 64
"""Callers over HTTP whose connections are kept."""


class Callers:
    """REST clients by credential. own: that of whoever started this process; None where each request brings one."""

    def __init__(self, base_url: str, own: str | None) -> None:
        self._base_url = base_url
        self._own = own
        self._clients: OrderedDict[str, AsyncRemembr] = OrderedDict()

    async def of(self, request: Any) -> AsyncRemembr:
        """The caller's. request: the HTTP request, or None over stdio. Raises ToolError without a credential."""
        credential = self._own if request is None else _credential(request.headers)
        if not credential:
            raise ToolError("Send an API key of Remembr with each request: Authorization: Bearer rk_...")
        client = self._clients.pop(credential, None) or AsyncRemembr(self._base_url, credential)
        self._clients[credential] = client
        if len(self._clients) > _KEPT:
            _, oldest = self._clients.popitem(last=False)
            await oldest.close()
        return client

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.close()
        self._clients.clear()


def _credential(headers: Mapping[str, str]) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
