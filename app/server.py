"""Running the application: one process that listens until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from contextlib import closing

from aiohttp import web
from threadpoolctl import threadpool_limits

from app.http.hardening import at_most
from app.http.requests import DRAINING
from app.main import BASE_PATH, create_app
from app.migrate import migrate
from app.settings import Settings

log = logging.getLogger(__name__)

# Requests under way may finish; Elasticsearch's own time-out is longer, and its writes are safe either way.
SHUTDOWN_TIMEOUT_S = 5.0
_KEEPALIVE_S = 75.0
_BACKLOG = 1024


def loop_factory() -> asyncio.AbstractEventLoop:
    """uvloop's event loop where it exists, else asyncio's own."""
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; then finish what is under way. Raises EngineError, OSError for a taken port."""
    # A product of small matrices gains nothing from more, and those that wait for the next one take a core meanwhile.
    threadpool_limits(1, "blas")
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(serve(settings))


async def serve(settings: Settings, ready: asyncio.Future[int] | None = None) -> None:
    """The same within a running loop, indices brought up to date first. ready: is given the port once it listens."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await migrate(settings)
    app = create_app(settings)
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=SHUTDOWN_TIMEOUT_S,
        keepalive_timeout=_KEEPALIVE_S,
    )
    await runner.setup()
    try:
        assert runner.server is not None
        listening = await loop.create_server(
            at_most(settings.max_connections, runner.server),
            settings.host,
            settings.port,
            reuse_port=settings.workers > 1 or None,
            backlog=_BACKLOG,
        )
        with closing(listening):
            port: int = listening.sockets[0].getsockname()[1]
            log.info("listening", extra={"url": f"http://{settings.host}:{port}{BASE_PATH}"})
            if ready is not None:
                ready.set_result(port)
            await stop.wait()
            app[DRAINING].set()
            log.info("stopping", extra={"drain_s": settings.drain_s})
            await asyncio.sleep(settings.drain_s)
    finally:
        await runner.cleanup()
