"""Query embedding: remembered, shared, bounded; and the encoder in threads below it."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from app.embedding import query
from app.embedding.encoder import EncodingError, ModelInfo, Passage, Vector
from app.embedding.query import MAX_WAITING, QueryEmbedder
from app.embedding.thread import ThreadEncoder
from app.errors import Unavailable
from tests.encoders import OneVector


class Hashing(OneVector):
    """An encoder without weights: reproducible vectors, a gate to hold it up, and texts that it refuses."""

    info = ModelInfo("hashing", dims=4, scale=(0.0, 1.0))

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.threads: set[threading.Thread] = set()
        self.gate = threading.Event()
        self.gate.set()

    def vector(self, text: str) -> Vector:
        self.calls.append(text)
        self.threads.add(threading.current_thread())
        assert self.gate.wait(10)
        if text == "refused":
            raise ValueError("refused")
        if text == "infinite":
            return np.full(4, np.inf, dtype=np.float32)
        vector = np.random.default_rng(list(text.encode())).standard_normal(4)
        return (vector / np.linalg.norm(vector)).astype(np.float32)


class Opened:
    """A QueryEmbedder over threads, closed at the end of the block."""

    def __init__(self, cache_size: int = 10, parallel: int = 1, timeout_s: float = 10.0) -> None:
        self.encoder = Hashing()
        self.embedder = QueryEmbedder(ThreadEncoder(self.encoder, parallel=parallel, timeout_s=timeout_s), cache_size)

    async def __aenter__(self) -> tuple[QueryEmbedder, Hashing]:
        return self.embedder, self.encoder

    async def __aexit__(self, *_: object) -> None:
        self.encoder.gate.set()
        await self.embedder.close()


async def test_a_query_is_computed_once_and_off_the_loop() -> None:
    async with Opened() as (embedder, encoder):
        first = await embedder.embed("a")
        assert await embedder.embed("a") is first
        assert encoder.calls == ["a"]
        assert threading.current_thread() not in encoder.threads
        with pytest.raises(ValueError, match="read-only"):
            first.vector[0] = 0


async def test_the_least_recently_used_query_is_forgotten() -> None:
    async with Opened(cache_size=2) as (embedder, encoder):
        for text in ("a", "b", "a", "c", "a", "b"):
            await embedder.embed(text)
        assert encoder.calls == ["a", "b", "c", "b"]


async def test_nothing_is_remembered_where_the_cache_is_off() -> None:
    async with Opened(cache_size=0) as (embedder, encoder):
        assert np.array_equal((await embedder.embed("a")).vector, (await embedder.embed("a")).vector)
        assert encoder.calls == ["a", "a"]


async def test_equal_queries_at_the_same_time_share_one_computation() -> None:
    async with Opened() as (embedder, encoder):
        encoder.gate.clear()
        waiting = [asyncio.create_task(embedder.embed(text)) for text in ("a", "a", "b", "a")]
        await asyncio.sleep(0.05)
        # Whoever asked first goes away; those who joined still get their answer.
        waiting[0].cancel()
        encoder.gate.set()
        cancelled, *others = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(cancelled, asyncio.CancelledError)
        assert others[0] is others[2]
        assert encoder.calls == ["a", "b"]


async def test_too_many_waiting_queries_are_turned_away() -> None:
    async with Opened(cache_size=1_000) as (embedder, encoder):
        encoder.gate.clear()
        waiting = [asyncio.create_task(embedder.embed(str(index))) for index in range(MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable) as caught:
            await embedder.embed("one more")
        assert caught.value.code == "EMBEDDING_BUSY"
        joined = asyncio.create_task(embedder.embed("0"))
        encoder.gate.set()
        vectors = await asyncio.gather(*waiting, joined)
        assert vectors[0] is vectors[-1]
        assert (await embedder.embed("one more")).vector.shape == (4,)


@pytest.mark.parametrize("text", ["refused", "infinite"])
async def test_a_failure_is_answered_and_not_remembered(text: str) -> None:
    async with Opened() as (embedder, encoder):
        for _ in range(2):
            with pytest.raises(Unavailable) as caught:
                await embedder.embed(text)
            assert caught.value.code == "EMBEDDING_FAILED"
        assert encoder.calls == [text, text]
        assert (await embedder.embed("a")).vector.shape == (4,)


async def test_a_slow_model_does_not_hold_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "WAIT_TIMEOUT_S", 0.05)
    async with Opened() as (embedder, encoder):
        encoder.gate.clear()
        with pytest.raises(Unavailable) as caught:
            await embedder.embed("a")
        assert caught.value.code == "EMBEDDING_SLOW"
        encoder.gate.set()
        await asyncio.sleep(0.1)
        # What was computed for one who had gone is there for the next.
        await embedder.embed("a")
        assert encoder.calls == ["a"]


async def test_an_encoding_in_a_thread_has_a_time_out() -> None:
    encoder = Hashing()
    encoder.gate.clear()
    threads = ThreadEncoder(encoder, parallel=1, timeout_s=0.05)
    with pytest.raises(EncodingError, match=r"more than 0\.05 s"):
        await threads.encode_documents([Passage("a")])
    encoder.gate.set()
    await threads.close()


async def test_closing_ends_what_waits() -> None:
    opened = Opened()
    async with opened as (embedder, encoder):
        encoder.gate.clear()
        waiting = [asyncio.create_task(embedder.embed(str(index))) for index in range(5)]
        await asyncio.sleep(0.05)
    results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)


async def test_parallel_queries_run_side_by_side() -> None:
    async with Opened(parallel=2) as (embedder, encoder):
        encoder.gate.clear()
        waiting = [asyncio.create_task(embedder.embed(text)) for text in ("a", "b", "c")]
        await asyncio.sleep(0.1)
        assert sorted(encoder.calls) == ["a", "b"]
        encoder.gate.set()
        await asyncio.gather(*waiting)
