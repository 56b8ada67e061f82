"""Workers as processes, and looking at processes from outside by what they were started with. Linux's /proc."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.settings import Settings
from tests.client import Client

END_TIMEOUT_S = 20


async def eventually(condition: Callable[[], Awaitable[bool] | bool], timeout_s: float) -> None:
    """Wait until the condition holds; fails the test when it doesn't in time."""
    deadline = time.monotonic() + timeout_s
    while True:
        holds = condition()
        if holds if isinstance(holds, bool) else await holds:
            return
        assert time.monotonic() < deadline, "it never came to that"
        await asyncio.sleep(0.1)


def alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be collected has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def naming(mark: str) -> dict[int, str]:
    """pid → command line of every running process that has `mark` in its arguments or environment."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            arguments = (folder / "cmdline").read_bytes()
            started_with = arguments + b"\0" + (folder / "environ").read_bytes()
        except OSError:
            continue
        if mark.encode() in started_with and alive(int(folder.name)):
            found[int(folder.name)] = arguments.replace(b"\0", b" ").decode(errors="replace")
    return found


def stores_of(settings: Settings) -> dict[str, str]:
    """The environment that leads a command to the same installation."""
    return {
        "REMEMBR_ELASTICSEARCH_URL": str(settings.elasticsearch_url),
        "REMEMBR_REDIS_URL": str(settings.redis_url),
        "REMEMBR_INDEX_PREFIX": settings.index_prefix,
    }


async def until_listening(client: Client, timeout_s: float) -> None:
    """Wait for a process that starts to answer at all; fails the test when it doesn't in time."""

    async def listening() -> bool:
        try:
            await client.http.get("/health")
        except httpx.TransportError:
            return False
        return True

    await eventually(listening, timeout_s)


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed."""
        return json.loads(self.out)


class RemembrProcess:
    """`remembr-server <command>`, started when it doesn't run. more: environment beside the stores' addresses. log:
    a file for what it says."""

    log: Path | None = None

    def __init__(self, command: str, settings: Settings, **more: str) -> None:
        self._command = command
        self.environment = {**stores_of(settings), "REMEMBR_LOG_LEVEL": "WARNING", **more}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def ensure(self) -> None:
        """Start it, unless it runs."""
        if self._process is not None and self._process.poll() is None:
            return
        argv = [sys.executable, "-m", "app.cli", *self._command.split()]
        with self.log.open("ab") if self.log else nullcontext() as said:
            self._process = subprocess.Popen(argv, env=os.environ | self.environment, stderr=said)  # noqa: S603

    def kill(self) -> None:
        """By SIGKILL: it can finish nothing."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(END_TIMEOUT_S)

    def stop(self) -> int:
        """Ask it to end; its exit code."""
        self.send(signal.SIGTERM)
        return self.wait()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end; its exit code."""
        assert self._process is not None
        return self._process.wait(END_TIMEOUT_S)

    def freeze(self) -> None:
        """It does nothing more, and closes nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        os.kill(self.pid, signal.SIGCONT)


class WorkerProcess(RemembrProcess):
    """`remembr-server worker`, with small batches, so that there is something to be killed in the middle of."""

    def __init__(self, settings: Settings, **more: str) -> None:
        super().__init__("worker", settings, **({"REMEMBR_EMBEDDING_BATCH": "4"} | more))
