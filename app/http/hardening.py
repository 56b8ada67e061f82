"""What every answer says to browsers, and how many connections there may be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import hdrs, web

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}
_UNLESS_SAID = {
    hdrs.CACHE_CONTROL: "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n"
    b"Cache-Control: no-store\r\n\r\n"
)


async def protect(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers that keep browsers from guessing, framing and keeping; a signal, so that errors and streams
    have them as well. Source: OWASP HTTP Headers Cheat Sheet, OWASP REST Security Cheat Sheet, 2025."""
    response.headers.update(_ALWAYS)
    for name, value in _UNLESS_SAID.items():
        response.headers.setdefault(name, value)
    # Which release of what answers is nobody's business.
    response.headers.popall(hdrs.SERVER, None)


def at_most(connections: int, server: web.Server) -> Callable[[], asyncio.BaseProtocol]:
    """Protocols for a listening socket: those beyond the limit are answered 503 and closed, so that those that are
    open go on being served. 0: no limit."""

    def accept() -> asyncio.BaseProtocol:
        return _Full() if connections and len(server.connections) >= connections else server()

    return accept


class _Full(asyncio.Protocol):
    """Says that there are too many, before anything is read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(_FULL)
        transport.close()
