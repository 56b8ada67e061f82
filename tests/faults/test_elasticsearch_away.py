"""Without Elasticsearch: 503 in good time, and once it is back all goes on by itself with nothing lost."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx
import pytest

from app import engines
from tests.client import Client, connect
from tests.conftest import PASSWORD
from tests.faults.conftest import PATIENCE_S, Pair, frozen, until_well
from tests.promises import proves

pytestmark = pytest.mark.slow

WRITERS = 16
LOAD_TIMEOUT_S = 60
ROUND_PAUSE_S = 0.1


def requests(client: Client) -> dict[str, Callable[[], Awaitable[httpx.Response]]]:
    """One of each kind of request that needs Elasticsearch."""
    account = {"email": f"{uuid.uuid4().hex}@example.com", "password": PASSWORD, "org_name": "Acme"}
    return {
        "store": lambda: client.send("POST", "/memory", json={"role": "user", "content": "probe"}),
        "batch": lambda: client.send(
            "POST", "/memory/batch", json={"episodes": [{"role": "user", "content": "probe"}]}
        ),
        "search": lambda: client.send("POST", "/memory/search", json={"query": "x"}),
        "keyword search": lambda: client.send("POST", "/memory/search", json={"query": "x", "search_mode": "keyword"}),
        "create session": lambda: client.send("POST", "/sessions", json={}),
        "list sessions": lambda: client.send("GET", "/sessions"),
        "create key": lambda: client.send("POST", "/api-keys", json={"name": "x"}),
        "list keys": lambda: client.send("GET", "/api-keys"),
        "register": lambda: client.send("POST", "/auth/register", json=account),
        "log in": lambda: client.send("POST", "/auth/login", json=account),
    }


async def ask_everything(client: Client) -> dict[str, httpx.Response]:
    """Every kind of request at once, then two again, one after the other."""
    asked = requests(client)
    answers = dict(zip(asked, await asyncio.gather(*(ask() for ask in asked.values())), strict=True))
    answers |= {f"{name} again": await asked[name]() for name in ("store", "search")}
    answers["ready"] = await client.send("GET", "/health/ready")
    answers["alive"] = await client.send("GET", "/health")
    return answers


def expect_unavailable(answers: dict[str, httpx.Response]) -> None:
    """503 for all that needs Elasticsearch, with what is missing and when to come back."""
    answers = dict(answers)
    assert answers.pop("alive").status_code == 200
    ready = answers.pop("ready")
    assert ready.status_code == 503
    assert ready.json()["missing"] == ["elasticsearch"]
    for name, answer in answers.items():
        assert answer.status_code == 503, (name, answer.status_code, answer.text)
        error = answer.json()["error"]
        assert error["code"] == "SERVICE_UNAVAILABLE", name
        assert "Elasticsearch" in error["message"], name
        assert int(answer.headers["Retry-After"]) >= 1, name


@dataclass
class Crash:
    """What was seen of a crash under load. Episodes are (id, content)."""

    client: Client
    other: Client
    acknowledged: list[tuple[str, str]] = field(default_factory=list)
    away: dict[str, httpx.Response] = field(default_factory=dict)
    coming_back: set[tuple[str, int, str]] = field(default_factory=set)
    found: list[tuple[str, str]] = field(default_factory=list)


async def load(crash: Crash, elasticsearch: engines.Service) -> None:
    """Sixteen clients store, one episode after the other, until Elasticsearch is killed under them."""
    going = asyncio.Event()

    async def write(writer: int) -> None:
        for number in range(10_000):
            content = f"writer {writer} number {number}"
            answer = await crash.client.send("POST", "/memory", json={"role": "user", "content": content})
            if answer.status_code == 503:
                return
            assert answer.status_code == 201, answer.text
            crash.acknowledged.append((answer.json()["data"]["episode_id"], content))
            if len(crash.acknowledged) > 10 * WRITERS:
                going.set()

    writers = [asyncio.create_task(write(number)) for number in range(WRITERS)]
    await asyncio.wait_for(going.wait(), LOAD_TIMEOUT_S)
    await asyncio.to_thread(elasticsearch.kill)
    await asyncio.gather(*writers)


@pytest.fixture(scope="module")
async def crash(first_url: str, other_url: str, fault_engines: engines.Engines) -> Crash:
    """Elasticsearch is killed under load, stays away for some requests, and comes back."""
    elasticsearch = fault_engines.elasticsearch
    assert elasticsearch is not None
    async with connect(first_url) as client, connect(other_url) as other:
        client.http.timeout = other.http.timeout = httpx.Timeout(PATIENCE_S)
        await until_well(client)
        await client.register(f"{uuid.uuid4().hex}@example.com", PASSWORD)
        other.http.headers["Authorization"] = client.http.headers["Authorization"]
        seen = Crash(client, other)
        await load(seen, elasticsearch)
        seen.away = await ask_everything(client)
        starting = asyncio.create_task(asyncio.to_thread(elasticsearch.start))
        while not starting.done():
            for name, ask in requests(client).items():
                answer = await ask()
                # The pause leaves the processor to the engine that is starting.
                await asyncio.sleep(ROUND_PAUSE_S)
                seen.coming_back.add((name, answer.status_code, answer.text if answer.status_code >= 500 else ""))
        await starting
        await until_well(other)
        while page := (await other.search(limit=100, offset=len(seen.found)))["results"]:
            seen.found += [(result["episode_id"], result["content"]) for result in page]
        await client.store("after the crash")
        seen.found += [("", content) for content in await other.contents("crash", search_mode="keyword")]
    return seen


@proves("envelope.unavailable")
async def test_a_killed_elasticsearch_is_answered_with_503(crash: Crash) -> None:
    expect_unavailable(crash.away)


async def test_while_it_comes_back_requests_succeed_or_are_told_to_wait(crash: Crash) -> None:
    # 401 is a log-in to an account whose registration was told to wait.
    wrong = {
        (name, status, text)
        for name, status, text in crash.coming_back
        if status not in (200, 201, 503) and (name, status) != ("log in", 401)
    }
    assert wrong == set()
    assert 503 in {status for _, status, _ in crash.coming_back}


@proves("envelope.unavailable")
async def test_what_was_acknowledged_before_the_crash_is_there_once_afterwards(crash: Crash) -> None:
    written = [(episode_id, content) for episode_id, content in crash.found if content.startswith("writer")]
    assert len(crash.acknowledged) > 10 * WRITERS
    assert set(crash.acknowledged) <= set(written)
    assert len({content for _, content in written}) == len(written)
    # Of what was sent and not answered, each writer had one.
    assert len(written) - len(crash.acknowledged) <= WRITERS


async def test_afterwards_it_goes_on_by_itself(crash: Crash) -> None:
    assert ("", "after the crash") in crash.found


async def test_a_frozen_elasticsearch_is_answered_with_503_and_thawed_it_goes_on(
    callers: Pair, elasticsearch: engines.Service
) -> None:
    client = callers.first
    await client.store("before the frost")
    with frozen(elasticsearch):
        answers = await ask_everything(client)
    expect_unavailable(answers)
    await until_well(client)
    await client.store("after the frost")
    for caller in (callers.first, callers.other):
        assert {"before the frost", "after the frost"} <= set(await caller.contents("frost"))
