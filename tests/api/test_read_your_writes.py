"""What was answered is seen by every later read, on any server, whatever Redis forgets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from app.settings import Settings
from tests.api.conftest import OpenClient
from tests.client import Client
from tests.promises import proves

CALLERS = 6
ROUNDS = 3


@asynccontextmanager
async def forgetful_redis(settings: Settings) -> AsyncIterator[None]:
    """Redis is emptied over and over meanwhile."""
    assert settings.redis_url is not None
    stop = asyncio.Event()

    async def flush(redis: Redis) -> None:
        while not stop.is_set():
            await redis.flushall()
            await asyncio.sleep(0.005)

    async with Redis.from_url(settings.redis_url) as redis:
        flushing = asyncio.create_task(flush(redis))
        try:
            yield
        finally:
            stop.set()
            await flushing


@asynccontextmanager
async def steady_redis(_: Settings) -> AsyncIterator[None]:
    """Redis as it is."""
    yield


async def round_of(writer: Client, reader: Client, word: str) -> None:
    """Create, store and delete through one server; look through the other after each."""
    session_id = await writer.session(word=word)
    listed = await reader.data("GET", "/sessions", params={"limit": 100})
    assert session_id in [session["session_id"] for session in listed["sessions"]]
    episode_id = await writer.store(f"the word is {word}", session_id=session_id, tags=[word])
    for found in (
        await reader.search(word, search_mode="keyword"),
        await reader.search(word, tags=[word], search_mode="hybrid"),
        await reader.search(session_id=session_id),
    ):
        assert [result["episode_id"] for result in found["results"]] == [episode_id]
    past = await reader.data("GET", f"/sessions/{session_id}/history")
    assert [episode["episode_id"] for episode in past["episodes"]] == [episode_id]
    counts = await reader.data("GET", f"/sessions/{session_id}/embedding-status")
    assert counts["total"] == 1
    await reader.data("GET", f"/memory/{episode_id}/status")
    await reader.data("DELETE", f"/memory/{episode_id}")
    assert (await writer.search(word, tags=[word]))["total"] == 0
    past = await writer.data("GET", f"/sessions/{session_id}/history")
    assert past["total"] == 0
    await writer.error("GET", f"/memory/{episode_id}/status", 404)
    await writer.error("DELETE", f"/memory/{episode_id}", 404)


@pytest.mark.parametrize("redis_is", [steady_redis, forgetful_redis], ids=["steady", "forgetful"])
@pytest.mark.parametrize("callers_in", ["one organisation", "many organisations"])
@proves("memory.read-your-writes")
async def test_each_server_sees_at_once_what_the_other_answered(
    new_organisation: OpenClient, open_client: OpenClient, settings: Settings, second_url: str, redis_is: object,
    callers_in: str,
) -> None:  # fmt: skip
    shared = await new_organisation()

    async def caller(number: int) -> None:
        here = shared if callers_in == "one organisation" else await new_organisation()
        there = await open_client(here, url=second_url)
        for turn in range(ROUNDS):
            writer, reader = (here, there) if (number + turn) % 2 else (there, here)
            await round_of(writer, reader, f"word{number}x{turn}")

    async with redis_is(settings):  # type: ignore[operator]
        await asyncio.gather(*(caller(number) for number in range(CALLERS)))


async def test_a_batch_is_seen_whole(organisation: Client, open_client: OpenClient, second_url: str) -> None:
    there = await open_client(organisation, url=second_url)
    for total in (20, 40, 60):
        episodes = [{"role": "user", "content": "x"}] * 20
        await organisation.data("POST", "/memory/batch", status=201, json={"episodes": episodes})
        assert (await there.search())["total"] == total


async def test_a_new_key_works_everywhere_at_once(
    organisation: Client, open_client: OpenClient, second_url: str
) -> None:
    there = await open_client(organisation, url=second_url)
    for n in range(5):
        key = await organisation.data("POST", "/api-keys", status=201, json={"name": f"key {n}"})
        client = await open_client(url=second_url, credential=key["api_key"])
        assert (await client.data("GET", "/me"))["user_id"] == organisation.user_id
        assert (await there.data("GET", "/api-keys"))["total"] == n + 2
