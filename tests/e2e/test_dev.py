"""`remembr-server dev`, as somebody types it: ready, stopped, started again, and never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

from app import engines
from app.engines import ports
from tests.client import Client, connect
from tests.conftest import PASSWORD
from tests.processes import eventually, naming

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes in /proc"),
]

START_TIMEOUT_S = 240
STOP_TIMEOUT_S = 30
"""What stopping may take at most; see the README."""


@dataclass
class Dev:
    """`remembr-server dev` on a data folder and port of its own."""

    folder: Path
    port: int
    output: IO[bytes]
    process: subprocess.Popen[bytes] | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v1"

    def spawn(self) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("REMEMBR_")}
        environment |= {
            "REMEMBR_DATA_DIR": str(self.folder),
            "REMEMBR_PORT": str(self.port),
            "REMEMBR_ELASTICSEARCH_HEAP": "512m",
            "REMEMBR_ELASTICSEARCH_JAVA_OPTIONS": engines.SHORT_LIVED,
            "REMEMBR_BCRYPT_ROUNDS": "4",
        }
        if cache := os.environ.get("REMEMBR_CACHE_DIR"):
            environment["REMEMBR_CACHE_DIR"] = cache
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "dev"],
            env=environment,
            stdout=self.output,
            stderr=self.output,
            start_new_session=True,
        )
        return self.process

    async def ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.said()
        return await self.health() == 200

    async def health(self) -> int:
        """Status of /health/ready; 0 while nobody listens."""
        async with httpx.AsyncClient(timeout=5) as http:
            try:
                return (await http.get(f"http://127.0.0.1:{self.port}/health/ready")).status_code
            except httpx.TransportError:
                return 0

    async def start(self) -> subprocess.Popen[bytes]:
        """Start it and wait until it is ready."""
        process = self.spawn()
        await eventually(self.ready, START_TIMEOUT_S)
        return process

    def processes(self) -> dict[int, str]:
        """Everything that runs on this data folder."""
        return naming(str(self.folder))

    def said(self) -> str:
        return Path(self.output.name).read_text(errors="replace")[-5_000:]


@dataclass
class Life:
    """What was seen of a stack that lost its Elasticsearch, was stopped, started again, and killed."""

    org_id: str = ""
    processes: int = 0
    while_it_was_away: dict[str, Any] = field(default_factory=dict)
    found_after_it_came_back: list[str] = field(default_factory=list)
    exit_code: int | None = None
    left_by_sigterm: dict[int, str] = field(default_factory=dict)
    found_by_the_old_key: list[str] = field(default_factory=list)
    me_by_the_old_token: dict[str, Any] = field(default_factory=dict)
    me_by_the_refreshed_token: dict[str, Any] = field(default_factory=dict)
    left_by_sigkill: dict[int, str] = field(default_factory=dict)


CONTENT = "The second start remembers the first"


async def lose_elasticsearch(dev: Dev, client: Client, life: Life) -> None:
    nodes = [pid for pid, command in dev.processes().items() if "org.elasticsearch.bootstrap" in command]
    assert nodes, dev.processes()
    for pid in nodes:
        os.kill(pid, signal.SIGKILL)

    async def named() -> bool:
        answer = await client.send("GET", "/health/ready")
        life.while_it_was_away = answer.json()
        return answer.status_code == 503

    await eventually(named, STOP_TIMEOUT_S)
    await eventually(dev.ready, START_TIMEOUT_S)

    async def found() -> bool:
        body = {"query": "remembers", "search_mode": "keyword"}
        answer = await client.send("POST", "/memory/search", json=body)
        results = answer.json()["data"]["results"] if answer.status_code == 200 else []
        life.found_after_it_came_back = [result["content"] for result in results]
        return answer.status_code == 200

    await eventually(found, START_TIMEOUT_S)


async def come_back(dev: Dev, before: Client, episode_id: str, life: Life) -> None:
    async with connect(dev.base_url) as again:
        again.http.headers["Authorization"] = before.http.headers["Authorization"]
        life.found_by_the_old_key = await again.contents("remembers", search_mode="keyword")

        async def embedded() -> bool:
            status = await again.data("GET", f"/memory/{episode_id}/status")
            return bool(status["embedding_status"] == "ready")

        await eventually(embedded, START_TIMEOUT_S)
        again.use(before.tokens["access_token"])
        life.me_by_the_old_token = await again.data("GET", "/auth/me")
        body = {"refresh_token": before.tokens["refresh_token"]}
        again.use((await again.data("POST", "/auth/refresh", json=body))["access_token"])
        life.me_by_the_refreshed_token = await again.data("GET", "/auth/me")


def data_folder(base: str) -> Path:
    """A folder in it that the engines' user can reach."""
    Path(base).chmod(0o755)
    return Path(base) / "data"


def left_after_a_while(dev: Dev) -> dict[int, str]:
    """What still runs when all had time to end."""
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while (left := dev.processes()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


@pytest.fixture(scope="module")
async def life() -> AsyncIterator[Life]:
    """Two starts on one data folder."""
    with (
        tempfile.TemporaryDirectory(prefix="remembr-e2e-", ignore_cleanup_errors=True) as folder,
        tempfile.NamedTemporaryFile(prefix="remembr-e2e-", suffix=".log") as output,
    ):
        dev, seen = Dev(data_folder(folder), ports.pick(0, "", ""), output), Life()
        try:
            process = await dev.start()
            async with connect(dev.base_url) as client:
                await client.register(f"{uuid.uuid4().hex}@example.com", PASSWORD)
                episode_id, seen.org_id = await client.store(CONTENT), client.org_id
                seen.processes = len(dev.processes())
                await lose_elasticsearch(dev, client, seen)
            process.terminate()
            seen.exit_code = await asyncio.to_thread(process.wait, STOP_TIMEOUT_S)
            seen.left_by_sigterm = dev.processes()

            process = await dev.start()
            await come_back(dev, client, episode_id, seen)
            process.kill()
            await asyncio.to_thread(process.wait, STOP_TIMEOUT_S)
            seen.left_by_sigkill = await asyncio.to_thread(left_after_a_while, dev)
        finally:
            if dev.process is not None and dev.process.poll() is None:
                dev.process.terminate()
                dev.process.wait(STOP_TIMEOUT_S)
        yield seen


async def test_an_elasticsearch_that_died_is_named_and_started_again(life: Life) -> None:
    assert life.while_it_was_away["missing"] == ["elasticsearch"]
    assert life.found_after_it_came_back == [CONTENT]


async def test_sigterm_ends_all_it_started_within_thirty_seconds(life: Life) -> None:
    # Elasticsearch, Redis, server, worker and the encoder's process, most of them with a guard.
    assert life.processes >= 8
    assert life.exit_code == 0
    assert life.left_by_sigterm == {}


async def test_a_second_start_finds_what_was_stored_and_accepts_the_old_key_and_tokens(life: Life) -> None:
    assert life.found_by_the_old_key == [CONTENT]
    assert life.me_by_the_old_token["org_id"] == life.org_id
    assert life.me_by_the_refreshed_token["org_id"] == life.org_id


async def test_killed_it_leaves_no_process(life: Life) -> None:
    assert life.left_by_sigkill == {}


async def test_a_taken_port_is_said_in_a_sentence() -> None:
    with socket.socket() as taken, tempfile.NamedTemporaryFile() as output:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        with tempfile.TemporaryDirectory(prefix="remembr-e2e-") as folder:
            second = Dev(Path(folder), taken.getsockname()[1], output)
            code = await asyncio.to_thread(second.spawn().wait, START_TIMEOUT_S)
            said = " ".join(second.said().split())
            assert code == 1
            assert f"port {second.port}" in said
            assert "another program listens there" in said
            assert "Choose another port" in said
            assert "Traceback" not in said
            assert second.processes() == {}
