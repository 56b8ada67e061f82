"""`remembr-server reindex --model` beside a server and a worker, killed once on the way, and back again."""

from __future__ import annotations

import asyncio
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.container import Core, open_core
from app.elastic.generations import generations
from app.elastic.indices import EPISODES
from app.migrate import migrate
from app.settings import Settings
from tests.client import Client, connect
from tests.conftest import PASSWORD, serving
from tests.prefixes import forget
from tests.processes import WorkerProcess, eventually, stores_of
from tests.tiny_model import save_tiny_model

EPISODES_STORED = 60
SOON_S = 90
COMMAND_S = 240
NOTICED_S = 10.0

pytestmark = pytest.mark.slow


@dataclass
class Installation:
    core: Core
    client: Client

    @property
    def settings(self) -> Settings:
        return self.core.settings

    async def command(self, *arguments: str) -> asyncio.subprocess.Process:
        """`remembr-server reindex` with these, at work."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app.cli", "reindex", *arguments),
            env=os.environ | stores_of(self.settings),
            stderr=asyncio.subprocess.PIPE,
        )

    async def models(self) -> set[str]:
        """Whose vectors there are."""
        alias = EPISODES.alias(self.settings.index_prefix)
        await self.core.es.indices.refresh(index=alias)
        found = await self.core.es.search(
            index=alias, size=0, aggs={"models": {"terms": {"field": "embedding_model", "missing": "none"}}}
        )
        return {bucket["key"].split("-")[0] for bucket in found.body["aggregations"]["models"]["buckets"]}

    async def all_are_of(self, model: str) -> bool:
        return await self.models() == {model}

    async def by_meaning(self) -> int:
        """How many a search by meaning finds."""
        return int((await self.client.search("anything", search_mode="semantic", limit=1))["total"])


@pytest.fixture
async def installation(settings: Settings) -> AsyncIterator[Installation]:
    own = settings.model_copy(update={"index_prefix": f"model-{uuid.uuid4().hex[:8]}"})
    await migrate(own)
    worker = WorkerProcess(own)
    async with AsyncExitStack() as stack:
        core = await stack.enter_async_context(open_core(own))
        client = await stack.enter_async_context(connect(await stack.enter_async_context(serving(own))))
        await client.register(f"{uuid.uuid4().hex}@example.com", PASSWORD)
        worker.ensure()
        try:
            yield Installation(core, client)
        finally:
            worker.kill()
            await forget(core.es, own.index_prefix)


async def test_a_model_is_changed_while_everything_goes_on(installation: Installation, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    await asyncio.to_thread(save_tiny_model, folder, 64)
    client, alias = installation.client, EPISODES.alias(installation.settings.index_prefix)
    bodies = [{"role": "user", "content": f"Remark number {number}"} for number in range(EPISODES_STORED)]
    await client.data("POST", "/memory/batch", status=201, json={"episodes": bodies})
    await eventually(lambda: installation.all_are_of("e5"), SOON_S)

    killed = await installation.command("--model", str(folder), "--per-second", "10")

    async def begun() -> bool:
        return len(await generations(installation.core.es, alias)) == 2

    await eventually(begun, SOON_S)
    killed.kill()
    await killed.wait()
    assert await installation.by_meaning() == EPISODES_STORED

    async def exit_code(*arguments: str) -> tuple[int | None, str]:
        process = await installation.command(*arguments)
        _, said = await asyncio.wait_for(process.communicate(), COMMAND_S)
        return process.returncode, said.decode()

    code, said = await exit_code("--model", str(folder))
    assert (code, "Another process is filling" in said) == (1, True)
    await asyncio.sleep(31)
    stop, lacking = asyncio.Event(), [0.0]

    async def search() -> None:
        while not stop.is_set():
            if await installation.by_meaning() < EPISODES_STORED:
                lacking.append(time.monotonic())
            await asyncio.sleep(0.05)

    searching = asyncio.create_task(search())
    code, said = await exit_code("--model", str(folder))
    assert code == 0, said
    assert "has taken the place of" in said
    assert await installation.all_are_of("tiny")

    async def all_by_meaning() -> bool:
        return await installation.by_meaning() == EPISODES_STORED + 1

    late = await client.store("Said to the new model")
    await eventually(lambda: installation.all_are_of("tiny"), SOON_S)
    await eventually(all_by_meaning, SOON_S)
    stop.set()
    await searching
    # The servers look once a second which model it is.
    assert lacking[-1] - lacking[min(1, len(lacking) - 1)] < NOTICED_S

    code, said = await exit_code("--rollback")
    assert code == 0, said
    await eventually(lambda: installation.all_are_of("e5"), SOON_S)
    await eventually(all_by_meaning, SOON_S)
    assert (await client.data("GET", f"/memory/{late}/status"))["embedding_status"] == "ready"
    code, said = await exit_code("--finish")
    assert (code, f"{alias}-v2" in said) == (0, True)
