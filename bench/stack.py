"""The engines, server processes and worker that are measured: the product's own, each in its own process."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from app import engines
from app.elastic.indices import INDICES
from app.engines import ports
from app.engines.process import Command
from app.engines.service import Plan, Service
from app.main import BASE_PATH
from app.migrate import migrate
from app.settings import Settings

ROOT = Path(__file__).parent.parent
START_TIMEOUT_S = 120.0
_GRACE_S = 8.0


@dataclass(frozen=True)
class Server:
    """A server process. root: its address without a path."""

    root: str
    service: Service

    @property
    def api(self) -> str:
        return self.root + BASE_PATH


@contextmanager
def stores(elasticsearch_url: str | None, redis_url: str | None) -> Iterator[Settings]:
    """Settings of running stores: those at the addresses given, else new ones with 1 GiB heap.

    Raises EngineError when they can't be started.
    """
    # The engines run as another user when we are root, so the folder must let them in.
    with tempfile.TemporaryDirectory(prefix="remembr-bench-") as folder:
        Path(folder).chmod(0o755)
        settings = Settings(
            data_dir=Path(folder),
            elasticsearch_url=elasticsearch_url,
            redis_url=redis_url,
            elasticsearch_heap="1g",
            jwt_secret=SecretStr(uuid.uuid4().hex + uuid.uuid4().hex),
            index_prefix=f"bench-{uuid.uuid4().hex[:8]}",
            bcrypt_rounds=4,
            rate_limit_per_minute=0,
            sign_in_per_address=0,
            host="127.0.0.1",
            log_level="WARNING",
        )
        with engines.start(settings) as running:
            addresses = {"elasticsearch_url": running.elasticsearch_url, "redis_url": running.redis_url}
            yield settings.model_copy(update=addresses)


@contextmanager
def indices(settings: Settings, **changes: object) -> Iterator[Settings]:
    """The same stores with indices of their own, made and at the end deleted again with their templates."""
    prefix = f"{settings.index_prefix}-{uuid.uuid4().hex[:4]}"
    own = settings.model_copy(update={"index_prefix": prefix, **changes})
    asyncio.run(migrate(own))
    try:
        yield own
    finally:
        for index in INDICES:
            _delete(f"{own.elasticsearch_url}/{index.concrete(prefix)}")
            # Where bare writes went.
            _delete(f"{own.elasticsearch_url}/{index.alias(prefix)}-v{index.generation + 1}")
            _delete(f"{own.elasticsearch_url}/_index_template/{index.alias(prefix)}")
        for component in ("settings", "ownership"):
            _delete(f"{own.elasticsearch_url}/_component_template/{prefix}-{component}")


@contextmanager
def server(settings: Settings) -> Iterator[Server]:
    """A server process of these settings that answers."""
    port = ports.pick(0, "the server", "REMEMBR_PORT")
    root = f"http://127.0.0.1:{port}"
    settings = settings.model_copy(update={"port": port})
    with _running("server", "serve", settings, root) as service:
        yield Server(root, service)


@contextmanager
def worker(settings: Settings) -> Iterator[Service]:
    """A worker process. It loads its model for some seconds after this returns."""
    with _running("worker", "worker", settings, None) as service:
        yield service


@contextmanager
def _running(name: str, command: str, settings: Settings, root: str | None) -> Iterator[Service]:
    plan = Plan(
        name=name,
        url=root or "",
        command=Command(
            argv=[sys.executable, "-m", "app.cli", command],
            env=dict(os.environ) | environment(settings),
            cwd=ROOT,
            log=None,
            user=None,
            grace_s=_GRACE_S,
        ),
        start_timeout_s=START_TIMEOUT_S,
        ready=lambda _pid: root is None or _answers(f"{root}/health/ready"),
        before=lambda: None,
        advice=lambda _said, _code: "Its output is above.",
    )
    with ExitStack() as stack:
        service = Service(plan)
        service.start()
        stack.callback(service.stop)
        yield service


def environment(settings: Settings) -> dict[str, str]:
    """Environment variables that make equal settings in another process."""
    values = {name: getattr(settings, name) for name in settings.model_fields_set}
    return {
        f"REMEMBR_{name.upper()}": value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in values.items()
        if value is not None
    }


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=3) as answer:  # noqa: S310 - http, ours
            return int(answer.status) == 200
    except (urllib.error.URLError, OSError):
        return False


def _delete(url: str) -> None:
    request = urllib.request.Request(url, method="DELETE")  # noqa: S310 - http, given by the user
    try:
        with urllib.request.urlopen(request, timeout=30):  # noqa: S310
            pass
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
