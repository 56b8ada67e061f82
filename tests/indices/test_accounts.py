"""kibana/accounts.sh on an Elasticsearch with security on: each account can do its work, and no more."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt
import httpx
import pytest
from pydantic import SecretStr

from app import engines
from app.engines import configuration, elasticsearch
from app.main import BASE_PATH
from app.migrate import migrate
from app.settings import Settings
from tests.client import connect
from tests.conftest import PASSWORD, serving
from tests.processes import WorkerProcess, eventually

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
OPERATOR = ("operator", "operators-password")
PASSWORDS = {
    "ELASTIC_PASSWORD": "elastic-password",
    "REMEMBR_ELASTICSEARCH_PASSWORD": "services-password",
    "KIBANA_PASSWORD": "kibanas-password",
    "KIBANA_READER_PASSWORD": "readers-password",
}
READER = ("remembr_reader", PASSWORDS["KIBANA_READER_PASSWORD"])
SECURE = """xpack.security.enabled: true
xpack.security.http.ssl.enabled: false
xpack.security.transport.ssl.enabled: false"""
EMBED_S = 60


@dataclass
class Secured:
    """settings: the service's, with its account."""

    url: str
    settings: Settings

    def ask(self, method: str, path: str, who: tuple[str, str], body: Any = None) -> httpx.Response:
        return httpx.request(method, self.url + path, auth=who, json=body, timeout=30)


@pytest.fixture(scope="module")
def secured(base_settings: Settings) -> Iterator[Secured]:
    """A node of its own, with an operator who is known to it by file, as there is no password yet."""
    plain, configure = configuration._settings, configuration.configure

    def secure(*arguments: Any) -> str:
        return plain(*arguments).replace("xpack.security.enabled: false", SECURE)

    def with_operator(home: Path, folder: Path, *more: Any) -> None:
        configure(home, folder, *more)
        name, password = OPERATOR
        hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4, prefix=b"2a")).decode()
        (folder / "config/users").write_text(f"{name}:{hashed}\n")
        (folder / "config/users_roles").write_text(f"superuser:{name}\n")

    def is_ready(url: str, _cluster: str) -> bool:
        try:
            return httpx.get(f"{url}/_cluster/health", auth=OPERATOR, timeout=3).status_code == 200
        except httpx.TransportError:
            return False

    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="remembr-test-") as folder:
        Path(folder).chmod(0o755)
        patch.setattr(configuration, "_settings", secure)
        patch.setattr(elasticsearch, "configure", with_operator)
        patch.setattr(elasticsearch, "is_ready", is_ready)
        own = {"data_dir": Path(folder), "elasticsearch_url": None, "elasticsearch_heap": "512m"}
        with engines.start(base_settings.model_copy(update=own)) as started:
            account = {
                "elasticsearch_url": started.elasticsearch_url,
                "elasticsearch_username": "remembr",
                "elasticsearch_password": SecretStr(PASSWORDS["REMEMBR_ELASTICSEARCH_PASSWORD"]),
                "redis_url": started.redis_url,
                "index_prefix": "remembr",
            }
            yield Secured(started.elasticsearch_url, base_settings.model_copy(update=own | account))


async def test_each_account_does_its_work_and_no_more(secured: Secured) -> None:
    password = {"password": PASSWORDS["ELASTIC_PASSWORD"]}
    assert secured.ask("PUT", "/_security/user/elastic/_password", OPERATOR, password).status_code == 200
    for _ in range(2):
        process = await asyncio.create_subprocess_exec(
            "bash", ROOT / "kibana/accounts.sh",
            env=os.environ | PASSWORDS | {"ELASTICSEARCH_URL": secured.url},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, err = await process.communicate()
        assert process.returncode == 0, err.decode()
    await the_service_works(secured)
    service = ("remembr", PASSWORDS["REMEMBR_ELASTICSEARCH_PASSWORD"])
    assert secured.ask("POST", "/elsewhere/_doc", service, {"a": 1}).status_code == 403
    assert secured.ask("GET", "/_security/user", service).status_code == 403
    assert secured.ask("GET", "/remembr-episodes/_search", READER).json()["hits"]["total"]["value"] == 1
    for index in ("accounts", "webhooks", "refresh-tokens", "sessions"):
        assert secured.ask("GET", f"/remembr-{index}/_search", READER).status_code == 403, index
    assert secured.ask("POST", "/remembr-episodes/_doc?routing=x", READER, {"a": 1}).status_code == 403
    kibana = ("kibana_system", PASSWORDS["KIBANA_PASSWORD"])
    assert secured.ask("GET", "/_security/_authenticate", kibana).status_code == 200
    the_role_of_the_document_hides_what_was_said(secured)


async def the_service_works(secured: Secured) -> None:
    """Migrations, a server, a worker, doctor: by its own account."""
    await migrate(secured.settings)
    secret = SecretStr("a-secret-for-tests-that-is-long-enough")
    worker = WorkerProcess(
        secured.settings,
        REMEMBR_ELASTICSEARCH_USERNAME="remembr",
        REMEMBR_ELASTICSEARCH_PASSWORD=PASSWORDS["REMEMBR_ELASTICSEARCH_PASSWORD"],
        REMEMBR_DATA_DIR=str(secured.settings.data_dir),
    )
    worker.ensure()
    try:
        async with serving(secured.settings.model_copy(update={"jwt_secret": secret})) as url, connect(url) as client:
            assert url.endswith(BASE_PATH)
            await client.register("ada@example.com", PASSWORD)
            episode_id = await client.store("Said by an account that may do little")

            async def embedded() -> bool:
                status = await client.data("GET", f"/memory/{episode_id}/status")
                return bool(status["embedding_status"] == "ready")

            await eventually(embedded, EMBED_S)
            assert await client.contents("an account") == ["Said by an account that may do little"]
    finally:
        worker.stop()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli", "doctor", "--json",
        env=os.environ | worker.environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert {each["about"] for each in json.loads(out) if each["state"] == "bad"} == set()


def the_role_of_the_document_hides_what_was_said(secured: Secured) -> None:
    """With a licence that can; Basic refuses the role."""
    page = (ROOT / "docs/kibana.md").read_text()
    found = re.search(r"```json\n(\[.*?\])\n```", page, re.DOTALL)
    assert found is not None
    role = {"indices": json.loads(found[1])}
    assert secured.ask("PUT", "/_security/role/numbers", OPERATOR, role).status_code == 403
    assert secured.ask("POST", "/_license/start_trial?acknowledge=true", OPERATOR).status_code == 200
    assert secured.ask("PUT", "/_security/role/numbers", OPERATOR, role).status_code == 200
    user = {"password": "numbers-password", "roles": ["numbers"]}
    assert secured.ask("PUT", "/_security/user/numbers", OPERATOR, user).status_code == 200
    answer = secured.ask("GET", "/remembr-episodes/_search", ("numbers", "numbers-password"))
    (hit,) = answer.json()["hits"]["hits"]
    assert hit["_source"]["embedding_status"] == "ready"
    assert "account that may do little" not in answer.text
    words = {"query": {"match": {"content": "account"}}}
    hidden = secured.ask("POST", "/remembr-episodes/_search", ("numbers", "numbers-password"), words)
    assert hidden.json()["hits"]["total"]["value"] == 0
