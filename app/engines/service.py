"""One embedded engine that can be started, ended, killed and started again on the same port and data."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console

from app.engines.process import Child, Command, tail
from app.engines.progress import step
from app.errors import EngineError

POLL_S = 0.05


@dataclass(frozen=True)
class Plan:
    """How to run an engine.

    ready: asks once, within a second or so, whether the engine of this pid answers. before: raises EngineError when
    a start can't work. advice: what to do, for the tail of a log and an exit code (None: it runs and never answered).
    """

    name: str
    url: str
    command: Command
    start_timeout_s: float
    ready: Callable[[int], bool]
    before: Callable[[], None]
    advice: Callable[[str, int | None], str]


class Service:
    """A running engine; see `Plan`. Its methods block, and may be called in any thread."""

    def __init__(self, plan: Plan) -> None:
        self.name = plan.name
        self.url = plan.url
        self._plan = plan
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the engine (of Elasticsearch, its launcher), or None when it was never started."""
        return self._child.pid if self._child else None

    @property
    def running(self) -> bool:
        """Whether the process is there; says nothing about its answering."""
        return self._child is not None and self._child.returncode is None

    def start(self, console: Console | None = None) -> None:
        """Start and wait until it answers. Does nothing when it runs.

        Raises EngineError with the end of its log when it ends or doesn't answer in time, and leaves nothing
        running.
        """
        if self.running:
            return
        self.stop()  # one that ended by itself leaves its guard's pipe to be closed
        self._plan.before()
        with step(console, f"Starting {self.name}", f"{self.name} answers at {self.url}"):
            self._child = Child(self._plan.command)
            try:
                self._wait(self._child)
            except BaseException:
                self._child.kill()
                raise

    def _wait(self, child: Child) -> None:
        end = time.monotonic() + self._plan.start_timeout_s
        while child.returncode is None:
            if self._plan.ready(child.pid):
                return
            if time.monotonic() > end:
                raise EngineError(self._failure(f"did not answer within {self._plan.start_timeout_s:.0f} s", None))
            time.sleep(POLL_S)
        raise EngineError(self._failure(f"ended with exit code {child.returncode}", child.returncode))

    def _failure(self, what: str, code: int | None) -> str:
        log = self._plan.command.log
        said = tail(log)
        advice = f"{self.name} {what}. {self._plan.advice(said, code)}"
        return f"{advice}\nThe end of its log, {log}:\n{said or '(it is empty)'}" if log else advice

    def ask_to_stop(self) -> None:
        """Send SIGTERM without waiting, so that several engines can stop at once."""
        if self._child:
            self._child.ask_to_stop()

    def stop(self) -> None:
        """Stop it in good order, or kill it when its grace is over."""
        if self._child:
            self._child.ask_to_stop()
            self._child.wait()

    def kill(self) -> None:
        """End it as a crash would (SIGKILL to all its processes)."""
        if self._child:
            self._child.kill()

    def restart(self) -> None:
        """Stop it if it runs, and start it on the same port and data. Raises EngineError as `start`."""
        self.stop()
        self.start()
