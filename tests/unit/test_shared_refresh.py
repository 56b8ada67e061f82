"""A refresh counts for whoever asked before it began, and for nobody else."""

from __future__ import annotations

import asyncio
import random

import pytest

from app.elastic.freshness import SharedRefresh

TIMEOUT_S = 10


class Index:
    """Notes when each refresh begins and ends, in steps of a counter."""

    def __init__(self) -> None:
        self.clock = 0
        self.refreshes: list[tuple[str, int, int]] = []
        self.busy = asyncio.Event()
        self.failing = 0

    def tick(self) -> int:
        self.clock += 1
        return self.clock

    async def refresh(self, index: str) -> None:
        began = self.tick()
        self.busy.set()
        for _ in range(3):
            await asyncio.sleep(0)
        if self.failing:
            self.failing -= 1
            raise OSError("away")
        self.refreshes.append((index, began, self.tick()))


async def asked(shared: SharedRefresh, index: Index, name: str, wait_turns: int) -> tuple[str, int, int]:
    for _ in range(wait_turns):
        await asyncio.sleep(0)
    began = index.tick()
    await asyncio.wait_for(shared(name), TIMEOUT_S)
    return name, began, index.tick()


@pytest.mark.parametrize("seed", range(20))
async def test_nobody_gets_a_refresh_that_began_before_they_asked(seed: int) -> None:
    index, chance = Index(), random.Random(seed)  # noqa: S311 - the same turns at every run
    shared = SharedRefresh(index.refresh)
    waits = [(chance.choice("ab"), chance.randrange(30)) for _ in range(40)]
    answers = await asyncio.gather(*(asked(shared, index, name, turns) for name, turns in waits))
    for name, began, ended in answers:
        assert any(
            refreshed == name and began < start and stop < ended for refreshed, start, stop in index.refreshes
        ), (name, began, ended, index.refreshes)


async def test_many_who_ask_together_share_one() -> None:
    index = Index()
    shared = SharedRefresh(index.refresh)
    await asyncio.gather(*(shared("a") for _ in range(100)))
    assert len(index.refreshes) == 1


async def test_all_who_ask_while_one_runs_share_the_next() -> None:
    index = Index()
    shared = SharedRefresh(index.refresh)
    first = asyncio.create_task(shared("a"))
    await asyncio.wait_for(index.busy.wait(), TIMEOUT_S)
    await asyncio.gather(first, *(shared("a") for _ in range(100)))
    assert len(index.refreshes) == 2


async def test_indices_do_not_wait_for_one_another() -> None:
    index = Index()
    shared = SharedRefresh(index.refresh)
    await asyncio.gather(shared("a"), shared("b"))
    (_, _, first_end), (_, second_start, _) = index.refreshes
    assert second_start < first_end


async def test_one_who_gives_up_does_not_take_it_from_the_others() -> None:
    index = Index()
    shared = SharedRefresh(index.refresh)
    leaving, staying = asyncio.create_task(shared("a")), asyncio.create_task(shared("a"))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait_for(staying, TIMEOUT_S)
    assert len(index.refreshes) == 1


async def test_a_failure_is_told_to_those_who_shared_it_and_ends_with_it() -> None:
    index = Index()
    index.failing = 1
    shared = SharedRefresh(index.refresh)
    results = await asyncio.gather(shared("a"), shared("a"), return_exceptions=True)
    assert [type(result) for result in results] == [OSError, OSError]
    await asyncio.wait_for(shared("a"), TIMEOUT_S)
    assert len(index.refreshes) == 1
