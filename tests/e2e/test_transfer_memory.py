"""What a server process takes while it exports and imports, seen from outside."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from app.elastic.client import open_elasticsearch
from app.main import BASE_PATH
from app.migrate import migrate
from app.settings import Settings
from tests.client import Client, connect
from tests.conftest import PASSWORD
from tests.prefixes import forget
from tests.processes import eventually
from tests.promises import proves

ROWS = 20_000
GROWTH_MAX_MB = 40
"""The file has 60 MB."""
TEXT = "x" * 2_500 + "\U0001f600"


def resident_mb(pid: int) -> float:
    """Memory of a process, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


class Watch:
    """The highest memory of a process beyond what it had at first."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._base = resident_mb(pid)
        self.growth_mb = 0.0

    def look(self) -> None:
        """Take note of it now."""
        self.growth_mb = max(self.growth_mb, resident_mb(self._pid) - self._base)


@asynccontextmanager
async def server(settings: Settings, port: int) -> AsyncIterator[tuple[int, Client]]:
    """A server process of its own, with indices of its own: its pid, and a client of a new organisation."""
    assert settings.elasticsearch_url is not None
    assert settings.redis_url is not None
    assert settings.jwt_secret is not None
    prefix = f"test-{uuid.uuid4().hex[:8]}"
    await migrate(settings.model_copy(update={"index_prefix": prefix}))
    own = {
        "REMEMBR_DATA_DIR": str(settings.data_dir),
        "REMEMBR_ELASTICSEARCH_URL": settings.elasticsearch_url,
        "REMEMBR_REDIS_URL": settings.redis_url,
        "REMEMBR_JWT_SECRET": settings.jwt_secret.get_secret_value(),
        "REMEMBR_INDEX_PREFIX": prefix,
        "REMEMBR_HOST": "127.0.0.1",
        "REMEMBR_PORT": str(port),
        "REMEMBR_SIGN_IN_PER_ADDRESS": "0",
    }
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("remembr-server"), "serve", env=os.environ | own
    )
    try:
        async with connect(f"http://127.0.0.1:{port}{BASE_PATH}") as client:
            client.http.timeout = httpx.Timeout(300)

            async def ready() -> bool:
                try:
                    return (await client.send("GET", "/health/ready")).status_code == 200
                except httpx.TransportError:
                    return False

            await eventually(ready, 60)
            await client.register(f"{uuid.uuid4().hex}@example.com", PASSWORD)
            yield process.pid, client
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 30)
        async with open_elasticsearch(settings, settings.elasticsearch_url) as es:
            await forget(es, prefix)


async def rows(watch: Watch) -> AsyncIterator[bytes]:
    """Lines of an import, 100 at a time."""
    for start in range(0, ROWS, 100):
        watch.look()
        yield b"".join(
            b'{"id":"%s","role":"user","content":"%d %s","created_at":"2026-03-01T10:00:00Z"}\n'
            % (str(uuid.uuid4()).encode(), n, TEXT.encode())
            for n in range(start, start + 100)
        )


@pytest.mark.slow
@proves("export.memory")
async def test_scenario_17_memory_does_not_grow_with_what_is_transferred(
    settings: Settings, unused_tcp_port: int
) -> None:
    """Scenario 17: flat memory."""
    async with server(settings, unused_tcp_port) as (pid, client):
        await client.send("GET", "/export")
        watch = Watch(pid)
        headers = {"Content-Type": "application/x-ndjson"}
        answer = await client.data("POST", "/import", content=rows(watch), headers=headers)
        assert answer["imported"] == ROWS
        assert watch.growth_mb < GROWTH_MAX_MB
        for form in ("json", "csv", "ndjson"):
            watch, size, found = Watch(pid), 0, 0
            async with client.http.stream("GET", "/export", params={"format": form}) as response:
                async for chunk in response.aiter_bytes():
                    size += len(chunk)
                    found += chunk.count(b"\n")
                    watch.look()
            assert size > ROWS * len(TEXT)
            assert found >= ROWS
            assert watch.growth_mb < GROWTH_MAX_MB, form
