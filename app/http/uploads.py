"""Request bodies of any length: lines read as they come, never the whole at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from aiohttp import web

from app.errors import BadRequest, PayloadTooLarge, UnsupportedMediaType
from app.ndjson import Line, LineSplitter

_BATCH_LINES = 500
_BATCH_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """body_max, line_max: bytes. stall_s: how long the sender may be silent. max_s: how long it may take in all."""

    body_max: int
    line_max: int
    stall_s: float
    max_s: float


async def line_batches(
    request: web.Request, media_types: Sequence[str], limits: UploadLimits
) -> AsyncGenerator[list[Line], None]:
    """The body's lines, up to 500 or about 2 MiB at a time. media_types: that are taken, the proper one first.

    Raises UnsupportedMediaType and, maybe in the middle, PayloadTooLarge or BadRequest.
    """
    if request.content_type not in media_types:
        raise UnsupportedMediaType(f"Send the body with the header Content-Type: {media_types[0]}.")
    if (request.content_length or 0) > limits.body_max:
        raise _too_large(limits.body_max)
    splitter = LineSplitter(limits.line_max)
    batch: list[Line] = []
    held = 0
    async for data in _chunks(request, limits):
        for line in splitter.feed(data):
            batch.append(line)
            held += len(line.text or b"")
            if len(batch) == _BATCH_LINES or held >= _BATCH_BYTES:
                yield batch
                batch, held = [], 0
    batch += splitter.end()
    if batch:
        yield batch


async def _chunks(request: web.Request, limits: UploadLimits) -> AsyncGenerator[bytes, None]:
    loop = asyncio.get_running_loop()
    latest = loop.time() + limits.max_s
    received = 0
    while True:
        try:
            async with asyncio.timeout_at(min(latest, loop.time() + limits.stall_s)):
                data = await request.content.readany()
        except TimeoutError:
            message = "The body came too slowly. What came whole is stored; send the rest, or all of it again."
            raise BadRequest(message, code="BODY_TOO_SLOW") from None
        except (ConnectionError, web.RequestPayloadError) as error:
            raise BadRequest("The body broke off or can't be unpacked.", code="BODY_BROKEN") from error
        if not data:
            return
        received += len(data)
        if received > limits.body_max:
            raise _too_large(limits.body_max)
        yield data


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is larger than {limit} bytes. Send it in parts, cut between lines.")
