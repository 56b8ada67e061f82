"""An encoder in one child process, which keeps torch and its five seconds of import out of this one.

A child can also be killed when it hangs and be replaced when it dies, which no thread can.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import ParamSpec, TypeVar

from app.embedding import child
from app.embedding.encoder import EncodedPassage, EncodedQuery, Encoder, EncodingError, ModelInfo, Passage
from app.errors import EngineError

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

# A fresh interpreter needs 0.5 s; a machine that is swapping needs much more.
_SPAWN_TIMEOUT_S = 60.0
_END_TIMEOUT_S = 5.0


class ProcessEncoder:
    """Runs an Encoder in a child, spawned by `start` and again by the first call after its death.

    Calls run one after the other.
    """

    def __init__(
        self, make: Callable[[], Encoder], *, load_timeout_s: float, timeout_s: float, niceness: int = 0
    ) -> None:
        """Use `start`. make: picklable, makes the encoder in the child.

        load_timeout_s: for fetching and loading. timeout_s: for one encoding; then the child is killed. niceness: of
        the child, above this process's.
        """
        self._make = make
        self._load_timeout_s = load_timeout_s
        self._timeout_s = timeout_s
        self._niceness = niceness
        self._worker: _Worker | None = None
        self._info: ModelInfo | None = None
        self._closed = False
        # One call at a time, so that the time-out counts encoding, not standing in line.
        self._turn = asyncio.Lock()

    @classmethod
    async def start(
        cls, make: Callable[[], Encoder], *, load_timeout_s: float, timeout_s: float, niceness: int = 0
    ) -> ProcessEncoder:
        """Spawn the child and wait until the model is loaded. Raises EngineError when it can't be."""
        encoder = cls(make, load_timeout_s=load_timeout_s, timeout_s=timeout_s, niceness=niceness)
        await encoder._ready()
        return encoder

    @property
    def info(self) -> ModelInfo:
        """Identity, size and scale of the model."""
        if self._info is None:
            raise RuntimeError("the encoder has not been started")
        return self._info

    @property
    def pid(self) -> int | None:
        """Process id of the child; None between its death and the next call."""
        return self._worker.pid if self._worker else None

    async def encode_query(self, text: str) -> EncodedQuery:
        """A search query. Raises EncodingError; EngineError when no child can be started."""
        return await self._call(child.encode_query, text)

    async def encode_documents(self, passages: Sequence[Passage]) -> list[EncodedPassage]:
        """Texts to be found. Raises as `encode_query` does."""
        return await self._call(child.encode_documents, list(passages))

    async def close(self) -> None:
        """End the child, by force if it is busy."""
        self._closed = True
        if self._worker is not None and not self._turn.locked():
            # The libraries in an idle child give back semaphores that a kill would leave behind.
            await self._worker.shut_down()
        await self._discard()

    async def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        async with self._turn:
            if self._closed:
                raise EncodingError("the encoder is closed")
            worker = await self._ready()
            # It may have been closed while a child was started.
            if self._closed:
                await self._discard()
                raise EncodingError("the encoder is closed")
            try:
                return await worker.run(self._timeout_s, function, *args, **kwargs)
            except TimeoutError:
                await self._discard()
                raise EncodingError(f"encoding took more than {self._timeout_s:g} s") from None
            except BrokenProcessPool:
                await self._discard()
                raise EncodingError("the encoding process died") from None

    async def _ready(self) -> _Worker:
        # Asked first, so that a text isn't blamed for a child that had died before it came.
        if self._worker is not None and not await self._worker.answers(self._timeout_s):
            await self._discard()
        if self._worker is None:
            worker = _Worker(self._niceness)
            try:
                worker.pid = await worker.run(_SPAWN_TIMEOUT_S, child.pid)
                self._info = await worker.run(self._load_timeout_s, child.load, self._make)
            except TimeoutError as error:
                await worker.end()
                raise EngineError(
                    f"The embedding model wasn't loaded within {self._load_timeout_s:g} s: start again, "
                    "or set REMEMBR_EMBEDDING_MODEL to a smaller one."
                ) from error
            except BrokenProcessPool as error:
                await worker.end()
                raise EngineError(
                    "The process that loads the embedding model died: free some memory and start again."
                ) from error
            except BaseException:
                await worker.end()
                raise
            self._worker = worker
            logger.info("embedding model loaded", extra={"model": self._info.model_id, "child": worker.pid})
        return self._worker

    async def _discard(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.end()


class _Worker:
    """One spawned child."""

    def __init__(self, niceness: int) -> None:
        # Forking a process that runs threads (ONNX Runtime, tokenizers) may deadlock the child.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=child.initialise, initargs=(niceness,))
        self.pid: int | None = None

    async def run(self, timeout_s: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        # Submitting spawns the child or writes to its pipe: both may block.
        future = await asyncio.to_thread(self._pool.submit, function, *args, **kwargs)
        return await asyncio.wait_for(asyncio.wrap_future(future), timeout_s)

    async def answers(self, timeout_s: float) -> bool:
        try:
            return await self.run(timeout_s, child.pid) == self.pid
        except (TimeoutError, BrokenProcessPool):
            return False

    async def end(self) -> None:
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        if not await self.shut_down():
            logger.warning("the encoding process doesn't end", extra={"child": self.pid})

    async def shut_down(self) -> bool:
        shutdown = asyncio.to_thread(self._pool.shutdown, cancel_futures=True)
        try:
            await asyncio.wait_for(shutdown, _END_TIMEOUT_S)
        except TimeoutError:
            return False
        self.pid = None
        return True
