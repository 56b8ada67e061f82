"""What nobody gets to see: secrets in the stores, secrets of somebody's repeat, and what a bug is made of."""

from __future__ import annotations

import io
import logging
import secrets
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import jwt
import orjson
import pytest
import redis.asyncio as aioredis
from elasticsearch.helpers import async_scan

from app import logs
from app.container import Core, WorkerContainer
from app.elastic.indices import INDICES, SESSIONS
from tests.client import Client
from tests.promises import proves

KEY = "Idempotency-Key"


async def in_elasticsearch(core: Core) -> str:
    """All documents as they are stored, but for their vectors."""
    found = [
        orjson.dumps(hit).decode()
        for index in INDICES
        async for hit in async_scan(
            core.es, index=index.alias(core.settings.index_prefix), query={"_source": {"excludes": ["*_vector"]}}
        )
    ]
    return "\n".join(found)


async def in_redis(core: Core) -> str:
    """All names and their values. Values may be no text, so that the service's own client won't do."""
    assert core.settings.redis_url is not None
    async with aioredis.Redis.from_url(core.settings.redis_url) as client:
        reads = {
            b"string": client.get,
            b"hash": client.hgetall,
            b"list": lambda name: client.lrange(name, 0, -1),
            b"set": client.smembers,
            b"zset": lambda name: client.zrange(name, 0, -1),
        }
        names = [(name, await client.type(name)) async for name in client.scan_iter()]
        return "\n".join([f"{name!r} {await reads[kind](name)!r}" for name, kind in names if kind != b"none"])


@proves("auth.at-rest")
async def test_passwords_keys_and_tokens_are_in_no_store(
    organisation: Client, worker_container: WorkerContainer
) -> None:
    # Generated requests hold every string of the tests' code, and other tests store them.
    password = secrets.token_urlsafe()
    email = f"{uuid.uuid4().hex}@example.com"
    await organisation.register(email, password)
    used = await organisation.data("POST", "/auth/login", json={"email": email, "password": password})
    await organisation.data("POST", "/auth/refresh", json={"refresh_token": used["refresh_token"]})
    once = await organisation.data("POST", "/api-keys", status=201, json={"name": "x"}, headers={KEY: "k"})
    core = worker_container.core
    await core.es.indices.refresh(index=f"{core.settings.index_prefix}-*")
    stored, cached = await in_elasticsearch(core), await in_redis(core)
    # What is there to be found is found, so that the absence below says something.
    assert email in stored
    assert once["id"] in stored
    assert cached
    hidden = [password, once["api_key"], organisation.http.headers["Authorization"].removeprefix("Bearer ")]
    hidden += [pair[name] for pair in (used, organisation.tokens) for name in ("access_token", "refresh_token")]
    for secret in hidden:
        assert secret not in stored
        assert secret not in cached


@proves("idempotency.secrets")
async def test_an_answer_with_a_secret_is_never_replayed(organisation: Client) -> None:
    answers = [await organisation.send("POST", "/api-keys", json={"name": "x"}, headers={KEY: "k"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert len({answer.json()["data"]["api_key"] for answer in answers}) == 2
    assert all("X-Idempotent-Replay" not in answer.headers for answer in answers)


@proves("auth.lifetimes")
async def test_an_access_token_lives_half_an_hour_and_a_refresh_token_a_week(organisation: Client) -> None:
    for name, life in (("access_token", timedelta(minutes=30)), ("refresh_token", timedelta(days=7))):
        claims = jwt.decode(organisation.tokens[name], options={"verify_signature": False})
        assert claims["exp"] - claims["iat"] == life.total_seconds()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """The log as a server writes it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure("INFO")
    written = io.StringIO()
    handler = root.handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(written)
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)


@proves("envelope.internal")
async def test_a_bug_tells_the_caller_nothing_but_the_id_of_its_log_line(
    organisation: Client, worker_container: WorkerContainer, log: io.StringIO
) -> None:
    """Scenario 20. The stored session is broken, so that reading it fails in the code."""
    core = worker_container.core
    session_id = await organisation.session()
    index = SESSIONS.alias(core.settings.index_prefix)
    await core.es.update(index=index, id=session_id, script={"source": "ctx._source.remove('created_at')"})
    response = await organisation.http.get(f"/sessions/{session_id}")
    await core.es.delete(index=index, id=session_id)
    assert response.status_code == 500
    error: Any = response.json()["error"]
    assert (error["code"], error["details"]) == ("INTERNAL_ERROR", None)
    assert error["request_id"] == response.headers["X-Request-ID"]
    lines = [orjson.loads(line) for line in log.getvalue().splitlines()]
    failed = next(line for line in lines if line.get("exception"))
    assert failed["request_id"] == error["request_id"]
    assert "created_at" in failed["exception"]
    assert "created_at" not in response.text
    assert "Traceback" not in response.text
