"""From events to receivers: fanning out what is due, and delivering it, each webhook at its own pace.

Every hop can be done twice: ids of deliveries derive from event and webhook, and what is claimed by a worker
that dies is due again when its lease ends. So a receiver sees each event at least once.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

import orjson

from app import metrics
from app.elastic.index import Document
from app.elastic.scope import SystemScope
from app.sealing import Sealer
from app.types import JsonObject, iso, utc_now
from app.webhooks.deliveries import DeliveryStore, Wanted
from app.webhooks.models import Webhook
from app.webhooks.payloads import data_of, payload
from app.webhooks.pending import EventStore
from app.webhooks.sender import Outcome, Sender
from app.webhooks.service import DELETED
from app.webhooks.signing import headers
from app.webhooks.store import Target, WebhookStore

log = logging.getLogger(__name__)

FAILURES_MAX = 20
LEASE = timedelta(seconds=30)
_CAUSES = 500
_AT_ONCE = 8
_PER_LOOK = 64
_REST_FROM = 3
_REST_MAX_S = 30.0
_JITTER = 0.2
_RETRY_AFTER_MAX_S = 3_600.0
_OFF = "The webhook is switched off."
_WORKER = SystemScope("deliveries of all organisations")


class DeliveryService:
    """retry_s: seconds between tries, so one more try than there are entries."""

    def __init__(
        self,
        events: EventStore,
        webhooks: WebhookStore,
        deliveries: DeliveryStore,
        sender: Sender,
        sealer: Sealer,
        *,
        retry_s: Sequence[float],
    ) -> None:
        self._events = events
        self._webhooks = webhooks
        self._deliveries = deliveries
        self._sender = sender
        self._sealer = sealer
        self._retry_s = retry_s
        self._serving: dict[str, asyncio.Task[None]] = {}

    async def fan_out(self) -> int:
        """Make deliveries of a batch of events; returns how many documents carried some."""
        causes = await self._events.due(_CAUSES)
        if not causes:
            return 0
        wanting = await self._webhooks.wanting({cause.document.source["org_id"] for cause in causes})
        wanted = []
        for cause in causes:
            source = cause.document.source
            for event in cause.events:
                body, request_id = payload(event, source["org_id"], data_of(event, source)), event.get("request_id")
                hooks = [hook for hook in wanting[source["org_id"]] if event["type"] in hook.events]
                wanted += [Wanted(hook, body, request_id) for hook in hooks]
        await self._deliveries.create_all(_WORKER, wanted)
        await self._events.clear(causes)
        metrics.FANNED_OUT.inc(len(causes))
        return len(causes)

    async def deliver_due(self) -> int:
        """Begin to serve every webhook that something is due for; returns how many were begun.

        Each is served by a task of its own, so that a slow receiver holds up no other.
        """
        due = [webhook for webhook in await self._deliveries.webhooks_with_due() if webhook not in self._serving]
        for webhook_id in due:
            task = asyncio.create_task(self._serve(webhook_id))
            self._serving[webhook_id] = task
            task.add_done_callback(partial(self._served, webhook_id))
        return len(due)

    async def drain(self) -> None:
        """Wait for all that is being delivered."""
        while self._serving:
            await asyncio.wait(list(self._serving.values()))

    async def close(self) -> None:
        """Stop; what was under way is due again when its lease ends."""
        for task in list(self._serving.values()):
            task.cancel()
        await self.drain()

    def _served(self, webhook_id: str, task: asyncio.Task[None]) -> None:
        del self._serving[webhook_id]
        if not task.cancelled() and task.exception() is not None:
            # What it had claimed is due again soon, and the next sweep begins anew.
            log.warning("a webhook's deliveries stopped", extra={"webhook_id": webhook_id}, exc_info=task.exception())

    async def _serve(self, webhook_id: str) -> None:
        while documents := await self._deliveries.due(webhook_id, _PER_LOOK):
            taken = 0
            while documents:
                target = await self._webhooks.get(_WORKER, webhook_id)
                if target is None or not target.webhook.active:
                    await self._deliveries.fail_pending(webhook_id, DELETED if target is None else _OFF)
                    return
                if self._rests(target.webhook):
                    return
                # One that fails is asked with a single delivery whether it is back.
                size = 1 if target.webhook.failure_count else _AT_ONCE
                tries, documents = documents[:size], documents[size:]
                tried = await asyncio.gather(*(self._try(target, document) for document in tries))
                outcomes = [outcome for outcome in tried if outcome is not None]
                if outcomes:
                    await self._note(webhook_id, outcomes)
                taken += len(outcomes)
            if not taken:
                # Another worker has them.
                return

    def _rests(self, webhook: Webhook) -> bool:
        """Whether a receiver that has failed again and again is left alone still: however much waits for it, it
        must not be switched off for having been down for a minute."""
        if webhook.failure_count < _REST_FROM or webhook.last_delivery_at is None:
            return False
        rest_s = min(self._retry_s[0] * 2 ** (webhook.failure_count - _REST_FROM), _REST_MAX_S)
        return utc_now() < webhook.last_delivery_at + timedelta(seconds=rest_s)

    async def _try(self, target: Target, document: Document) -> Outcome | None:
        """None when another worker has it."""
        claimed = await self._deliveries.claim(document, LEASE)
        if claimed is None:
            return None
        source, now = claimed.source, utc_now()
        body = orjson.dumps(source["payload"])
        signed = headers(
            body,
            event=source["event"],
            event_id=source["event_id"],
            delivery_id=claimed.id,
            keys=[self._sealer.open(sealed) for sealed in target.sealed],
            at=now,
        )
        outcome = await self._sender.send(target.webhook.url, body, signed)
        metrics.DELIVERIES.labels("delivered" if outcome.delivered else "failed").inc()
        log.log(
            logging.DEBUG if outcome.delivered else logging.INFO,
            "a delivery was tried",
            extra={
                "delivery_id": claimed.id,
                "webhook_id": target.webhook.id,
                "request_id": source.get("request_id"),
                "status": outcome.status,
                "error": outcome.error,
            },
        )
        await self._deliveries.record(claimed, self._recorded(source["attempts"] + 1, outcome))
        return outcome

    def _recorded(self, attempts: int, outcome: Outcome) -> JsonObject:
        changes: JsonObject = {
            "attempts": attempts,
            "last_attempt_at": iso(utc_now()),
            "response_status_code": outcome.status,
            "response_body_snippet": outcome.snippet,
            "error": outcome.error,
        }
        if outcome.delivered:
            return changes | {"status": "delivered", "next_attempt_at": None}
        if outcome.gone or attempts > len(self._retry_s):
            return changes | {"status": "failed", "next_attempt_at": None}
        delay = retry_delay(self._retry_s[attempts - 1], outcome.retry_after_s)
        return changes | {"next_attempt_at": iso(utc_now() + delay)}

    async def _note(self, webhook_id: str, outcomes: Sequence[Outcome]) -> None:
        """Count on the webhook how tries at the same time went, and switch it off where it is of no use."""
        delivered = any(outcome.delivered for outcome in outcomes)

        def counted(source: JsonObject) -> JsonObject:
            fields: JsonObject = {
                "last_delivery_at": iso(utc_now()),
                "last_delivery_status": "delivered" if delivered else "failed",
                "failure_count": 0 if delivered else source["failure_count"] + len(outcomes),
            }
            if any(outcome.gone for outcome in outcomes):
                return fields | {"active": False, "disabled_reason": "The receiver answered 410 Gone."}
            if fields["failure_count"] >= FAILURES_MAX:
                reason = f"{FAILURES_MAX} tries in a row have failed."
                return fields | {"active": False, "disabled_reason": reason}
            return fields

        target = await self._webhooks.change(_WORKER, webhook_id, counted)
        if target is not None and not target.webhook.active:
            log.warning(
                "a webhook is switched off",
                extra={"webhook_id": webhook_id, "reason": target.webhook.disabled_reason},
            )
            await self._deliveries.fail_pending(webhook_id, _OFF)


def retry_delay(step_s: float, retry_after_s: float | None) -> timedelta:
    """The step, up to a fifth more or less so that receivers are not met by all at once; longer where the
    receiver asks for it, an hour at most."""
    jittered = step_s * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - not a secret
    return timedelta(seconds=max(jittered, min(retry_after_s or 0.0, _RETRY_AFTER_MAX_S)))
