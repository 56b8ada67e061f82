"""What a process and its children hold and use, from /proc."""

from __future__ import annotations

import os
from pathlib import Path


def family(pid: int) -> list[int]:
    """The process and all that it has started, directly or not."""
    found = [pid]
    try:
        # Each thread has those that it has started.
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for text in (thread / "children").read_text().split():
                found += family(int(text))
    except OSError:
        # It has ended meanwhile.
        return found
    return found


def command(pid: int) -> str:
    """Its command line; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def resident(pid: int) -> int:
    """Bytes in memory; 0 when it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def handles(pid: int) -> int:
    """Open files; 0 when it has ended."""
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return 0


def cpu_s(pid: int) -> float:
    """Seconds of a core that it has used; 0 when it has ended."""
    try:
        # The name comes before and may hold spaces.
        after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(after[11]) + int(after[12])) / os.sysconf("SC_CLK_TCK")
