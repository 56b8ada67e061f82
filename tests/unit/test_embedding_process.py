"""The encoder in a child process: its life, its death, and the texts that cause it."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from app.embedding.document import DocumentEmbedder, EmbeddingFailure
from app.embedding.encoder import EncodingError, ModelInfo, Passage, Vector
from app.embedding.process import ProcessEncoder
from app.errors import EngineError
from tests.encoders import OneVector


class Lengths(OneVector):
    """An encoder without weights: a text's length is its vector, and some texts are poison."""

    def __init__(self, info: ModelInfo) -> None:
        self.info = info

    def vector(self, text: str) -> Vector:
        if text == "die":
            os._exit(3)
        if text == "hang":
            time.sleep(60)
        if text == "raise":
            raise ValueError("no such text")
        if text == "nan":
            return np.full(self.info.dims, np.nan, dtype=np.float32)
        return np.full(self.info.dims, len(text), dtype=np.float32)


INFO = ModelInfo("lengths", dims=2, scale=(0.0, 1.0))
# Picklable, so that the child can make it.
MAKE = functools.partial(Lengths, INFO)


def fail_with(error: type[Exception]) -> Lengths:
    raise error("no weights")


def die() -> Lengths:
    os._exit(3)


def hang() -> Lengths:
    time.sleep(60)
    return MAKE()


def _is_alive(pid: int) -> bool:
    try:
        # A zombie that is waiting for its parent has ended, too.
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _wait_for_end(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while _is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not _is_alive(pid)


@pytest.fixture(scope="module")
async def encoder() -> AsyncIterator[ProcessEncoder]:
    started = await ProcessEncoder.start(MAKE, load_timeout_s=30, timeout_s=2)
    yield started
    await started.close()


async def test_it_encodes_in_another_process(encoder: ProcessEncoder) -> None:
    assert encoder.info == INFO
    assert (await encoder.encode_query("four")).vector.tolist() == [4, 4]
    documents = await encoder.encode_documents([Passage("a"), Passage("bc")])
    assert [one.vector.tolist() for one in documents] == [[1, 1], [2, 2]]
    assert encoder.pid not in (None, os.getpid())


async def test_concurrent_calls_wait_in_line(encoder: ProcessEncoder) -> None:
    encoded = await asyncio.gather(*(encoder.encode_query("x" * length) for length in range(20)))
    assert [int(one.vector[0]) for one in encoded] == list(range(20))


async def test_an_exception_keeps_the_child(encoder: ProcessEncoder) -> None:
    pid = (await encoder.encode_query("a"), encoder.pid)[1]
    with pytest.raises(EncodingError, match="ValueError: no such text"):
        await encoder.encode_query("raise")
    assert encoder.pid == pid


async def test_a_child_that_dies_is_replaced(encoder: ProcessEncoder) -> None:
    await encoder.encode_query("a")
    before = encoder.pid
    with pytest.raises(EncodingError, match="died"):
        await encoder.encode_query("die")
    assert (await encoder.encode_query("abc")).vector.tolist() == [3, 3]
    assert encoder.pid not in (None, before)


async def test_a_child_that_hangs_is_killed(encoder: ProcessEncoder) -> None:
    await encoder.encode_query("a")
    before = encoder.pid
    assert before is not None
    with pytest.raises(EncodingError, match="more than 2 s"):
        await encoder.encode_query("hang")
    assert await asyncio.to_thread(_wait_for_end, before)
    assert (await encoder.encode_query("abc")).vector.tolist() == [3, 3]


async def test_an_idle_child_that_was_killed_is_noticed(encoder: ProcessEncoder) -> None:
    await encoder.encode_query("a")
    assert encoder.pid is not None
    os.kill(encoder.pid, signal.SIGKILL)
    assert (await encoder.encode_query("abc")).vector.tolist() == [3, 3]


async def test_a_child_lets_others_go_first_and_so_does_the_next_one() -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    started = await ProcessEncoder.start(MAKE, load_timeout_s=30, timeout_s=2, niceness=3)
    try:
        for _ in range(2):
            await started.encode_query("a")
            assert started.pid is not None
            assert os.getpriority(os.PRIO_PROCESS, started.pid) == min(19, own + 3)
            os.kill(started.pid, signal.SIGKILL)
    finally:
        await started.close()


async def test_only_the_poison_fails(encoder: ProcessEncoder) -> None:
    embedder = DocumentEmbedder(encoder)
    results = await embedder.encode(list(map(Passage, ("a", "raise", "bc", "die", "nan", "abc"))))
    reasons = [result.reason if isinstance(result, EmbeddingFailure) else result.vector.tolist() for result in results]
    assert reasons == [
        [1, 1],
        "ValueError: no such text",
        [2, 2],
        "the encoding process died",
        "the model gave a vector that isn't finite",
        [3, 3],
    ]
    assert await embedder.encode([]) == []


async def test_closing_ends_the_child_even_while_it_works() -> None:
    encoder = await ProcessEncoder.start(MAKE, load_timeout_s=30, timeout_s=30)
    pid = encoder.pid
    assert pid is not None
    running = asyncio.create_task(encoder.encode_query("hang"))
    waiting = asyncio.create_task(encoder.encode_query("a"))
    await asyncio.sleep(0.1)
    await asyncio.wait_for(encoder.close(), 6)
    assert await asyncio.to_thread(_wait_for_end, pid)
    results = await asyncio.wait_for(asyncio.gather(running, waiting, return_exceptions=True), 6)
    assert all(isinstance(result, EncodingError) for result in results), results
    await encoder.close()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (functools.partial(fail_with, EngineError), "^no weights$"),
        (functools.partial(fail_with, KeyError), "can't be loaded: KeyError"),
        (die, "died"),
        (hang, "within 1 s"),
    ],
)
async def test_a_model_that_cannot_be_loaded_says_why(make: functools.partial[Lengths], reason: str) -> None:
    with pytest.raises(EngineError, match=reason):
        await ProcessEncoder.start(make, load_timeout_s=1, timeout_s=1)


def test_a_killed_parent_takes_its_child_along() -> None:
    code = (
        "import asyncio, test_embedding_process as t\n"
        "async def main():\n"
        "    encoder = await t.ProcessEncoder.start(t.MAKE, load_timeout_s=30, timeout_s=30)\n"
        "    print(encoder.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=env
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert _is_alive(pid)
        parent.kill()
        parent.wait(10)
        assert _wait_for_end(pid)
