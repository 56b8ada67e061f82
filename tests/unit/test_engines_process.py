"""Children end with their parent, by whatever it ends; real processes throughout."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.engines.process import Child, Command, tail
from app.errors import EngineError

ENV = {"PATH": os.defpath}
PARENT = """
import sys, time
from pathlib import Path
from app.engines.process import Child, Command
child = Child(Command(sys.argv[2:], {"PATH": "/usr/bin:/bin"}, Path("/"), Path(sys.argv[1]), None, 5.0))
print(child.pid, flush=True)
time.sleep(60)
"""
# A shell that ends at SIGTERM only after it has written that it was asked to.
POLITE = "trap 'echo closed; exit 0' TERM; echo ready; while :; do sleep 0.02; done"


def command(tmp_path: Path, *argv: str, grace_s: float = 5.0) -> Command:
    return Command(argv, ENV, Path("/"), tmp_path / "log", None, grace_s)


def wait_for(what: Callable[[], bool], seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.01)
    return what()


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # An orphan whose new parent has yet to collect it has ended all the same.
    return (
        subprocess.run(  # noqa: S603
            ["/bin/ps", "-o", "stat=", "-p", str(pid)], capture_output=True
        ).stdout[:1]
        in (
            b"Z",
            b"",
        )
    )


def test_killing_the_parent_ends_the_child_in_good_order(tmp_path: Path) -> None:
    log = tmp_path / "log"
    argv = [sys.executable, "-c", PARENT, str(log), "sh", "-c", POLITE]
    with subprocess.Popen(  # noqa: S603
        argv, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert wait_for(lambda: "ready" in tail(log))
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert wait_for(lambda: gone(pid))
    assert "closed" in tail(log)


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_killing_the_guard_ends_the_child(tmp_path: Path) -> None:
    child = Child(command(tmp_path, "sleep", "60"))
    child._guard.kill()
    assert wait_for(lambda: gone(child.pid))
    child.wait()


def test_the_child_is_out_of_reach_of_the_terminals_ctrl_c(tmp_path: Path) -> None:
    child = Child(command(tmp_path, "sleep", "60"))
    assert os.getsid(child.pid) != os.getsid(0)
    assert os.getpgid(child.pid) not in (os.getpgid(0), os.getpgid(child._guard.pid))
    child.kill()


def test_stop_lets_it_close_and_gives_its_exit_code(tmp_path: Path) -> None:
    child = Child(command(tmp_path, "sh", "-c", POLITE))
    assert wait_for(lambda: "ready" in tail(tmp_path / "log"))
    assert child.returncode is None
    child.ask_to_stop()
    assert child.wait() == 0
    assert "closed" in tail(tmp_path / "log")


def test_one_that_does_not_listen_is_killed_with_all_it_started(tmp_path: Path) -> None:
    deaf = "trap '' TERM; sleep 60 & echo $!; wait; sleep 60"
    child = Child(command(tmp_path, "sh", "-c", deaf, grace_s=0.2))
    assert wait_for(lambda: tail(tmp_path / "log") != "")
    child.ask_to_stop()
    assert child.wait() == 128 + signal.SIGKILL
    assert wait_for(lambda: gone(int(tail(tmp_path / "log"))))


def test_what_a_start_script_leaves_behind_may_close_in_its_own_time(tmp_path: Path) -> None:
    server = "trap 'sleep 0.2; echo closed; exit 0' TERM; echo ready; while :; do sleep 0.02; done"
    script = f"sh -c {shlex.quote(server)}; echo never"
    child = Child(command(tmp_path, "sh", "-c", script))
    assert wait_for(lambda: "ready" in tail(tmp_path / "log"))
    child.ask_to_stop()
    assert child.wait() == 128 + signal.SIGTERM
    assert "closed" in tail(tmp_path / "log")


def test_kill_ends_it_at_once_and_may_be_repeated(tmp_path: Path) -> None:
    child = Child(command(tmp_path, "sleep", "60"))
    assert child.kill() == 128 + signal.SIGKILL
    assert child.kill() == 128 + signal.SIGKILL
    assert gone(child.pid)


def test_its_exit_code_is_seen(tmp_path: Path) -> None:
    child = Child(command(tmp_path, "sh", "-c", "exit 7"))
    assert wait_for(lambda: child.returncode is not None)
    assert child.wait() == 7


def test_a_command_that_is_not_there_is_an_engine_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"/no/such/engine could not be started: .*No such file"):
        Child(command(tmp_path, "/no/such/engine"))


def test_the_log_of_the_start_before_is_kept(tmp_path: Path) -> None:
    for word in ("first", "second"):
        Child(command(tmp_path, "echo", word)).wait()
    assert tail(tmp_path / "log") == "second"
    assert tail(tmp_path / "log.old") == "first"


def test_tail_gives_the_last_lines_of_a_long_log(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("".join(f"line {number}\n" for number in range(20_000)))
    assert tail(tmp_path / "log", 2) == "line 19998\nline 19999"
    assert tail(tmp_path / "none") == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_becomes_the_engines_user(tmp_path: Path) -> None:
    from app.engines.user import engine_user

    user = engine_user()
    assert user is not None
    asked = Command(["sh", "-c", "id -u; id -G"], ENV, Path("/"), tmp_path / "log", user, 1.0)
    Child(asked).wait()
    assert tail(tmp_path / "log").split() == [str(user.uid), str(user.gid)]
