"""Everything is lost and comes back from a backup."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app import engines
from app.container import open_worker_container
from app.engines import folders
from app.engines.user import engine_user
from app.migrate import migrate
from app.settings import Settings
from tests.client import Client, connect
from tests.conftest import PASSWORD, serving
from tests.faults.conftest import embedded
from workers.run import make_worker

pytestmark = pytest.mark.slow
COMMAND_TIMEOUT_S = 120


@pytest.fixture
def own_engines() -> Iterator[tuple[Settings, engines.Engines]]:
    with tempfile.TemporaryDirectory(prefix="remembr-backup-", ignore_cleanup_errors=True) as folder:
        settings = embedded(Path(folder))
        with engines.start(settings) as started:
            addresses = {"elasticsearch_url": started.elasticsearch_url, "redis_url": started.redis_url}
            yield settings.model_copy(update=addresses), started


async def command(settings: Settings, *arguments: str, code: int = 0) -> str:
    """Run `remembr-server`; what it says."""
    environment = os.environ | {
        "REMEMBR_ELASTICSEARCH_URL": str(settings.elasticsearch_url),
        "REMEMBR_DATA_DIR": str(settings.data_dir),
        "COLUMNS": "200",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli", *arguments, env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), COMMAND_TIMEOUT_S)
    assert process.returncode == code, said.decode()
    return said.decode()


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[Client]:
    async with serving(settings) as url, connect(url) as client:
        yield client


async def embed(settings: Settings) -> None:
    async with open_worker_container(settings) as container:
        await container.core.outbox._queue.enqueue_job("embed_pending")
        worker = make_worker(settings, container, burst=True)
        await worker.async_run()
        await worker.close()


async def test_all_is_lost_and_comes_back(own_engines: tuple[Settings, engines.Engines]) -> None:
    settings, stores = own_engines
    service = stores.elasticsearch
    assert service is not None
    await migrate(settings)
    email = f"{uuid.uuid4().hex}@example.com"
    async with served(settings) as client:
        await client.register(email, PASSWORD)
        key = client.http.headers["Authorization"]
        session_id = await client.session(thread="kept")
        await client.store("The lighthouse keeper paints at dawn", session_id=session_id)
        deleted = await client.store("to be deleted", session_id=session_id)
        await client.data("DELETE", f"/memory/{deleted}")
        await client.data("POST", f"/sessions/{session_id}/checkpoint", status=201)
        hook = {"url": "https://hooks.example.com/", "events": ["memory.stored"]}
        await client.data("POST", "/webhooks", status=201, json=hook)
        await embed(settings)
        pending = await client.store("not embedded yet", session_id=session_id)
        first = await command(settings, "backup")
        second = await command(settings, "backup", "--keep", "1")
        assert "removed" in second
        await client.store("after the backup")
        listed = await command(settings, "backup", "--list")
        assert len(listed.strip().splitlines()) == 1
        assert first.split(":")[0] not in listed
        refused = await command(settings, "restore", code=1)
        assert "--replace" in refused
        assert await client.contents("after the backup", search_mode="keyword", limit=1) == ["after the backup"]
    service.stop()
    shutil.rmtree(folders.data_folder(settings, "elasticsearch", engine_user()) / "data")
    service.start()
    began = time.monotonic()
    said = await command(settings, "restore")
    print(f"restored in {time.monotonic() - began:.1f} s")
    assert "Restored" in said
    async with served(settings) as client:
        await client.data("POST", "/auth/login", json={"email": email, "password": PASSWORD})
        client.http.headers["Authorization"] = key
        found = await client.search(
            "a person at a tower by the sea who makes pictures", search_mode="semantic", limit=1
        )
        assert found["results"][0]["content"] == "The lighthouse keeper paints at dawn"
        history = await client.data("GET", f"/sessions/{session_id}/history")
        assert [each["content"] for each in history["episodes"]] == [
            "The lighthouse keeper paints at dawn",
            "not embedded yet",
        ]
        assert await client.contents("backup", search_mode="keyword") == []
        assert (await client.data("GET", f"/sessions/{session_id}/checkpoints"))["total"] == 1
        assert len(await client.data("GET", "/webhooks")) == 1
        await client.data("POST", f"/memory/{deleted}/restore")
        await embed(settings)
        assert (await client.data("GET", f"/memory/{pending}/status"))["embedding_status"] == "ready"
    # The backup holds an index that now lies beside the one in its place.
    await command(settings, "reindex")
    replaced = await command(settings, "restore", "--replace")
    assert "Restored" in replaced
    async with served(settings) as client:
        client.http.headers["Authorization"] = key
        assert await client.contents("not embedded yet", search_mode="keyword", limit=1) == ["not embedded yet"]
