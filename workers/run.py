"""The worker process: arq, kept alive over any outage of Redis.

arq's worker ends when Redis is away for longer than its connection's patience, so it is made anew
until the process is told to stop. A job that was under way runs again; jobs are made for that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from typing import Any

import orjson
from arq import Worker, cron
from arq.connections import RedisSettings
from arq.cron import CronJob
from arq.worker import Function, func
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app import metrics
from app.container import WorkerContainer, open_worker_container
from app.errors import EngineError, Unavailable
from app.migrate import migrate
from app.outbox import EMBED, WEBHOOKS, job_to_bytes, queue_name
from app.redis import is_absence
from app.server import loop_factory
from app.settings import Settings
from workers import jobs

log = logging.getLogger(__name__)

SWEEP_EVERY_S = 2
MEASURE_EVERY_S = 15
_POLL_S = 0.05
# A job lost with its worker runs again after this plus ten seconds; one batch takes a few.
_JOB_TIMEOUT_S = 60
_PURGE_HOUR = 3
_PURGE_TIMEOUT_S = 3600
_AWAY = (RedisConnectionError, RedisTimeoutError, OSError)
_RESTART_S = 0.5
_HEALTH_CHECK_S = 30


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT. Raises EngineError when it can't be set up."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(work(settings))


async def work(settings: Settings) -> None:
    """The same within a running loop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await migrate(settings)
    async with open_worker_container(settings) as container:
        if settings.worker_metrics_port:
            metrics.serve(settings.worker_metrics_port, settings.host)
        beside = [asyncio.create_task(_sweep_without_redis(container)), asyncio.create_task(_measure(container))]
        try:
            while not stop.is_set():
                await _work_once(settings, container, stop)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)


async def _work_once(settings: Settings, container: WorkerContainer, stop: asyncio.Event) -> None:
    worker = make_worker(settings, container)
    working = asyncio.create_task(worker.async_run())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        working.cancel()
        results = await asyncio.gather(working, return_exceptions=True)
        await _close(worker)
    error = results[0]
    if stop.is_set() or isinstance(error, asyncio.CancelledError):
        return
    if isinstance(error, BaseException) and not is_absence(error):
        raise error
    log.warning("lost Redis; the worker starts over", extra={"error": repr(error)})
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(stop.wait(), _RESTART_S)


async def _close(worker: Worker) -> None:
    """arq's own close raises CancelledError for a job that it cancels while that is being signed off, and would
    take the process along, with a Redis that is away as with SIGTERM."""
    for task in worker.tasks.values():
        task.cancel()
    await asyncio.gather(*worker.tasks.values(), return_exceptions=True)
    worker.tasks.clear()
    with contextlib.suppress(RedisError, OSError):
        await worker.close()


async def _sweep_without_redis(container: WorkerContainer) -> None:
    """While Redis is away arq can't run its sweep, and embeddings must not wait for it. Purges that are
    overdue are done here, whatever kept arq from them."""
    while True:
        await asyncio.sleep(SWEEP_EVERY_S)
        for duty in (_work_without_redis, _purge_if_overdue):
            try:
                await duty(container)
            except Unavailable as error:
                log.warning("the sweep waits for Elasticsearch", extra={"error": error.message})
            except Exception:
                # As arq does with a job: what is due stays due, and a later round tries again.
                log.exception("a sweep failed")


async def _measure(container: WorkerContainer) -> None:
    """Tell the metrics how much waits."""
    while True:
        try:
            await note_backlog(container)
        except Unavailable as error:
            log.debug("nothing could be counted", extra={"error": error.message})
        await asyncio.sleep(MEASURE_EVERY_S)


async def note_backlog(container: WorkerContainer) -> None:
    """Count what is due now. Raises Unavailable."""
    for what, waiting in (await container.backlog.look()).items():
        metrics.WAITING.labels(what).set(waiting.count)
        metrics.OLDEST.labels(what).set(waiting.oldest_s)
    queue = queue_name(container.core.settings.index_prefix)
    if (jobs_waiting := await container.core.redis.attempt(lambda redis: redis.zcard(queue))) is not None:
        metrics.WAITING.labels("jobs").set(jobs_waiting)


async def _work_without_redis(container: WorkerContainer) -> None:
    if not await container.core.redis.ping():
        while await container.webhooks.fan_out():
            pass
        await container.webhooks.deliver_due()
        while (await container.embedding.embed_due()).total:
            pass


async def _purge_if_overdue(container: WorkerContainer) -> None:
    if container.purge.overdue:
        await jobs.housekeep(container)


def make_worker(settings: Settings, container: WorkerContainer, *, burst: bool = False) -> Worker:
    """An arq worker on our queue. burst: do what is in the queue and end. Nothing is swept then, or with a
    sweep every second the queue would never be empty; sweeps that others left in it are done."""
    patient: dict[str, Any] = {"keep_result": 0, "max_tries": 1_000_000}
    functions: list[Function] = [
        func(jobs.embed_pending, name=EMBED, timeout=_JOB_TIMEOUT_S, **patient),
        func(jobs.deliver_webhooks, name=WEBHOOKS, timeout=_JOB_TIMEOUT_S, **patient),
    ]
    sweeps = _sweeps(settings.index_prefix)
    if burst:
        functions += [func(sweep.coroutine, name=sweep.name, timeout=sweep.timeout_s, **patient) for sweep in sweeps]
    return Worker(
        functions=functions,
        cron_jobs=None if burst else sweeps,
        queue_name=queue_name(settings.index_prefix),
        redis_settings=redis_settings(settings),
        ctx={jobs.CONTAINER: container, jobs.EMBEDDING: asyncio.Lock(), jobs.DELIVERING: asyncio.Lock()},
        burst=burst,
        poll_delay=_POLL_S,
        keep_result=0,
        handle_signals=False,
        health_check_interval=_HEALTH_CHECK_S,
        health_check_key=f"{settings.index_prefix}:worker-health",
        job_serializer=job_to_bytes,
        job_deserializer=orjson.loads,
        max_jobs=4,
    )


def _sweeps(prefix: str) -> list[CronJob]:
    alike: dict[str, Any] = {"unique": True, "keep_result": 0, "max_tries": 1_000_000}
    every = {"embed": set(range(0, 60, SWEEP_EVERY_S)), "webhooks": set(range(1, 60, SWEEP_EVERY_S))}
    return [
        cron(jobs.embed_pending, name=f"{prefix}:sweep", second=every["embed"], timeout=_JOB_TIMEOUT_S, **alike),
        cron(
            jobs.deliver_webhooks, name=f"{prefix}:webhooks", second=every["webhooks"], timeout=_JOB_TIMEOUT_S, **alike
        ),
        cron(jobs.purge, name=f"{prefix}:purge", hour={_PURGE_HOUR}, minute={0}, timeout=_PURGE_TIMEOUT_S, **alike),
    ]


def redis_settings(settings: Settings) -> RedisSettings:
    """Redis for arq, patient over short outages."""
    if not settings.redis_url:
        raise EngineError("Set REMEMBR_REDIS_URL, or use `remembr-server dev`, which starts a Redis.")
    parsed = RedisSettings.from_dsn(settings.redis_url)
    patient: dict[str, Any] = {
        "conn_timeout": 10,
        "conn_retries": 5,
        "retry_on_timeout": True,
        "retry_on_error": list(_AWAY),
        "retry": Retry(ExponentialBackoff(cap=1, base=0.05), 10, supported_errors=_AWAY),  # type: ignore[arg-type]
    }
    for name, value in patient.items():
        setattr(parsed, name, value)
    return parsed
