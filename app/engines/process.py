"""Starting and ending one engine's process under its guard."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.engines.user import User
from app.errors import EngineError

GUARD = Path(__file__).with_name("guard.py")
# Long enough for a Python that starts on a busy two-core machine.
SPAWN_TIMEOUT_S = 20.0
# What the guard may need after the engine's own grace: SIGKILL, reaping, leaving.
GUARD_MARGIN_S = 2.0


@dataclass(frozen=True)
class Command:
    """What to run. `user` None keeps the present one, `log` None this process's standard error; `grace_s`
    lies between SIGTERM and SIGKILL."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    log: Path | None
    user: User | None
    grace_s: float


class Child:
    """A running command. It ends with this process whatever ends that, and hears no Ctrl-C of its terminal.

    Raises EngineError when the command can't be started. May be made in any thread.
    """

    def __init__(self, command: Command) -> None:
        self._command = command
        ids = [str(command.user.uid), str(command.user.gid)] if command.user else ["-", "-"]
        with _fresh_log(command.log) if command.log else nullcontext() as log:
            self._guard = subprocess.Popen(  # noqa: S603 - our own script and command
                [
                    sys.executable,
                    "-I",
                    "-S",
                    str(GUARD),
                    *ids,
                    str(command.grace_s),
                    str(os.getpid()),
                    *command.argv,
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(command.env),
                cwd=command.cwd,
                umask=0o077,
                start_new_session=True,
            )
        self.pid = self._started()

    def _started(self) -> int:
        assert self._guard.stdout is not None
        with self._guard.stdout as report:
            ready, _, _ = select.select([report], [], [], SPAWN_TIMEOUT_S)
            line = report.readline().decode(errors="replace").strip() if ready else ""
        word, _, rest = line.partition(" ")
        if word == "started":
            return int(rest)
        self._close()
        self._guard.kill()
        self._guard.wait()
        why = rest or tail(self._command.log, 5) or f"no answer within {SPAWN_TIMEOUT_S:.0f} s"
        raise EngineError(f"{self._command.argv[0]} could not be started: {why}")

    def _close(self) -> None:
        assert self._guard.stdin is not None
        self._guard.stdin.close()

    @property
    def returncode(self) -> int | None:
        """Exit code, 128 + signal number, or None while it runs."""
        return self._guard.poll()

    def ask_to_stop(self) -> None:
        """Send SIGTERM, and return at once; `wait` for the end."""
        self._close()

    def wait(self) -> int:
        """Wait for its end, in good time after `ask_to_stop`: its grace and two seconds, then it is killed."""
        try:
            code = self._guard.wait(self._command.grace_s + GUARD_MARGIN_S)
        except subprocess.TimeoutExpired:
            return self.kill()
        self._close()
        return code

    def kill(self) -> int:
        """SIGKILL the command and all it started, as a crash would; gives the exit code."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has ended by itself; the guard is about to say so
        self._close()
        try:
            return self._guard.wait(GUARD_MARGIN_S)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            return self._guard.wait()


def _fresh_log(path: Path) -> BinaryIO:
    if path.exists():
        path.replace(path.with_name(path.name + ".old"))
    return path.open("ab")


def tail(path: Path | None, lines: int = 25) -> str:
    """The last lines of a log, or an empty string when there is none. Reads at most 64 KiB."""
    if path is None or not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 65_536))
        text = file.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:])
