"""Probes for people, load balancers and scripts; served at the root and under the API's base."""

from __future__ import annotations

import asyncio

from aiohttp import web

from app import __version__
from app.http.requests import CONTAINER
from app.http.responses import bare


async def health(request: web.Request) -> web.Response:
    """The process answers."""
    return bare({"status": "ok"})


async def live(request: web.Request) -> web.Response:
    """The process answers, and which release it is."""
    return bare({"status": "ok", "version": __version__})


async def ready(request: web.Request) -> web.Response:
    """200 when Elasticsearch and Redis answer and the model is loaded, else 503 with what is missing."""
    checks = await asyncio.shield(request.app[CONTAINER].check())
    missing = sorted(name for name, answers in checks.items() if not answers)
    if missing:
        return bare({"status": "unavailable", "checks": checks, "missing": missing}, 503)
    return bare({"status": "ok", "checks": checks})


PROBES = {"/health": health, "/health/live": live, "/health/ready": ready}
