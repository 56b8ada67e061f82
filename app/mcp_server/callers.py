"""Who asks, and the REST client that asks in their name."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any

from mcp.server.context import HandlerResult, ServerRequestContext
from mcp.server.mcpserver.exceptions import ToolError

from app.client import ApiError, AsyncRemembr

_KEPT = 64
"""Callers over HTTP whose connections are kept."""

_credential: ContextVar[str | None] = ContextVar("credential", default=None)


class Callers:
    """REST clients by credential. own: that of whoever started this process; None where each request brings one."""

    def __init__(self, base_url: str, own: str | None) -> None:
        self._base_url = base_url
        self._own = own
        self._clients: OrderedDict[str, AsyncRemembr] = OrderedDict()

    async def note(
        self,
        ctx: ServerRequestContext[Any, Any],
        call_next: Callable[[ServerRequestContext[Any, Any]], Awaitable[HandlerResult]],
    ) -> HandlerResult:
        """Middleware: all that handles this message asks as its sender. Over stdio there is only one."""
        _credential.set(self._own if ctx.request is None else _bearer(ctx.request.headers))
        return await call_next(ctx)

    async def call(self, method: str, path: str, body: Any = None, query: Mapping[str, Any] | None = None) -> Any:
        """`data` of the REST API's answer to whoever asks. Raises ToolError in the API's words."""
        client = await self._client()
        try:
            return await client.call(method, path, body=body, query=query)
        except ApiError as error:
            raise ToolError(str(error)) from error

    async def _client(self) -> AsyncRemembr:
        credential = _credential.get()
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


def _bearer(headers: Mapping[str, str]) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
