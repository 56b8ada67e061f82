"""Callers who mean no good: slow, many, deep, long or malformed; and what browsers are told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from app.http.hardening import at_most
from app.main import BASE_PATH
from app.server import serve
from app.settings import Settings
from tests.client import Client
from tests.conftest import serving

ANSWER_S = 10.0
HEAD = "POST /api/v1/memory HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer {key}\r\n"


@asynccontextmanager
async def raw(base_url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A socket to the server."""
    parts = urlsplit(base_url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def answer(base_url: str, sent: bytes) -> bytes:
    """All that comes back until the server closes or says no more."""
    async with raw(base_url) as (reader, writer):
        writer.write(sent)
        await writer.drain()
        return await asyncio.wait_for(reader.read(65_536), ANSWER_S)


def key_of(client: Client) -> str:
    return client.http.headers["Authorization"].removeprefix("Bearer ")


@pytest.mark.parametrize("path", ["/health", "/openapi.json", "/docs", "/memory", "/no-such-path"])
async def test_every_answer_keeps_browsers_from_guessing_framing_and_keeping(anonymous: Client, path: str) -> None:
    headers = (await anonymous.send("GET", path)).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store" or path in ("/openapi.json", "/docs")
    assert "Server" not in headers


async def test_a_body_that_drips_is_given_up_and_its_connection_ends(settings: Settings, organisation: Client) -> None:
    async with serving(settings.model_copy(update={"body_timeout_s": 0.3})) as url, raw(url) as (reader, writer):
        writer.write((HEAD.format(key=key_of(organisation)) + "Content-Length: 1000\r\n\r\n{").encode())
        status = await asyncio.wait_for(reader.readline(), ANSWER_S)
        assert b" 408 " in status
        rest = await asyncio.wait_for(reader.readuntil(b"REQUEST_TIMEOUT"), ANSWER_S)
        assert b"Connection: close" in rest


async def test_connections_beyond_the_limit_are_answered_and_those_within_go_on(settings: Settings) -> None:
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(serve(settings.model_copy(update={"max_connections": 2}), ready))
    port = await ready
    url = f"http://127.0.0.1:{port}{BASE_PATH}"
    try:
        async with httpx.AsyncClient(base_url=url) as one, httpx.AsyncClient(base_url=url) as two:
            assert [(await each.get("/health")).status_code for each in (one, two)] == [200, 200]
            refused = await answer(url, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert refused.startswith(b"HTTP/1.1 503")
            assert b"Retry-After: 1" in refused
            assert [(await each.get("/health")).status_code for each in (one, two)] == [200, 200]
        until = time.monotonic() + ANSWER_S
        while b" 200 " not in await answer(url, b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):
            assert time.monotonic() < until
            await asyncio.sleep(0.05)
    finally:
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)


def test_zero_is_no_limit() -> None:
    class Crowded:
        connections = range(1_000_000)

        def __call__(self) -> str:
            return "served"

    assert at_most(0, Crowded())() == "served"  # type: ignore[arg-type, comparison-overlap]
    assert at_most(1_000_000, Crowded())() != "served"  # type: ignore[arg-type, comparison-overlap]


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 1_500 + b"]" * 1_500,
        b'{"metadata":' + b'{"a":' * 400 + b"1" + b"}" * 401,
    ],
    ids=["open lists", "open objects", "closed lists", "deep metadata"],
)  # fmt: skip
async def test_nesting_without_end_is_a_refusal(organisation: Client, body: bytes) -> None:
    response = await organisation.send("POST", "/memory", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in (400, 422)
    assert (await organisation.send("GET", "/me")).status_code == 200


async def test_thousands_of_fields_are_no_mapping_explosion(organisation: Client) -> None:
    metadata = {f"field{n}": n for n in range(5_000)}
    body = {"role": "user", "content": "many fields", "metadata": metadata}
    response = await organisation.send("POST", "/memory", json=body)
    assert response.status_code in (201, 422)
    await organisation.store("still here")
    assert await organisation.contents("still here") == ["still here"]


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /api/v1/me HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /api/v1/me HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(5_000)) + b"\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/v1/me HTTP/1.1\r\nHost: x\r\nBad\x00Header: a\r\n\r\n",
        b"POST /api/v1/memory HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n{}\r\n",
        b"POST /api/v1/memory HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/v1/memory HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/memory HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"G",
    ],
    ids=[
        "long header", "many headers", "long path", "NUL in a header", "two lengths", "length and chunks",
        "negative length", "bad chunk", "TLS", "hardly anything",
    ],
)  # fmt: skip
async def test_what_is_no_request_is_refused_or_dropped_and_harms_nobody(
    base_url: str, organisation: Client, sent: bytes
) -> None:
    async with raw(base_url) as (reader, writer):
        writer.write(sent)
        writer.write_eof()
        got = await asyncio.wait_for(reader.read(65_536), ANSWER_S)
    assert got == b"" or got.split()[1][:1] == b"4", got[:200]
    assert b"Traceback" not in got
    assert (await organisation.send("GET", "/me")).status_code == 200


async def test_a_header_cannot_be_made_to_appear(organisation: Client) -> None:
    response = await organisation.send("GET", "/me", headers={"X-Request-ID": "a%0d%0aSet-Cookie: b"})
    assert "Set-Cookie" not in response.headers
