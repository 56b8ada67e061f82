"""The worker as a process: it outlives its Redis, and what it was doing outlives the worker."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app import engines
from app.migrate import migrate
from app.settings import Settings
from tests.client import Client, connect
from tests.conftest import PASSWORD, serving
from tests.processes import WorkerProcess, alive, eventually, naming
from tests.workers.conftest import READY_TIMEOUT_S, all_ready, status

END_TIMEOUT_S = 20
COUNT = 24

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def own_redis(running_engines: engines.Engines) -> Iterator[engines.Engines]:
    """A Redis that may be killed, beside the run's Elasticsearch."""
    with tempfile.TemporaryDirectory(prefix="remembr-test-redis-") as folder:
        Path(folder).chmod(0o755)
        with engines.start(
            Settings(data_dir=Path(folder), elasticsearch_url=running_engines.elasticsearch_url, redis_url=None)
        ) as started:
            yield started


@pytest.fixture(scope="module")
async def process_settings(settings: Settings, own_redis: engines.Engines) -> Settings:
    own = settings.model_copy(update={"index_prefix": f"{settings.index_prefix}-p", "redis_url": own_redis.redis_url})
    await migrate(own)
    return own


@pytest.fixture
def redis(own_redis: engines.Engines) -> Iterator[engines.Service]:
    assert own_redis.redis is not None
    own_redis.redis.start()
    yield own_redis.redis
    own_redis.redis.start()


@pytest.fixture(scope="module")
async def started_worker(process_settings: Settings) -> AsyncIterator[WorkerProcess]:
    process = WorkerProcess(process_settings)
    yield process
    process.ensure()
    assert process.stop() == 0
    mark = f"REMEMBR_INDEX_PREFIX={process_settings.index_prefix}"
    await eventually(lambda: naming(mark) == {}, END_TIMEOUT_S)


@pytest.fixture
def worker_process(started_worker: WorkerProcess) -> WorkerProcess:
    started_worker.ensure()
    return started_worker


@pytest.fixture(scope="module")
async def process_url(process_settings: Settings) -> AsyncIterator[str]:
    async with serving(process_settings) as url:
        yield url


@pytest.fixture
async def client(process_url: str) -> AsyncIterator[Client]:
    async with connect(process_url) as connected:
        await connected.register(f"{uuid.uuid4().hex}@example.com", PASSWORD)
        yield connected


async def wait_until_ready(client: Client, episode_id: str) -> None:
    async def ready() -> bool:
        return await status(client, episode_id) == "ready"

    await eventually(ready, READY_TIMEOUT_S)


async def test_it_goes_on_after_redis_was_restarted(
    client: Client, worker_process: WorkerProcess, redis: engines.Service
) -> None:
    await wait_until_ready(client, await client.store("before"))
    pid = worker_process.pid
    redis.restart()
    await wait_until_ready(client, await client.store("afterwards"))
    redis.kill()
    redis.start()
    await wait_until_ready(client, await client.store("after a crash, too"))
    assert worker_process.pid == pid
    assert alive(pid)


async def test_it_embeds_while_there_is_no_redis(
    client: Client, worker_process: WorkerProcess, redis: engines.Service
) -> None:
    await wait_until_ready(client, await client.store("before"))
    redis.kill()
    await wait_until_ready(client, await client.store("without"))
    redis.start()
    await wait_until_ready(client, await client.store("with it again"))
    assert alive(worker_process.pid)


async def test_nothing_is_lost_when_it_is_killed_in_the_middle(client: Client, worker_process: WorkerProcess) -> None:
    await wait_until_ready(client, await client.store("it works"))
    session_id = await client.session()
    sentence = "A long sentence about the weather, the garden and the train that came too late. "
    episodes = [
        {"role": "user", "content": f"{number}: {sentence * 4}", "session_id": session_id} for number in range(COUNT)
    ]
    await client.data("POST", "/memory/batch", status=201, json={"episodes": episodes})

    async def begun() -> bool:
        return bool((await client.data("GET", f"/sessions/{session_id}/embedding-status"))["ready"])

    await eventually(begun, READY_TIMEOUT_S)
    worker_process.kill()
    counts = await client.data("GET", f"/sessions/{session_id}/embedding-status")
    assert counts["pending"] > 0
    assert counts["total"] == COUNT
    worker_process.ensure()
    await eventually(lambda: all_ready(client, session_id, COUNT), READY_TIMEOUT_S)
    assert (await client.search("the train", session_id=session_id, search_mode="semantic"))["total"] == COUNT
