"""Answers in the coding that a client asks for: zstd or gzip.

Source: RFC 9110, 12.5.3 (Accept-Encoding); RFC 8878 (zstd). Credentials travel in headers, never in answers beside what
others wrote, so that lengths tell nothing (BREACH).
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable

import zstandard
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from app.http.streams import Encoder, Stream

_LEAST_BYTES = 1_000
"""Shorter answers fit a packet as they are."""
_OFF_LOOP_BYTES = 64 * 1024
_GZIP_LEVEL = 4
_ZSTD_LEVEL = 3
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


def _zstd() -> Encoder:
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compressobj()


def _gzip() -> Encoder:
    return zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)


CODINGS: dict[str, Callable[[], Encoder]] = {"zstd": _zstd, "gzip": _gzip}
"""By name, the better first."""


@web.middleware
async def compression(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Encode what is long enough to gain by it. Files are left as they are."""
    response = await handler(request)
    body = _long_body(response)
    if body is None and not isinstance(response, Stream):
        return response
    response.headers.add(hdrs.VARY, hdrs.ACCEPT_ENCODING)
    coding = preferred(request.headers.get(hdrs.ACCEPT_ENCODING, ""))
    if coding is None:
        return response
    response.headers[hdrs.CONTENT_ENCODING] = coding
    encoder = CODINGS[coding]()
    if isinstance(response, Stream):
        response.encode(encoder)
    elif isinstance(response, web.Response) and body is not None:
        in_loop = len(body) < _OFF_LOOP_BYTES
        response.body = _encoded(encoder, body) if in_loop else await asyncio.to_thread(_encoded, encoder, body)
    return response


def _long_body(response: web.StreamResponse) -> bytes | None:
    if isinstance(response, web.Response) and isinstance(response.body, bytes) and len(response.body) >= _LEAST_BYTES:
        return response.body
    return None


def _encoded(encoder: Encoder, body: bytes) -> bytes:
    return encoder.compress(body) + encoder.flush()


def preferred(accept_encoding: str) -> str | None:
    """The coding of highest weight, of equals the better one; None for none."""
    weights = {}
    for item in accept_encoding.split(","):
        name, _, parameter = item.partition(";")
        weights[name.strip().lower()] = _weight(parameter)
    others = weights.get("*", 0.0)
    offered = {coding: weights.get(coding, others) for coding in CODINGS}
    best = max(offered, key=lambda coding: offered[coding])
    return best if offered[best] > 0 and offered[best] >= weights.get("identity", 0.0) else None


def _weight(parameter: str) -> float:
    name, _, value = parameter.partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
