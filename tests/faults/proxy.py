"""A TCP proxy between the service and an engine, which can be as bad as a network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

Weather = Literal["fair", "slow", "cut", "black hole", "cut answers"]
"""slow: each piece waits. cut: connections end at once. black hole: they stay open, and nothing comes. cut answers:
what is sent arrives, and the connection ends in place of an answer."""

_PIECE = 65_536
_SLOW_S = 0.15


class Proxy:
    """Hands on what comes, as the weather is."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self.weather: Weather = "fair"
        self._something_comes = asyncio.Event()
        self._something_comes.set()
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """As the target's, by this proxy."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return urlunsplit(self._target._replace(netloc=f"127.0.0.1:{port}"))

    def change(self, weather: Weather) -> None:
        """From now on, for connections that are open too."""
        self.weather = weather
        if weather == "black hole":
            self._something_comes.clear()
        else:
            self._something_comes.set()
        if weather == "cut":
            for writer in list(self._open):
                writer.transport.abort()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.weather == "cut":
            writer.transport.abort()
            return
        self._open.add(writer)
        try:
            theirs, ours = await asyncio.open_connection(self._target.hostname, self._target.port)
        except OSError:
            self._open.discard(writer)
            writer.transport.abort()
            return
        self._open.add(ours)
        try:
            await asyncio.gather(self._pump(reader, ours, answers=False), self._pump(theirs, writer, answers=True))
        finally:
            for each in (writer, ours):
                self._open.discard(each)
                each.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool) -> None:
        try:
            while piece := await source.read(_PIECE):
                if self.weather == "slow":
                    await asyncio.sleep(_SLOW_S)
                await self._something_comes.wait()
                if self.weather == "cut" or (self.weather == "cut answers" and answers):
                    break
                sink.write(piece)
                await sink.drain()
        except OSError:
            pass  # Either end is gone; so is the other.
        sink.transport.abort()


@asynccontextmanager
async def proxied(target: str) -> AsyncIterator[Proxy]:
    """A proxy in front of `target`, in fair weather."""
    proxy = Proxy(target)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
