"""The whole service on one machine: engines, migrations, server processes and worker, kept running.

For development, the demo and small installations; elsewhere Docker Compose or an orchestrator does it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from pydantic import SecretStr
from rich.console import Console

from app import engines, metrics
from app.engines import ports
from app.engines.process import Command
from app.engines.service import Plan, Service
from app.errors import EngineError
from app.main import BASE_PATH
from app.migrate import migrate
from app.own_secrets import with_secrets
from app.settings import Settings

# With the engines' own grace this stays below thirty seconds.
_PROCESS_GRACE_S = 8.0
_START_TIMEOUT_S = 120.0
_LOOK_EVERY_S = 0.5
_PROBE_TIMEOUT_S = 3.0
_STARTS_BEFORE_GIVING_UP = 5
_STEADY_AFTER_S = 60.0
_READY = "/health/ready"
_LIVE = "/health/live"


class Stopped(Exception):
    """SIGTERM or Ctrl-C came."""


@dataclass(frozen=True)
class Stack:
    """What runs. base_url: of the API, with its base path. services: in the order of their start."""

    settings: Settings
    base_url: str
    services: Sequence[Service]

    def keep_running(self, console: Console) -> None:
        """Start again whatever ends by itself, until `Stopped` comes. Raises EngineError when that doesn't help."""
        started: dict[str, list[float]] = {}
        while True:
            time.sleep(_LOOK_EVERY_S)
            for service in self.services:
                if service.running:
                    continue
                now = time.monotonic()
                recent = [moment for moment in started.get(service.name, []) if now - moment < _STEADY_AFTER_S]
                if len(recent) >= _STARTS_BEFORE_GIVING_UP:
                    raise EngineError(f"{service.name} keeps ending; its output above says why.")
                console.print(f"[yellow]{service.name} has ended; starting it again[/]")
                started[service.name] = [*recent, now]
                service.start(console)


@contextmanager
def running(settings: Settings, console: Console) -> Iterator[Stack]:
    """Start everything and wait until it is ready; stop it all at the end, the server first.

    Raises EngineError when something can't start, `Stopped` at SIGTERM or Ctrl-C. Call it in the main thread.
    """
    with _signals():
        settings = with_secrets(settings)
        port = ports.pick(settings.port, "the REST API", "REMEMBR_PORT")
        with engines.start(settings, console=console) as stores:
            settings = settings.model_copy(
                update={
                    "port": port,
                    "elasticsearch_url": stores.elasticsearch_url,
                    "redis_url": stores.redis_url,
                }
            )
            os.environ[metrics.SHARED_DIR] = str(_emptied(settings.data_dir / "metrics"))
            asyncio.run(migrate(settings))
            root = f"http://{_reachable(settings.host)}:{port}"
            processes = [_process("worker", ["worker"], settings, root), *_servers(settings, root, _READY)]
            with _started(processes, console):
                yield Stack(settings, root + BASE_PATH, [*stores.services, *processes])


@contextmanager
def serving(settings: Settings, console: Console) -> Iterator[Stack]:
    """The settings' number of server processes on one port, by the stores of the settings; as `running` otherwise."""
    with _signals():
        port = ports.pick(settings.port, "the REST API", "REMEMBR_PORT")
        settings = with_secrets(settings).model_copy(update={"port": port})
        # Else each of them would bring the indices up to date, at the same time.
        asyncio.run(migrate(settings))
        os.environ.setdefault(metrics.SHARED_DIR, str(_emptied(settings.data_dir / "metrics")))
        root = f"http://{_reachable(settings.host)}:{port}"
        # Stores that are away for a while are no reason to give up.
        processes = _servers(settings, root, _LIVE)
        with _started(processes, console):
            yield Stack(settings, root + BASE_PATH, processes)


def _servers(settings: Settings, root: str, probe: str) -> list[Service]:
    return [
        _process(f"server {number + 1}", ["serve", "--one-of-them"], settings, root, None if number else probe)
        for number in range(settings.workers)
    ]


@contextmanager
def _started(processes: Sequence[Service], console: Console) -> Iterator[None]:
    try:
        for process in processes:
            process.start(console)
        yield
    finally:
        for process in reversed(processes):
            process.ask_to_stop()
        for process in processes:
            process.stop()


def _emptied(folder: Path) -> Path:
    """A folder for what all processes count together; counts of processes that have ended say nothing now."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104 - compared, not bound


@contextmanager
def _signals() -> Iterator[None]:
    """SIGTERM and SIGINT raise `Stopped` once; while all is being stopped they are ignored."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        raise Stopped

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _process(name: str, arguments: list[str], settings: Settings, root: str, probe: str | None = None) -> Service:
    command = Command(
        argv=[sys.executable, "-m", "app.cli", *arguments],
        env=dict(os.environ) | _environment(settings),
        cwd=Path(__file__).parent.parent,
        log=None,
        user=None,
        grace_s=_PROCESS_GRACE_S,
    )
    ready_url = root + (probe or "")
    return Service(
        Plan(
            name=name,
            url=root + BASE_PATH if arguments[0] == "serve" else "its queue",
            command=command,
            start_timeout_s=_START_TIMEOUT_S,
            ready=(lambda _pid: _answers(ready_url)) if probe else (lambda _pid: True),
            before=lambda: None,
            advice=lambda _said, _code: "Its output is above.",
        )
    )


def _environment(settings: Settings) -> dict[str, str]:
    """What the children need beyond our own environment."""
    assert settings.jwt_secret is not None
    values = {
        "port": settings.port,
        "elasticsearch_url": settings.elasticsearch_url,
        "redis_url": settings.redis_url,
        "jwt_secret": settings.jwt_secret,
        "data_dir": settings.data_dir,
        "environment": settings.environment,
        "cache_dir": settings.cache_dir,
        "index_prefix": settings.index_prefix,
        "log_level": settings.log_level,
        "workers": settings.workers,
    }
    return {
        f"REMEMBR_{name.upper()}": value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in values.items()
    }


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=_PROBE_TIMEOUT_S) as answer:  # noqa: S310 - http, ours
            return int(answer.status) == 200
    except (urllib.error.URLError, OSError):
        return False
