"""The web application: middlewares, routes of each slice, and what they need. No I/O before start-up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from app.audit.routes import routes as audit_routes
from app.auth.routes import routes as auth_routes
from app.checkpoints.routes import routes as checkpoint_routes
from app.console import CONSOLE
from app.container import open_container
from app.episodes.routes import routes as episode_routes
from app.forgetting.routes import routes as forgetting_routes
from app.http import metrics
from app.http.compression import compression
from app.http.cors import allow_origin, preflights
from app.http.docs import docs_routes
from app.http.hardening import protect
from app.http.health import PROBES
from app.http.middlewares import PUBLIC, authentication, errors, request_ids
from app.http.rate_limits import rate_limits, show_limits
from app.http.requests import CONTAINER, DRAINING
from app.http.routing import Route
from app.sessions.routes import routes as session_routes
from app.settings import Settings
from app.transfer.routes import routes as transfer_routes
from app.webhooks.routes import routes as webhook_routes

BASE_PATH = "/api/v1"

ROUTES: tuple[Route, ...] = (
    *auth_routes.all,
    *session_routes.all,
    *checkpoint_routes.all,
    *episode_routes.all,
    *forgetting_routes.all,
    *webhook_routes.all,
    *transfer_routes.all,
    *audit_routes.all,
)
"""Every route of the API, relative to BASE_PATH."""

DOCS = docs_routes(ROUTES, PROBES, BASE_PATH)
"""Where the routes are described, relative to BASE_PATH."""


def create_app(settings: Settings) -> web.Application:
    """The application; it connects and loads its model when it starts."""
    app = web.Application(
        middlewares=[request_ids, compression, preflights, errors, authentication, rate_limits],
        client_max_size=settings.body_max_bytes,
    )
    public = {(route.method, BASE_PATH + route.path) for route in ROUTES if route.public}
    for route in ROUTES:
        app.router.add_route(route.method, BASE_PATH + route.path, route.serve)
    for base, bare_routes in (("", PROBES), (BASE_PATH, (*PROBES, *DOCS))):
        for bare_route in bare_routes:
            app.router.add_get(base + bare_route.path, bare_route.handler)
            public |= {("GET", base + bare_route.path), ("HEAD", base + bare_route.path)}
    app.router.add_get(metrics.PATH, metrics.read)
    public |= {("GET", metrics.PATH), ("HEAD", metrics.PATH)}
    for page in CONSOLE if settings.console else ():
        app.router.add_get(page.path, page.serve)
        public |= {("GET", page.path), ("HEAD", page.path)}
    app[PUBLIC] = frozenset(public)
    app[DRAINING] = asyncio.Event()

    @asynccontextmanager
    async def container(app: web.Application) -> AsyncIterator[None]:
        async with open_container(settings) as opened:
            app[CONTAINER] = opened
            yield

    app.cleanup_ctx.append(container)
    app.on_response_prepare.append(show_limits)
    app.on_response_prepare.append(allow_origin)
    app.on_response_prepare.append(protect)
    return app
