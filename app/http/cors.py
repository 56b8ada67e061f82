"""Cross-origin requests of browsers: off unless origins are set.

Source: Fetch, "CORS protocol" (https://fetch.spec.whatwg.org/#http-cors-protocol).
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler

from app.http.requests import CONTAINER

_METHODS = "GET, POST, PATCH, DELETE"
_REQUEST_HEADERS = "X-API-Key, Authorization, Content-Type, Idempotency-Key"
# Named one by one: a part of a name with a wildcard means nothing to browsers.
_EXPOSED = (
    "X-Request-ID, Retry-After, X-Idempotent-Replay, X-Idempotency-Key-Reused, RateLimit-Limit,"
    " RateLimit-Remaining, RateLimit-Reset, Content-Disposition"
)
_PREFLIGHT_LIFE_S = 600
_ANY = "*"


@web.middleware
async def preflights(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a browser that asks whether it may, before anything asks who it is."""
    asks = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
    if not asks or _allowed(request) is None:
        return await handler(request)
    headers = {
        "Access-Control-Allow-Methods": _METHODS,
        "Access-Control-Allow-Headers": _REQUEST_HEADERS,
        "Access-Control-Max-Age": str(_PREFLIGHT_LIFE_S),
    }
    return web.Response(status=204, headers=headers)


async def allow_origin(request: web.Request, response: web.StreamResponse) -> None:
    """Let the page that asked read the answer; a signal, so that errors and streams are read as well."""
    origins = request.app[CONTAINER].settings.allowed_origins
    if not origins:
        return
    if _ANY not in origins:
        # What is answered to one origin must not be kept for another.
        response.headers.add("Vary", "Origin")
    allowed = _allowed(request)
    if allowed is not None:
        response.headers["Access-Control-Allow-Origin"] = allowed
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED


def _allowed(request: web.Request) -> str | None:
    origin = request.headers.get("Origin")
    origins = request.app[CONTAINER].settings.allowed_origins
    if origin is None or not origins:
        return None
    if _ANY in origins:
        return _ANY
    return origin if origin in origins else None
