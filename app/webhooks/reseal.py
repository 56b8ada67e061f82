"""After a new encryption key: stored secrets are encrypted anew with it, so that the old key can go."""

from __future__ import annotations

import logging

from app.elastic.scope import SystemScope
from app.errors import EngineError
from app.sealing import Sealer
from app.types import JsonObject
from app.webhooks.store import WebhookStore

log = logging.getLogger(__name__)

_WORKER = SystemScope("webhooks of all organisations are encrypted with one key")
_SECRETS = ("secret", "previous_secret")


class ResealService:
    """See the module. Safe to run again, and beside itself."""

    def __init__(self, store: WebhookStore, sealer: Sealer) -> None:
        self._store = store
        self._sealer = sealer

    async def reseal(self) -> int:
        """Encrypt with the newest key what an older one did; returns of how many webhooks, and logs it.

        A secret that none of the keys opens stays as it is, and is told. Raises Unavailable; the next run
        goes on.
        """
        changed = lost = 0
        async for webhook_id, source in self._store.sealed(_WORKER):
            if not any(source.get(name) and not self._sealer.is_newest(source[name]) for name in _SECRETS):
                continue
            try:
                if await self._store.change(_WORKER, webhook_id, self._resealed):
                    changed += 1
            except EngineError:
                lost += 1
        if changed:
            log.info("webhook secrets are encrypted with the newest key", extra={"webhooks": changed})
        if lost:
            log.error(
                "webhook secrets are encrypted with a key that REMEMBR_ENCRYPTION_KEYS no longer names; add it at the"
                " end, or rotate these webhooks' secrets",
                extra={"webhooks": lost},
            )
        return changed

    def _resealed(self, source: JsonObject) -> JsonObject:
        return {name: self._sealer.reseal(source[name]) for name in _SECRETS if source.get(name)}
