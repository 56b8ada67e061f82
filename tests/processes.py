"""Looking at processes from outside, by what they were started with. Linux's /proc."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path


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
