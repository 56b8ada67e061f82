"""Answers of any length: sent as they are made, at the reader's pace, and never ended as if whole."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from aiohttp import web

log = logging.getLogger(__name__)

_PIECE_BYTES = 64 * 1024


class Encoder(Protocol):
    """Compresses a body piece by piece."""

    def compress(self, data: bytes, /) -> bytes:
        """What can be sent of it now."""

    def flush(self) -> bytes:
        """The rest."""


class Stream(web.StreamResponse):
    """A file sent chunk by chunk. It isn't prepared by the handler that makes it, so that every
    middleware can add headers to it.

    stall_s: how long the reader may take over 64 KiB. max_s: how long the whole may take. A failure
    of any kind breaks the connection: the reader must not take a part for the whole.
    """

    def __init__(
        self,
        chunks: AsyncGenerator[bytes, None],
        *,
        content_type: str,
        filename: str,
        stall_s: float,
        max_s: float,
    ) -> None:
        super().__init__()
        self.content_type = content_type
        self.charset = "utf-8"
        self.headers["Content-Disposition"] = f'attachment; filename="{filename}"'
        self._chunks = chunks
        self._stall_s = stall_s
        self._max_s = max_s
        self._encoder: Encoder | None = None

    def encode(self, encoder: Encoder) -> None:
        """Send it encoded; the header that says so is the caller's."""
        self._encoder = encoder

    async def write_eof(self, data: bytes = b"") -> None:
        """Send everything, then end."""
        if self._eof_sent:
            return
        try:
            async with asyncio.timeout(self._max_s), aclosing(self._chunks) as chunks:
                async for chunk in chunks:
                    await self._send(await asyncio.to_thread(self._encoder.compress, chunk) if self._encoder else chunk)
                if self._encoder:
                    await self._send(self._encoder.flush())
        except ConnectionError:
            log.info("the reader of a stream went away")
            raise
        except TimeoutError:
            log.warning("the reader of a stream was too slow")
            raise self._broken() from None
        except Exception as error:
            log.exception("a stream broke off")
            raise self._broken() from error
        await super().write_eof(data)

    async def _send(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        for start in range(0, len(view), _PIECE_BYTES):
            async with asyncio.timeout(self._stall_s):
                await self.write(view[start : start + _PIECE_BYTES])

    def _broken(self) -> ConnectionError:
        """Cut the connection at once: what waits to be sent is dropped and the body gets no end."""
        if self._req is not None and self._req.transport is not None:
            self._req.transport.abort()
        return ConnectionAbortedError("the stream was broken off")
