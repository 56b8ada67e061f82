"""Stands between this program and one engine, so that the engine never outlives the program.

Run as a script, with nothing but the standard library, by `process.Child`:

    python -I -S guard.py UID GID GRACE_S PARENT_PID COMMAND...        ("-" keeps user or group)

It drops to the given user, starts the command in a process group of its own, reports `started PID` or
`failed REASON` on standard output, and then waits for the first of three: the command ends; standard input
closes or the parent's pid changes (the parent is gone, even by SIGKILL); a SIGTERM. In the latter two it
sends the group SIGTERM, and SIGKILL GRACE_S seconds later. Should the guard itself be killed, Linux sends
the command SIGTERM (prctl(2), PR_SET_PDEATHSIG).

Why a process and not PR_SET_PDEATHSIG alone: that one is Linux's own, fires when the forking *thread* ends,
is lost when the user changes, and can't give an engine time to close before it is killed.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from types import FrameType

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
# The parent's end of standard input can be kept open by a process it forked, so its pid is looked at as well.
PARENT_CHECK_S = 0.5
GROUP_CHECK_S = 0.02


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _die_with_guard() -> None:
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _drop(uid: str, gid: str) -> None:
    if uid == "-":
        return
    os.setgroups([])
    os.setgid(int(gid))
    os.setuid(int(uid))


def _watch(child: subprocess.Popen[bytes], parent: int, wake: int, asked: list[int]) -> None:
    while child.poll() is None and not asked and os.getppid() == parent:
        ready, _, _ = select.select([0, wake], [], [], PARENT_CHECK_S)
        if wake in ready:
            os.read(wake, 512)
        if 0 in ready and not os.read(0, 512):
            return


def _group_is_gone(child: subprocess.Popen[bytes]) -> bool:
    # Members whose own parent has ended come to us, and count as there until they are collected.
    if child.poll() is not None:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-child.pid, os.WNOHANG) != (0, 0):
                pass
    try:
        os.killpg(child.pid, 0)
    except ProcessLookupError:
        return True
    return False


def _end(child: subprocess.Popen[bytes], grace_s: float) -> None:
    # The group and not the child alone: a launcher or start script may be gone while its server still closes.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
    end = time.monotonic() + grace_s
    while not _group_is_gone(child) and time.monotonic() < end:
        time.sleep(GROUP_CHECK_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def main(arguments: list[str]) -> int:
    """Guard one command; gives its exit code, 128 + the signal that ended it, or 127 when it can't start."""
    uid, gid, grace_s, parent, *command = arguments
    wake, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    asked: list[int] = []

    def ask(number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            asked.append(number)

    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, ask)
    try:
        _drop(uid, gid)
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
        # This process has one thread, so a function between fork and exec is safe here.
        child = subprocess.Popen(  # noqa: S603 - the command is our own
            command,
            stdin=subprocess.DEVNULL,
            stdout=2,
            process_group=0,
            preexec_fn=_die_with_guard,
        )
    except OSError as error:
        os.write(1, f"failed {error}\n".encode())
        return 127
    os.write(1, f"started {child.pid}\n".encode())
    os.close(1)
    _watch(child, int(parent), wake, asked)
    _end(child, float(grace_s))
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
