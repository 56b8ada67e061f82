"""Group commit's core: one alone never waits, many share, and each gets what is its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.elastic.gather import Gather

TIMEOUT_S = 10


class Engine:
    """A batch runner that can be held up. Even items succeed with their double, odd ones have an error each."""

    def __init__(self, *, held: bool = False) -> None:
        self.batches: list[list[int]] = []
        self.go_on = asyncio.Event()
        self.began = asyncio.Event()
        if not held:
            self.go_on.set()

    async def run(self, batch: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(batch))
        self.began.set()
        await asyncio.wait_for(self.go_on.wait(), TIMEOUT_S)
        return [KeyError(item) if item % 2 else item * 2 for item in batch]


async def test_one_alone_is_sent_at_once() -> None:
    engine = Engine()
    gather: Gather[int, int] = Gather(engine.run, max_items=10)
    for item in (2, 4, 6):
        assert await gather.submit(item) == 2 * item
    assert engine.batches == [[2], [4], [6]]


async def test_those_that_are_ready_together_share_a_batch() -> None:
    engine = Engine()
    gather: Gather[int, int] = Gather(engine.run, max_items=10)
    assert await asyncio.gather(*(gather.submit(item) for item in (0, 2, 4))) == [0, 4, 8]
    assert engine.batches == [[0, 2, 4]]


async def test_while_one_is_in_flight_the_others_share_the_next() -> None:
    engine = Engine(held=True)
    gather: Gather[int, int] = Gather(engine.run, max_items=10)
    first = asyncio.create_task(gather.submit(0))
    await engine.began.wait()
    others = [asyncio.create_task(gather.submit(item)) for item in (2, 4, 6)]
    await asyncio.sleep(0)
    assert engine.batches == [[0]]
    engine.go_on.set()
    assert await first == 0
    assert await asyncio.gather(*others) == [4, 8, 12]
    assert engine.batches == [[0], [2, 4, 6]]


async def test_an_item_that_failed_concerns_its_caller_alone() -> None:
    gather: Gather[int, int] = Gather(Engine().run, max_items=10)
    good, bad, best = await gather.submit_all([(2, 0), (3, 0), (4, 0)])
    assert (good, best) == (4, 8)
    assert isinstance(bad, KeyError)
    with pytest.raises(KeyError):
        await gather.submit(5)


async def test_a_batch_that_failed_fails_for_all_of_it_and_for_no_later_one() -> None:
    calls = 0

    async def run(batch: Sequence[int]) -> list[int | Exception]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError("away")
        return list(batch)

    gather: Gather[int, int] = Gather(run, max_items=10)
    results = await gather.submit_all([(1, 0), (2, 0)])
    assert [type(result) for result in results] == [OSError, OSError]
    assert await gather.submit(3) == 3


async def test_a_caller_that_gives_up_takes_nothing_from_the_others() -> None:
    engine = Engine(held=True)
    gather: Gather[int, int] = Gather(engine.run, max_items=10)
    leaving, staying = asyncio.create_task(gather.submit(2)), asyncio.create_task(gather.submit(4))
    await engine.began.wait()
    leaving.cancel()
    engine.go_on.set()
    assert await staying == 8
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert engine.batches == [[2, 4]]


async def test_what_was_handed_over_is_run_though_its_caller_left_before_it_was_sent() -> None:
    engine = Engine(held=True)
    gather: Gather[int, int] = Gather(engine.run, max_items=10)
    first = asyncio.create_task(gather.submit(0))
    await engine.began.wait()
    leaving, staying = asyncio.create_task(gather.submit(2)), asyncio.create_task(gather.submit(4))
    await asyncio.sleep(0)
    leaving.cancel()
    engine.go_on.set()
    assert [await first, await staying] == [0, 8]
    assert 4 in engine.batches[-1]


async def test_a_batch_that_was_cancelled_does_not_look_like_a_cancelled_caller() -> None:
    engine = Engine(held=True)
    gather: Gather[int, int] = Gather(engine.run, max_items=10)
    waiting = asyncio.create_task(gather.submit(2))
    await engine.began.wait()
    for task in gather._running:
        task.cancel()
    with pytest.raises(ConnectionAbortedError):
        await waiting


async def test_no_more_batches_are_under_way_than_allowed() -> None:
    engine = Engine(held=True)
    gather: Gather[int, int] = Gather(engine.run, max_items=1, max_in_flight=2)
    waiting = [asyncio.create_task(gather.submit(item)) for item in (0, 2, 4, 6)]
    await engine.began.wait()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert engine.batches == [[0], [2]]
    engine.go_on.set()
    assert await asyncio.gather(*waiting) == [0, 4, 8, 12]


async def test_few_wait_for_the_batch_under_way_and_many_start_one_beside_it() -> None:
    engine = Engine(held=True)
    gather: Gather[int, int] = Gather(engine.run, max_items=10, max_in_flight=2, beside=3)
    waiting = [asyncio.create_task(gather.submit(0))]
    await engine.began.wait()
    waiting += [asyncio.create_task(gather.submit(item)) for item in (2, 4)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert engine.batches == [[0]]
    waiting.append(asyncio.create_task(gather.submit(6)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert engine.batches == [[0], [2, 4, 6]]
    engine.go_on.set()
    assert await asyncio.gather(*waiting) == [0, 4, 8, 12]


async def test_draining_waits_for_all_that_was_submitted() -> None:
    engine = Engine()
    gather: Gather[int, int] = Gather(engine.run, max_items=1)
    waiting = [asyncio.create_task(gather.submit(item)) for item in (0, 2, 4)]
    await asyncio.sleep(0)
    await gather.drain()
    assert engine.batches == [[0], [2], [4]]
    assert await asyncio.gather(*waiting) == [0, 4, 8]


@settings(max_examples=50)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=40), st.integers(1, 8), st.integers(1, 40))
def test_batches_keep_their_bounds_and_the_order(sizes: list[int], max_items: int, max_bytes: int) -> None:
    async def run_all() -> list[list[int]]:
        batches: list[list[int]] = []

        async def run(batch: Sequence[int]) -> list[int | Exception]:
            batches.append(list(batch))
            await asyncio.sleep(0)
            return list(batch)

        gather: Gather[int, int] = Gather(run, max_items=max_items, max_bytes=max_bytes)
        results = await asyncio.wait_for(gather.submit_all(list(enumerate(sizes))), TIMEOUT_S)
        assert results == list(range(len(sizes)))
        return batches

    batches = asyncio.run(run_all())
    assert [item for batch in batches for item in batch] == list(range(len(sizes)))
    for batch in batches:
        assert len(batch) <= max_items
        # One that is larger than the bound goes alone; it would never be sent otherwise.
        assert len(batch) == 1 or sum(sizes[item] for item in batch) <= max_bytes


async def test_results_that_miscount_are_an_error_for_all() -> None:
    async def run(items: Sequence[int]) -> list[int | Exception]:
        return [0] * (len(items) + 1)

    gather: Gather[int, int] = Gather(run, max_items=10)
    with pytest.raises(RuntimeError, match="1 items have 2 results"):
        await asyncio.wait_for(gather.submit(1), 5)
