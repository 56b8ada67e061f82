"""What servers and workers write into their logs at the lowest level: which request it was, and nothing that was
said, asked or secret in it."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.engines import ports
from app.main import BASE_PATH
from app.migrate import migrate
from app.settings import Settings
from tests.client import Client, connect
from tests.processes import RemembrProcess, WorkerProcess, eventually, until_listening
from tests.receivers import Receiver

SOON_S = 60
UP_S = 60
REQUEST = "from-the-first-to-the-last"

pytestmark = pytest.mark.slow


@dataclass
class Logged:
    """Both processes, and a caller that isn't registered yet."""

    client: Client
    files: list[Path]

    def lines(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for file in self.files for line in file.read_bytes().splitlines()]

    def text(self) -> str:
        return "\n".join(file.read_text() for file in self.files)


@pytest.fixture
async def logged(settings: Settings, tmp_path: Path) -> AsyncIterator[Logged]:
    own = settings.model_copy(update={"index_prefix": f"{settings.index_prefix}-l"})
    await migrate(own)
    port = ports.pick(0, "a server", "REMEMBR_PORT")
    common = {
        "REMEMBR_LOG_LEVEL": "DEBUG",
        "REMEMBR_ENCRYPTION_KEYS": "a-key-for-tests-that-is-long-enough-to-be-one",
        "REMEMBR_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
    }
    secret = {"REMEMBR_PORT": str(port), "REMEMBR_JWT_SECRET": "a-secret-for-tests-that-is-long-enough"}
    processes = [RemembrProcess("serve", own, **common, **secret), WorkerProcess(own, **common)]
    files = [tmp_path / "server", tmp_path / "worker"]
    async with AsyncExitStack() as stack:
        for process, file in zip(processes, files, strict=True):
            process.log = file
            process.ensure()
            stack.callback(process.kill)
        client = await stack.enter_async_context(connect(f"http://127.0.0.1:{port}{BASE_PATH}"))
        await until_listening(client, UP_S)
        yield Logged(client, files)


async def test_logs_tell_which_request_it_was_and_nothing_that_was_said(logged: Logged) -> None:
    client = logged.client
    word = {name: f"canary{name}{secrets.token_hex(8)}" for name in (
        "password", "content", "query", "tag", "metadata", "name", "invalid", "path", "title", "other",
    )}  # fmt: skip
    email = f"{uuid.uuid4().hex}@canary.example"
    await client.register(email, word["password"])
    login = await client.data("POST", "/auth/login", json={"email": email, "password": word["password"]})
    await client.error("POST", "/auth/login", 401, json={"email": email, "password": word["other"]})
    await client.data("POST", "/auth/refresh", json={"refresh_token": login["refresh_token"]})
    await client.data("POST", "/api-keys", status=201, json={"name": word["name"]})
    receiver = Receiver()
    await receiver.start()
    # It is refused there, which is logged.
    away = f"http://127.0.0.1:{ports.pick(0, 'nobody', 'NOBODY')}/{word['path']}"
    hooks = [
        await client.data("POST", "/webhooks", status=201, json={"url": url, "events": ["memory.stored"]})
        for url in (receiver.url, away)
    ]
    session_id = await client.session(title=word["title"])
    body = {
        "role": "user",
        "content": word["content"],
        "tags": [word["tag"]],
        "metadata": {"x": word["metadata"]},
        "session_id": session_id,
    }
    stored = await client.data("POST", "/memory", status=201, json=body, headers={"X-Request-ID": REQUEST})
    for mode in ("keyword", "hybrid", "semantic"):
        await client.search(word["query"], search_mode=mode, tags=[word["tag"]])
    await client.error(
        "POST", "/memory", 422, json={"role": "user", "content": word["content"], "tags": word["invalid"]}
    )
    await client.error(
        "POST", "/memory", 400, content=b"{" + word["invalid"].encode(), headers={"Content-Type": "application/json"}
    )
    await client.error("GET", f"/sessions/{word['invalid']}", 404)
    await client.send("GET", "/export")

    def worker_has_told() -> bool:
        lines = logged.lines()
        embedded = any(line["event"] == "embedded" and REQUEST in line["request_ids"] for line in lines)
        tried = [line for line in lines if line["event"] == "a delivery was tried" and line["request_id"] == REQUEST]
        return embedded and {line["webhook_id"] for line in tried} == {hook["id"] for hook in hooks}

    await eventually(worker_has_told, SOON_S)
    await client.data("DELETE", f"/memory/{stored['episode_id']}/hard")
    await receiver.stop()
    text = logged.text()
    assert any(line["event"] == "request" and line["request_id"] == REQUEST for line in logged.lines())
    hidden = [*word.values(), email, login["access_token"], login["refresh_token"], hooks[0]["secret"]]
    hidden.append(client.http.headers["Authorization"].removeprefix("Bearer "))
    assert [secret for secret in hidden if secret in text] == []
