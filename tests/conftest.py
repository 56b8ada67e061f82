"""Real Elasticsearch, real Redis, a real server over HTTP; every test registers its own organisation.

The engines start once per run. REMEMBR_TEST_ELASTICSEARCH_URL names one that runs already.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import hypothesis
import pytest
from aiohttp import web
from pydantic import SecretStr

from app import engines
from app.container import WorkerContainer, open_worker_container
from app.elastic.client import open_elasticsearch
from app.main import BASE_PATH, create_app
from app.migrate import migrate
from app.settings import Settings
from tests.client import Client, connect
from tests.coverage import (  # noqa: F401
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_sessionfinish,
    pytest_sessionstart,
    pytest_terminal_summary,
)
from tests.fuzzing import FULL
from tests.receivers import Receiver
from workers.run import make_worker

pytest_plugins = ["tests.reliability"]

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("suite")

PASSWORD = "correct-horse-battery-staple"


@pytest.fixture(scope="session")
def base_settings() -> Iterator[Settings]:
    """Settings without the engines' addresses. The folder can be entered by the user the engines run as."""
    with tempfile.TemporaryDirectory(prefix="remembr-test-") as folder:
        Path(folder).chmod(0o755)
        yield Settings(
            data_dir=Path(folder),
            elasticsearch_url=os.environ.get("REMEMBR_TEST_ELASTICSEARCH_URL"),
            redis_url=None,
            elasticsearch_java_options=engines.SHORT_LIVED,
            jwt_secret=SecretStr("a-secret-for-tests-that-is-long-enough"),
            index_prefix=f"test-{uuid.uuid4().hex[:8]}",
            bcrypt_rounds=4,
            # Hundreds register from one address, and some tests one account many times.
            sign_in_per_address=0,
            sign_in_per_email=0,
            # Much that is made up comes from one caller.
            rate_limit_per_minute=0 if FULL else Settings().rate_limit_per_minute,
            host="127.0.0.1",
            port=0,
        )


@pytest.fixture(scope="session")
def running_engines(base_settings: Settings) -> Iterator[engines.Engines]:
    """Elasticsearch and Redis for the whole run."""
    with engines.start(base_settings) as started:
        yield started


@pytest.fixture(scope="session")
async def settings(base_settings: Settings, running_engines: engines.Engines) -> AsyncIterator[Settings]:
    """Settings of everything under test, its indices made; they go again, for an Elasticsearch that stays."""
    complete = base_settings.model_copy(
        update={
            "elasticsearch_url": running_engines.elasticsearch_url,
            "redis_url": running_engines.redis_url,
        }
    )
    await migrate(complete)
    yield complete
    assert complete.elasticsearch_url is not None
    async with open_elasticsearch(complete, complete.elasticsearch_url) as es:
        made = await es.indices.get(index=f"{complete.index_prefix}-*")
        await es.indices.delete(index=list(made))
        await es.indices.delete_index_template(name=f"{complete.index_prefix}-*")
        await es.cluster.delete_component_template(name=f"{complete.index_prefix}-*")


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[str]:
    """A server of these settings in this process; yields its base URL."""
    runner = web.AppRunner(create_app(settings), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}{BASE_PATH}"
    finally:
        await runner.cleanup()


@pytest.fixture(scope="session")
async def base_url(settings: Settings) -> AsyncIterator[str]:
    """The base URL of the server that most tests use."""
    async with serving(settings) as url:
        yield url


@pytest.fixture(scope="session")
async def second_url(settings: Settings) -> AsyncIterator[str]:
    """Another server over the same stores that shares nothing else with the first."""
    async with serving(settings) as url:
        yield url


@pytest.fixture
async def anonymous(base_url: str) -> AsyncIterator[Client]:
    """A client without credentials."""
    async with connect(base_url) as client:
        yield client


NewOrganisation = Callable[[], Awaitable[Client]]


@pytest.fixture
async def new_organisation(base_url: str) -> AsyncIterator[NewOrganisation]:
    """Registers an organisation per call and gives a client with an API key of its owner."""
    async with AsyncExitStack() as opened:

        async def register() -> Client:
            client = await opened.enter_async_context(connect(base_url))
            await client.register(f"{uuid.uuid4().hex}@example.com", PASSWORD)
            return client

        yield register


@pytest.fixture
async def organisation(new_organisation: NewOrganisation) -> Client:
    """A fresh organisation."""
    return await new_organisation()


@pytest.fixture
async def stranger(new_organisation: NewOrganisation) -> Client:
    """Another fresh organisation."""
    return await new_organisation()


@pytest.fixture(scope="session")
async def worker_container(settings: Settings) -> AsyncIterator[WorkerContainer]:
    """The worker's wiring, its model loaded once per run."""
    async with open_worker_container(settings) as container:
        yield container


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Something on loopback that webhooks may be sent to."""
    made = Receiver()
    await made.start()
    yield made
    await made.stop()


Embed = Callable[[], Awaitable[None]]


@pytest.fixture(scope="session")
def embed(settings: Settings, worker_container: WorkerContainer) -> Embed:
    """Runs the real arq worker until nothing is due. Raises when a job fails."""
    return embedding(settings, worker_container)


def embedding(settings: Settings, container: WorkerContainer) -> Embed:
    """`embed` for other indices than those of most tests."""

    async def run() -> None:
        await container.core.outbox._queue.enqueue_job("embed_pending")
        worker = make_worker(settings, container, burst=True)
        try:
            await worker.async_run()
        finally:
            await worker.close()
        assert worker.jobs_failed == 0

    return run
