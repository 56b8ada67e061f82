"""A receiver of webhooks on loopback, which can be down."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections import Counter
from typing import Any

import orjson
from aiohttp import web
from standardwebhooks import Webhook


class Receiver:
    """Verifies what it is sent, both ways, and counts events by id. delay_s: how long it takes to answer."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.secret = ""
        self.seen: Counter[str] = Counter()
        self.payloads: dict[str, Any] = {}
        self._delay_s = delay_s
        self._port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it listens; the same after it was down."""
        return f"http://127.0.0.1:{self._port}/hook"

    async def start(self) -> None:
        """Listen."""
        app = web.Application()
        app.router.add_post("/hook", self._receive)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Listen no more: connections are refused."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        digest = hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
        if request.headers["X-Remembr-Signature"] != f"sha256={digest}":
            return web.Response(status=401)
        # Raises, and so answers 500, where the signature isn't right.
        Webhook(self.secret).verify(body, {name.lower(): value for name, value in request.headers.items()})
        event = orjson.loads(body)
        assert event["id"] == request.headers["webhook-id"]
        self.seen[event["id"]] += 1
        self.payloads[event["id"]] = event
        await asyncio.sleep(self._delay_s)
        return web.Response()
