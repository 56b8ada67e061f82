"""A server that is told to stop while clients are at it: whoever was let in gets an answer."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import orjson
import pytest

from app.engines import ports
from app.main import BASE_PATH
from app.migrate import migrate
from app.settings import Settings
from tests.client import Client, connect
from tests.conftest import PASSWORD, serving
from tests.processes import RemembrProcess, until_listening

UP_S = 60
CALLERS = 8
DRAIN_S = 4.0

pytestmark = pytest.mark.slow


@pytest.fixture
async def own(settings: Settings) -> Settings:
    own = settings.model_copy(update={"index_prefix": f"{settings.index_prefix}-s"})
    await migrate(own)
    return own


@pytest.fixture
async def leaving(own: Settings, tmp_path: Path) -> AsyncIterator[RemembrProcess]:
    """A server as a process that tells balancers before it goes."""
    process = RemembrProcess(
        "serve",
        own,
        REMEMBR_PORT=str(ports.pick(0, "a server", "REMEMBR_PORT")),
        REMEMBR_JWT_SECRET="a-secret-for-tests-that-is-long-enough",
        REMEMBR_DRAIN_S=str(DRAIN_S),
        REMEMBR_RATE_LIMIT_PER_MINUTE="0",
        REMEMBR_ACCESS_LOG="true",
        REMEMBR_LOG_LEVEL="INFO",
    )
    process.log = tmp_path / "log"
    process.ensure()
    yield process
    process.ensure()
    process.kill()


async def test_no_request_that_was_let_in_goes_without_an_answer(own: Settings, leaving: RemembrProcess) -> None:
    url = f"http://127.0.0.1:{leaving.environment['REMEMBR_PORT']}{BASE_PATH}"
    stored: list[str] = []
    broken: list[Exception] = []
    seen: set[str] = set()

    async def call(client: Client, number: int) -> None:
        # As a balancer does: what isn't ready gets nothing new.
        while not seen & {"stopping", "gone"}:
            content = f"Remark {number} {uuid.uuid4()}"
            try:
                await client.store(content)
            except httpx.TransportError as error:
                broken.append(error)
                return
            stored.append(content)

    async def look() -> None:
        async with httpx.AsyncClient(base_url=url) as http:
            while True:
                try:
                    seen.add((await http.get("/health/ready")).json()["status"])
                except httpx.TransportError:
                    seen.add("gone")
                    return
                await asyncio.sleep(0.05)

    async with connect(url) as client, serving(own) as other_url, connect(other_url) as other:
        await until_listening(client, UP_S)
        await client.register(f"{uuid.uuid4().hex}@example.com", PASSWORD)
        other.http.headers["Authorization"] = client.http.headers["Authorization"]
        calling = asyncio.gather(look(), *(call(client, number) for number in range(CALLERS)))
        await asyncio.sleep(1)
        leaving.send(signal.SIGTERM)
        await asyncio.wait_for(calling, DRAIN_S + 20)
        assert await asyncio.to_thread(leaving.wait) == 0
        assert broken == []
        assert seen >= {"ok", "stopping"}
        assert len(stored) > CALLERS
        text = (await other.send("GET", "/export", params={"format": "ndjson"})).text
        assert sorted(orjson.loads(line)["content"] for line in text.splitlines()) == sorted(stored)
    assert leaving.log is not None
    lines = [orjson.loads(line) for line in leaving.log.read_text().splitlines()]
    assert sum(line.get("route") == f"{BASE_PATH}/memory" for line in lines) == len(stored)
    assert [line["drain_s"] for line in lines if line["event"] == "stopping"] == [DRAIN_S]
