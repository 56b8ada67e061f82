"""Without Redis everything works: stored, found, read back over both servers, and in good time."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid

import pytest

from app import engines
from app.settings import Settings
from tests.client import Client, connect
from tests.conftest import PASSWORD, serving
from tests.faults.conftest import BACK_S, Pair, frozen
from tests.promises import proves

pytestmark = pytest.mark.slow

SLOWEST_S = 5.0
"""Above the two seconds that are meant, for a busy machine; a time-out of Elasticsearch or of TCP is longer still."""


async def expect_everything_works(callers: Pair) -> None:
    """Each write by one server is read at once by the other."""
    first, other = callers.first, callers.other
    session_id = await first.session(topic="outage")
    for number in range(3):
        writer, reader = (first, other) if number % 2 == 0 else (other, first)
        content = f"sentence {number} about the outage"
        episode_id = await writer.store(content, session_id=session_id)
        assert content in await reader.contents("outage", search_mode="keyword")
        assert content in await reader.contents("outage")
        history = await reader.data("GET", f"/sessions/{session_id}/history")
        assert [episode["content"] for episode in history["episodes"]][-1] == content
        window = await reader.data("GET", f"/sessions/{session_id}")
        assert window["messages"][-1]["episode_id"] == episode_id
        await reader.data("DELETE", f"/memory/{episode_id}")
        assert content not in await writer.contents("outage")
        await writer.store(f"kept {number}", session_id=session_id)
    assert (await other.data("GET", "/sessions"))["sessions"][0]["message_count"] == 3

    key = await first.data("POST", "/api-keys", status=201, json={"name": "during the outage"})
    assert key["id"] in {listed["id"] for listed in (await other.data("GET", "/api-keys"))["keys"]}
    account = {"email": f"{uuid.uuid4().hex}@example.com", "password": PASSWORD, "org_name": "Acme"}
    await first.data("POST", "/auth/register", status=201, json=account)
    await other.data("POST", "/auth/login", json=account)
    ready = await first.send("GET", "/health/ready")
    assert ready.status_code == 503
    assert ready.json()["missing"] == ["redis"]


async def test_without_redis_everything_works_and_is_read_back_over_both_servers(
    callers: Pair, redis: engines.Service
) -> None:
    await callers.first.store("with redis")
    redis.kill()
    await expect_everything_works(callers)
    assert "with redis" in await callers.other.contents("redis")


async def test_what_was_written_without_redis_is_found_after_it_came_back_empty(
    callers: Pair, redis: engines.Service
) -> None:
    first, other = callers.first, callers.other
    await first.store("one")
    assert await other.contents() == ["one"]
    redis.kill()
    await first.store("two")
    await asyncio.to_thread(redis.start)
    assert await other.contents() == ["two", "one"]
    await first.store("three")
    assert await other.contents() == ["three", "two", "one"]


async def timed(client: Client, content: str) -> list[float]:
    """Seconds that a store and a search took; the search must find it."""
    moments = [time.monotonic()]
    await client.store(content)
    moments.append(time.monotonic())
    assert content in await client.contents(content, search_mode="keyword")
    moments.append(time.monotonic())
    return [after - before for before, after in itertools.pairwise(moments)]


async def test_a_frozen_redis_holds_no_request_up(callers: Pair, redis: engines.Service) -> None:
    await callers.first.store("before the frost")
    with frozen(redis):
        slowest = max(await timed(callers.first, "frost alone"))
        for batch in await asyncio.gather(
            *(timed(client, f"frost {n}") for n, client in enumerate((callers.first, callers.other) * 8))
        ):
            slowest = max(slowest, *batch)
        await expect_everything_works(callers)
    assert slowest < SLOWEST_S
    await callers.first.store("after the frost")
    assert "after the frost" in await callers.other.contents("frost")


@proves("idempotency.redis")
async def test_idempotency_holds_while_redis_is_killed_and_restarted(callers: Pair, redis: engines.Service) -> None:
    """The first write is with Redis, the race without it, the last repeats with an empty one."""
    session_id = await callers.first.session()
    bodies = [{"role": "user", "content": f"said {n}", "session_id": session_id} for n in range(4)]

    async def send(client: Client, number: int) -> tuple[str, bool]:
        headers = {"Idempotency-Key": f"key {number}"}
        response = await client.send("POST", "/memory", headers=headers, json=bodies[number])
        assert response.status_code == 201, response.text
        return response.json()["data"]["episode_id"], "X-Idempotent-Replay" in response.headers

    before, replayed = await send(callers.first, 0)
    assert not replayed
    redis.kill()
    assert await send(callers.other, 0) == (before, True)
    raced: list[str] = []
    for number in range(1, len(bodies)):
        answers = await asyncio.gather(*(send(client, number) for client in (callers.first, callers.other) * 10))
        assert len({episode_id for episode_id, _ in answers}) == 1
        assert [again for _, again in answers].count(False) == 1
        raced.append(answers[0][0])
    await asyncio.to_thread(redis.start)
    assert [await send(callers.other, number) for number in range(4)] == [(made, True) for made in (before, *raced)]
    history = await callers.first.data("GET", f"/sessions/{session_id}/history")
    assert [episode["content"] for episode in history["episodes"]] == [body["content"] for body in bodies]


@proves("limits.redis")
async def test_limits_are_open_while_redis_is_away_and_back_with_it(
    callers: Pair, fault_settings: Settings, redis: engines.Service, caplog: pytest.LogCaptureFixture
) -> None:
    limited = fault_settings.model_copy(update={"rate_limit_per_minute": 2})
    async with serving(limited) as url, connect(url) as client:
        client.http.headers["Authorization"] = callers.first.http.headers["Authorization"]
        assert 429 in [(await client.send("GET", "/me")).status_code for _ in range(4)]
        redis.kill()
        answers = [await client.send("GET", "/me") for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 6
        assert not any("RateLimit-Remaining" in answer.headers for answer in answers)
        assert "Redis is away: requests are not limited" in caplog.messages
        assert (await client.send("GET", "/health/ready")).json()["missing"] == ["redis"]
        await asyncio.to_thread(redis.start)
        deadline = time.monotonic() + BACK_S
        while "RateLimit-Remaining" not in (await client.send("GET", "/me")).headers:
            assert time.monotonic() < deadline, "limits did not come back"
            await asyncio.sleep(0.2)
        assert 429 in [(await client.send("GET", "/me")).status_code for _ in range(4)]
        assert "requests were not limited while Redis was away" in caplog.messages
