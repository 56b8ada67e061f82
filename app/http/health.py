"""Probes for people, load balancers and scripts; served at the root and under the API's base."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiohttp import web

from app import __version__
from app.http.requests import CONTAINER, DRAINING
from app.http.responses import bare
from app.http.routing import BareRoute


@dataclass(frozen=True, slots=True)
class Health:
    """The process answers."""

    status: str


@dataclass(frozen=True, slots=True)
class Liveness:
    """The process answers, and which release it is."""

    status: str
    version: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """What was looked at, and whether it answers."""

    status: str
    checks: dict[str, bool]


@dataclass(frozen=True, slots=True)
class Unreadiness(Readiness):
    """What is missing, by name."""

    missing: list[str]


async def health(request: web.Request) -> web.Response:
    """The process answers."""
    return bare(Health("ok"))


async def live(request: web.Request) -> web.Response:
    """The process answers, and which release it is."""
    return bare(Liveness("ok", __version__))


async def ready(request: web.Request) -> web.Response:
    """200 when Elasticsearch and Redis answer and the model is loaded, else 503 with what is missing; 503 as well
    when the server is about to stop."""
    checks = await asyncio.shield(request.app[CONTAINER].check())
    if request.app[DRAINING].is_set():
        return bare(Unreadiness("stopping", checks, []), 503)
    missing = sorted(name for name, answers in checks.items() if not answers)
    if missing:
        return bare(Unreadiness("unavailable", checks, missing), 503)
    return bare(Readiness("ok", checks))


PROBES = (
    BareRoute("/health", health, {200: Health}),
    BareRoute("/health/live", live, {200: Liveness}),
    BareRoute("/health/ready", ready, {200: Readiness, 503: Unreadiness}),
)
