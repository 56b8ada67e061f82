"""The daily purge: what was deleted longer ago than it can be restored, and what has expired, goes for good."""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from app import metrics
from app.elastic.expiry import Expiry, purge_expired
from app.elastic.index import Engine
from app.elastic.indices import (
    AUDIT,
    CHECKPOINTS,
    DELIVERIES,
    IDEMPOTENCY,
    REFRESH_TOKENS,
    SESSIONS,
    USAGE,
    WEBHOOKS,
)
from app.episodes.lifecycle import LifecycleStore
from app.idempotency.models import KEY_LIFE
from app.settings import Settings
from app.types import utc_now

log = logging.getLogger(__name__)

_WAIT_S = 600.0
_CLOCKS_APART = timedelta(hours=1)
_AFTER_FAILURE_S = 300.0
_OVERDUE_S = 25 * 3600.0


def expiries(settings: Settings) -> list[Expiry]:
    """What is purged beside episodes: index, time field, and how long ago that must be."""
    return [
        Expiry(SESSIONS, "deleted_at", timedelta(days=settings.restore_days)),
        Expiry(CHECKPOINTS, "deleted_at", timedelta(days=settings.restore_days)),
        Expiry(WEBHOOKS, "deleted_at", timedelta(days=settings.restore_days)),
        Expiry(DELIVERIES, "created_at", timedelta(days=settings.deliveries_kept_days)),
        Expiry(AUDIT, "at", timedelta(days=settings.audit_kept_days)),
        Expiry(USAGE, "at", timedelta(days=settings.usage_kept_days)),
        Expiry(REFRESH_TOKENS, "expires_at", timedelta(0)),
        # A key that has run out counts as new, whether it is there or not.
        Expiry(IDEMPOTENCY, "created_at", KEY_LIFE + _CLOCKS_APART),
    ]


class PurgeService:
    """See the module."""

    def __init__(self, engine: Engine, episodes: LifecycleStore, settings: Settings) -> None:
        self._engine = engine
        self._episodes = episodes
        self._restorable = timedelta(days=settings.restore_days)
        self._expiries = expiries(settings)
        self._due = 0.0

    @property
    def overdue(self) -> bool:
        """Whether this process has not purged for more than a day: without Redis, say, or at night."""
        return time.monotonic() >= self._due

    async def purge(self) -> dict[str, int]:
        """Remove for good; returns how many by index, and logs it. Safe to run again, and beside itself.

        Raises Unavailable when Elasticsearch is away; the next run goes on.
        """
        now, self._due = utc_now(), time.monotonic() + _AFTER_FAILURE_S
        receipt = {"episodes": await self._episodes.purge(now - self._restorable)}
        for expiry in self._expiries:
            receipt[expiry.definition.name] = await purge_expired(self._engine, expiry, now, wait_s=_WAIT_S)
        self._due = time.monotonic() + _OVERDUE_S
        for index, count in receipt.items():
            metrics.PURGED.labels(index).inc(count)
        log.info("purged", extra={"removed": receipt})
        return receipt
