"""The worker's loop around arq."""

from __future__ import annotations

import asyncio

import pytest
from arq import Worker as ArqWorker

from app.container import Core
from app.webhooks.deliver import DeliveryService
from tests.workers.conftest import NewWorker
from tests.workers.test_forgetting import container_of
from workers import run

PATIENCE_S = 20.0


async def test_a_job_cancelled_while_it_is_signed_off_does_not_end_the_process(
    core: Core, worker: NewWorker, deliveries: DeliveryService, monkeypatch: pytest.MonkeyPatch
) -> None:
    container, made, stop = container_of(core, worker, deliveries), run.make_worker, asyncio.Event()
    signing_off: list[asyncio.Task[bool]] = []

    def with_a_job_under_way(*given: object) -> ArqWorker:
        arq = made(core.settings, container)
        signing_off.append(asyncio.create_task(asyncio.Event().wait()))
        arq.tasks["a-job"] = signing_off[0]
        asyncio.get_running_loop().call_later(0.2, stop.set)
        return arq

    monkeypatch.setattr(run, "make_worker", with_a_job_under_way)
    async with asyncio.timeout(PATIENCE_S):
        await run._work_once(core.settings, container, stop)
    assert signing_off[0].cancelled()
