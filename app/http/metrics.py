"""/metrics, at the root: for Prometheus, and not part of the API."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

from aiohttp import web

from app import metrics
from app.crypto import same
from app.errors import AuthenticationError, NotFound
from app.http.requests import CONTAINER

PATH = "/metrics"


async def read(request: web.Request) -> web.Response:
    """What this machine's processes have measured.

    With REMEMBR_METRICS_TOKEN whoever sends it, without it only callers on this machine. Raises NotFound and
    AuthenticationError.
    """
    token = request.app[CONTAINER].settings.metrics_token
    if token is None and not _is_from_here(request):
        raise NotFound("There is nothing at this path.")
    if token is not None:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if not same(given, token.get_secret_value()):
            raise AuthenticationError("Send the token of REMEMBR_METRICS_TOKEN: Authorization: Bearer <token>.")
    body = await asyncio.to_thread(metrics.text)
    return web.Response(body=body, headers={"Content-Type": metrics.CONTENT_TYPE})


def _is_from_here(request: web.Request) -> bool:
    # What a proxy on this machine hands on comes from elsewhere.
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    try:
        return ip_address(request.remote or "").is_loopback
    except ValueError:
        return False
