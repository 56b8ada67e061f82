"""Answers in the coding that the client asks for."""

from __future__ import annotations

import json
import zlib

import httpx
import pytest
import zstandard

from app.http.compression import CODINGS, preferred
from tests.client import Client

LONG = "A long letter about the garden. " * 100


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("", None),
        ("identity", None),
        ("br, deflate", None),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("gzip, deflate", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("gzip;q=0", None),
        ("zstd;q=0, gzip ; q=0.2", "gzip"),
        ("*", "zstd"),
        ("*;q=0", None),
        ("zstd;q=0, *;q=0.1", "gzip"),
        ("gzip;q=0.5, identity", None),
        ("gzip;q=abc", None),
        (", ,", None),
    ],
)
def test_the_coding_of_highest_weight_is_taken(header: str, coding: str | None) -> None:
    assert preferred(header) == coding


async def raw(client: Client, method: str, path: str, coding: str, **parameters: object) -> tuple[httpx.Headers, bytes]:
    """An answer's headers, and its body as it came."""
    headers = {"Accept-Encoding": coding}
    async with client.http.stream(method, path, headers=headers, **parameters) as response:  # type: ignore[arg-type]
        assert response.status_code < 300
        return response.headers, b"".join([piece async for piece in response.aiter_raw()])


def decoded(coding: str | None, body: bytes) -> bytes:
    if coding == "gzip":
        return zlib.decompress(body, wbits=31)
    if coding == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    assert coding is None
    return body


@pytest.mark.parametrize("coding", [None, *CODINGS])
async def test_a_search_is_answered_in_it(organisation: Client, coding: str | None) -> None:
    await organisation.store(LONG)
    query = {"query": "garden", "search_mode": "keyword"}
    headers, body = await raw(organisation, "POST", "/memory/search", coding or "identity", json=query)
    assert headers.get("Content-Encoding") == coding
    assert headers["Vary"] == "Accept-Encoding"
    assert int(headers["Content-Length"]) == len(body)
    assert (len(body) < len(LONG)) == (coding is not None)
    assert json.loads(decoded(coding, body))["data"]["results"][0]["content"] == LONG


async def test_a_short_answer_is_left_as_it_is(organisation: Client) -> None:
    headers, body = await raw(organisation, "GET", "/sessions", "gzip, zstd")
    assert "Content-Encoding" not in headers
    assert json.loads(body)["success"] is True


@pytest.mark.parametrize("coding", [None, *CODINGS])
async def test_an_export_comes_in_it_and_ends_whole(organisation: Client, coding: str | None) -> None:
    for number in range(3):
        await organisation.store(f"{LONG}{number}")
    headers, body = await raw(organisation, "GET", "/export?format=ndjson", coding or "identity")
    assert headers.get("Content-Encoding") == coding
    assert headers["Vary"] == "Accept-Encoding"
    rows = [json.loads(line) for line in decoded(coding, body).splitlines()]
    assert [row["content"] for row in rows] == [f"{LONG}{number}" for number in range(3)]


async def test_errors_can_be_read_by_whoever_asks_for_a_coding(organisation: Client) -> None:
    answer = await organisation.send("GET", "/nothing", headers={"Accept-Encoding": "zstd"})
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "NOT_FOUND"
