"""Token counts: exact, offline, bounded in time, safe at a start of several processes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from app import tokens
from app.errors import EngineError
from tests.promises import proves

PREPARE = "import sys, pathlib; from app import tokens; tokens.prepare(pathlib.Path(sys.argv[1]));"
# Any connect fails: what the process does, it does without the network.
NO_NETWORK = "import socket; socket.socket.connect = None;"


def _python(code: str, *args: str, **environ: str) -> subprocess.Popen[str]:
    env = {k: v for k, v in os.environ.items() if k not in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR")}
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", code, *args],
        env=env | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    # From the documentation of the encoding (OpenAI cookbook, "How to count tokens with tiktoken").
    [
        ("", 0),
        ("tiktoken is great!", 6),
        ("antidisestablishmentarianism", 6),
        ("2 + 2 = 4", 7),
        ("お誕生日おめでとう", 9),
    ],
)
@proves("sessions.tokens")
def test_counts_are_those_of_the_encoding(text: str, expected: int) -> None:
    assert tokens.count_tokens(text) == expected


def test_a_special_token_in_a_text_is_only_text() -> None:
    assert tokens.count_tokens("a <|endoftext|> b") > 3


def test_a_lone_surrogate_counts() -> None:
    assert tokens.count_tokens("\ud800 hello") > 1


@pytest.mark.parametrize("unit", ["a", " ", "我", "\U0001f44d", "!", "\n", "1"])
def test_the_longest_content_takes_no_seconds(unit: str) -> None:
    text = unit * 100_000
    start = time.perf_counter()
    assert tokens.count_tokens(text) > 700
    assert time.perf_counter() - start < 1.0


def test_random_letters_take_no_seconds() -> None:
    text = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz", k=100_000))  # noqa: S311
    start = time.perf_counter()
    assert tokens.count_tokens(text) > 40_000
    assert time.perf_counter() - start < 1.0


async def test_long_texts_are_counted_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens.count_tokens("")
    threads: list[threading.Thread] = []
    count = tokens.count_tokens

    def recorded(text: str) -> int:
        threads.append(threading.current_thread())
        return count(text)

    monkeypatch.setattr(tokens, "count_tokens", recorded)
    assert await tokens.count_tokens_async(["tiktoken is great!", ""]) == [6, 0]
    assert set(threads) == {threading.main_thread()}
    threads.clear()
    assert await tokens.count_tokens_async(["tiktoken is great!"] * 200) == [6] * 200
    assert threading.main_thread() not in threads


@proves("sessions.tokens")
def test_a_fresh_machine_needs_no_network(tmp_path: Path) -> None:
    process = _python(NO_NETWORK + PREPARE + "print(tokens.count_tokens('tiktoken is great!'))", str(tmp_path))
    out, err = process.communicate(timeout=30)
    assert (out.strip(), process.returncode) == ("6", 0), err
    assert [path.name for path in (tmp_path / "tiktoken").iterdir()] == [tokens._FILE_NAME]


def test_a_damaged_vocabulary_is_replaced(tmp_path: Path) -> None:
    damaged = tmp_path / "tiktoken" / tokens._FILE_NAME
    damaged.parent.mkdir()
    damaged.write_bytes(b"IQ== 0\n")
    process = _python(NO_NETWORK + PREPARE + "print(tokens.count_tokens('tiktoken is great!'))", str(tmp_path))
    out, err = process.communicate(timeout=30)
    assert (out.strip(), process.returncode) == ("6", 0), err


def test_several_processes_start_at_once(tmp_path: Path) -> None:
    processes = [_python(NO_NETWORK + PREPARE, str(tmp_path)) for _ in range(4)]
    for process in processes:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert [path.name for path in (tmp_path / "tiktoken").iterdir()] == [tokens._FILE_NAME]


def test_a_folder_that_the_user_chose_is_kept(tmp_path: Path) -> None:
    chosen = tmp_path / "chosen"
    process = _python(
        NO_NETWORK + PREPARE + "import os; print(os.environ['TIKTOKEN_CACHE_DIR'])",
        str(tmp_path / "cache"),
        TIKTOKEN_CACHE_DIR=str(chosen),
    )
    out, err = process.communicate(timeout=30)
    assert out.strip() == str(chosen), err
    assert not (tmp_path / "cache").exists()
    assert (chosen / tokens._FILE_NAME).is_file()


def test_a_folder_that_cannot_be_made_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "file" / "below"))
    with pytest.raises(EngineError, match="set TIKTOKEN_CACHE_DIR"):
        tokens.prepare(tmp_path)
