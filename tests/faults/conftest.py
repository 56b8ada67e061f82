"""Engines that may be killed and frozen, and two servers over them that must not hang."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from app import engines
from app.migrate import migrate
from app.settings import Settings
from tests.client import Client, connect
from tests.conftest import PASSWORD, serving

REQUEST_TIMEOUT_S = 2.0
"""What the servers here give Elasticsearch; less than they do by default, to be quick."""
PATIENCE_S = 20.0
"""After which a request counts as hanging. Far above the time-outs, for machines that are busy."""
BACK_S = 90.0


@pytest.fixture(scope="package")
def fault_engines() -> Iterator[engines.Engines]:
    """An Elasticsearch and a Redis of this folder's own, started once."""
    with (
        tempfile.TemporaryDirectory(prefix="remembr-faults-", ignore_cleanup_errors=True) as folder,
        engines.start(embedded(Path(folder))) as started,
    ):
        yield started


def embedded(folder: Path) -> Settings:
    """Settings of engines that are started for a test, small, with their data in that folder."""
    folder.chmod(0o755)
    return Settings(
        data_dir=folder,
        elasticsearch_url=None,
        redis_url=None,
        elasticsearch_heap="512m",
        elasticsearch_java_options=engines.SHORT_LIVED,
        jwt_secret=SecretStr("a-secret-for-tests-that-is-long-enough"),
        bcrypt_rounds=4,
    )


@pytest.fixture(scope="package")
async def fault_settings(fault_engines: engines.Engines) -> Settings:
    own = Settings(
        elasticsearch_url=fault_engines.elasticsearch_url,
        redis_url=fault_engines.redis_url,
        elasticsearch_timeout_s=REQUEST_TIMEOUT_S,
        jwt_secret=SecretStr("a-secret-for-tests-that-is-long-enough"),
        bcrypt_rounds=4,
        sign_in_per_address=0,
        host="127.0.0.1",
        port=0,
    )
    await migrate(own)
    return own


@pytest.fixture(scope="package")
async def first_url(fault_settings: Settings) -> AsyncIterator[str]:
    async with serving(fault_settings) as url:
        yield url


@pytest.fixture(scope="package")
async def other_url(fault_settings: Settings) -> AsyncIterator[str]:
    """A second server over the same engines."""
    async with serving(fault_settings) as url:
        yield url


@pytest.fixture
def elasticsearch(fault_engines: engines.Engines) -> Iterator[engines.Service]:
    """Elasticsearch, running before and after."""
    assert fault_engines.elasticsearch is not None
    yield fault_engines.elasticsearch
    fault_engines.elasticsearch.start()


@pytest.fixture
def redis(fault_engines: engines.Engines) -> Iterator[engines.Service]:
    """Redis, running before and after."""
    assert fault_engines.redis is not None
    yield fault_engines.redis
    fault_engines.redis.start()


@dataclass(frozen=True)
class Pair:
    """One caller at both servers."""

    first: Client
    other: Client


@pytest.fixture
async def callers(first_url: str, other_url: str) -> AsyncIterator[Pair]:
    """A fresh organisation, at both servers. Waits until a test before has been got over."""
    async with connect(first_url) as first, connect(other_url) as other:
        for client in (first, other):
            client.http.timeout = httpx.Timeout(PATIENCE_S)
        await until_well(first)
        await until_well(other)
        await first.register(f"{uuid.uuid4().hex}@example.com", PASSWORD)
        other.http.headers["Authorization"] = first.http.headers["Authorization"]
        yield Pair(first, other)


async def until_well(client: Client) -> None:
    """Wait until the server says that both stores answer."""
    deadline = time.monotonic() + BACK_S
    while (await client.send("GET", "/health/ready")).status_code != 200:
        assert time.monotonic() < deadline, "the server did not recover"
        await asyncio.sleep(0.2)


@contextmanager
def frozen(service: engines.Service) -> Iterator[None]:
    """The engine neither answers nor closes its connections, as behind a broken network."""
    assert service.pid is not None
    os.killpg(service.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(service.pid, signal.SIGCONT)
