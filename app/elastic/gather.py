"""While one batch is in flight the next one gathers: the idea behind group commit.

One caller alone is sent at once and never waits for company; many at the same time share one
request. (DeWitt et al., "Implementation Techniques for Main Memory Database Systems", 1984, §5.)
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Gather(Generic[T, R]):
    """Run single items in shared batches.

    run: takes the items of a batch and returns one result each, in order; a result that is an
    exception is raised to its caller alone, an exception raised by `run` to all of the batch.
    max_items, max_bytes: bounds of one batch. max_in_flight: batches under way at once.
    beside: how many items must wait before a further batch starts beside those under way.
    """

    def __init__(
        self,
        run: Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]],
        *,
        max_items: int,
        max_bytes: int = 0,
        max_in_flight: int = 1,
        beside: int = 1,
    ) -> None:
        self._run = run
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._max_in_flight = max_in_flight
        self._beside = beside
        self._waiting: deque[tuple[T, int, asyncio.Future[R]]] = deque()
        self._running: set[asyncio.Task[None]] = set()

    async def submit(self, item: T, size: int = 0) -> R:
        """The item's own result. size: its bytes. Raises what `run` gave or raised for it."""
        return await self._enqueue(item, size)

    async def submit_all(self, items: Sequence[tuple[T, int]]) -> list[R | BaseException]:
        """Results in order, exceptions in their place: for callers that answer item by item."""
        futures = [self._enqueue(item, size) for item, size in items]
        return await asyncio.gather(*futures, return_exceptions=True)

    async def drain(self) -> None:
        """Wait until nothing waits and nothing runs."""
        while self._running:
            await asyncio.wait(self._running)

    def _enqueue(self, item: T, size: int) -> asyncio.Future[R]:
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, size, future))
        self._start_if_due()
        return future

    def _start_if_due(self) -> None:
        enough = self._beside if self._running else 1
        if len(self._running) < self._max_in_flight and len(self._waiting) >= enough:
            self._start()

    def _start(self) -> None:
        # The task's first step runs after this turn of the loop, so that callers that are
        # ready in the same turn share the batch.
        task = asyncio.get_running_loop().create_task(self._flush())
        self._running.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._start_if_due()

    async def _flush(self) -> None:
        batch = self._take()
        if not batch:
            return
        try:
            results = await self._run([item for item, _, _ in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"{len(batch)} items have {len(results)} results")
        except BaseException as error:
            for _, _, future in batch:
                if not future.done():
                    future.set_exception(_for_caller(error))
            if not isinstance(error, Exception):
                raise
            return
        for (_, _, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

    def _take(self) -> list[tuple[T, int, asyncio.Future[R]]]:
        batch: list[tuple[T, int, asyncio.Future[R]]] = []
        total = 0
        while self._waiting and len(batch) < self._max_items:
            size = self._waiting[0][1]
            if batch and self._max_bytes and total + size > self._max_bytes:
                break
            total += size
            batch.append(self._waiting.popleft())
        return batch


def _for_caller(error: BaseException) -> BaseException:
    """A cancelled batch must not look like a cancelled caller."""
    return ConnectionAbortedError("the batch was cancelled") if isinstance(error, asyncio.CancelledError) else error
