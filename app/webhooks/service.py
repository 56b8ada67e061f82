"""Managing webhooks. They tell of the whole organisation's memory, so a key that acts as one agent may not."""

from __future__ import annotations

import dataclasses

from app.elastic.scope import Scope
from app.errors import AuthorizationError, ConflictError, NotFound, ValidationFailed
from app.events import TEST_EVENT
from app.logs import current_request_id
from app.outbox import WEBHOOKS, Outbox
from app.sealing import Sealer
from app.types import JsonObject, iso, new_id, utc_now
from app.webhooks.deliveries import DeliveryStore, Wanted
from app.webhooks.guard import Network, refusal
from app.webhooks.models import (
    DeletedWebhook,
    Delivery,
    NewWebhook,
    QueuedDelivery,
    Webhook,
    WebhookChanges,
    WebhookWithSecret,
)
from app.webhooks.payloads import payload
from app.webhooks.signing import new_secret
from app.webhooks.store import ROTATION, Target, WebhookStore
from app.webhooks.subscriptions import Subscriptions

DELETED = "The webhook was deleted."


class WebhookService:
    """Every method takes the caller's scope first and raises AuthorizationError for an agent's key.

    most: webhooks an organisation may have. allowed: networks that are opened beside the public ones.
    """

    def __init__(
        self,
        store: WebhookStore,
        deliveries: DeliveryStore,
        subscriptions: Subscriptions,
        sealer: Sealer,
        outbox: Outbox,
        *,
        most: int,
        allowed: tuple[Network, ...],
    ) -> None:
        self._store = store
        self._deliveries = deliveries
        self._subscriptions = subscriptions
        self._sealer = sealer
        self._outbox = outbox
        self._most = most
        self._allowed = allowed

    async def create(self, scope: Scope, new: NewWebhook) -> WebhookWithSecret:
        """A new webhook. Raises ValidationFailed for a target that is not public, ConflictError at the limit."""
        _check(scope)
        await self._check_target(new.url)
        if len(await self._store.all(scope)) >= self._most:
            raise ConflictError(f"There are {self._most} webhooks already; delete one first.", code="WEBHOOK_LIMIT")
        await self._subscriptions.widen(scope, scope.org_id, new.events)
        secret = new_secret()
        return _with(await self._store.create(scope, new, self._sealer.seal(secret)), secret)

    async def all(self, scope: Scope) -> list[Webhook]:
        """The organisation's, newest first."""
        _check(scope)
        return await self._store.all(scope)

    async def read(self, scope: Scope, webhook_id: str) -> Webhook:
        """One webhook. Raises NotFound."""
        return (await self._require(scope, webhook_id)).webhook

    async def change(self, scope: Scope, webhook_id: str, changes: WebhookChanges) -> Webhook:
        """Change what is given; one that is switched on again starts with no failures. Raises NotFound."""
        await self._require(scope, webhook_id)
        given: JsonObject = {
            "url": changes.url,
            "event_types": changes.events,
            "active": changes.active,
        }
        fields = {name: value for name, value in given.items() if value is not None}
        if changes.url is not None:
            await self._check_target(changes.url)
        if changes.events is not None:
            await self._subscriptions.widen(scope, scope.org_id, changes.events)
        if changes.active:
            fields |= {"failure_count": 0, "disabled_reason": None}
        fields["updated_at"] = iso(utc_now())
        return _found(await self._store.change(scope, webhook_id, lambda _: fields)).webhook

    async def delete(self, scope: Scope, webhook_id: str) -> DeletedWebhook:
        """Switch it off for good; what waits for it is not sent. Raises NotFound."""
        await self._require(scope, webhook_id)
        now = iso(utc_now())
        fields: JsonObject = {"active": False, "updated_at": now, "deleted_at": now}
        _found(await self._store.change(scope, webhook_id, lambda _: fields))
        await self._deliveries.fail_pending(webhook_id, DELETED)
        return DeletedWebhook(webhook_id, webhook_id, True)

    async def rotate(self, scope: Scope, webhook_id: str) -> WebhookWithSecret:
        """A new secret; the one before signs beside it for a day. Raises NotFound."""
        _check(scope)
        secret = new_secret()
        sealed, now = self._sealer.seal(secret), utc_now()

        def replace(source: JsonObject) -> JsonObject:
            return {
                "secret": sealed,
                "previous_secret": source["secret"],
                "previous_until": iso(now + ROTATION),
                "updated_at": iso(now),
            }

        return _with(_found(await self._store.change(scope, webhook_id, replace)).webhook, secret)

    async def test(self, scope: Scope, webhook_id: str) -> QueuedDelivery:
        """Send `webhook.test`. Raises NotFound, or ConflictError where the webhook is off."""
        webhook = await self._require_active(scope, webhook_id)
        event = {"id": new_id(), "type": TEST_EVENT, "at": iso(utc_now())}
        body = payload(event, scope.org_id, {"webhook_id": webhook.id, "message": "This is a test."})
        ids = await self._deliveries.create_all(scope, [Wanted(webhook, body, current_request_id())])
        self._outbox.nudge(WEBHOOKS)
        return QueuedDelivery(ids[0], True, TEST_EVENT)

    async def deliveries(self, scope: Scope, webhook_id: str, limit: int) -> list[Delivery]:
        """Its deliveries, newest first. Raises NotFound."""
        await self._require(scope, webhook_id)
        return await self._deliveries.recent(scope, webhook_id, limit)

    async def redeliver(self, scope: Scope, webhook_id: str, delivery_id: str) -> QueuedDelivery:
        """Send one delivery once more, whatever became of it. Raises NotFound, or ConflictError where it is off."""
        await self._require_active(scope, webhook_id)
        event = await self._deliveries.again(scope, webhook_id, delivery_id)
        if event is None:
            raise NotFound("There is no such delivery.", code="DELIVERY_NOT_FOUND")
        self._outbox.nudge(WEBHOOKS)
        return QueuedDelivery(delivery_id, True, event)

    async def _require(self, scope: Scope, webhook_id: str) -> Target:
        _check(scope)
        return _found(await self._store.get(scope, webhook_id))

    async def _require_active(self, scope: Scope, webhook_id: str) -> Webhook:
        webhook = (await self._require(scope, webhook_id)).webhook
        if not webhook.active:
            raise ConflictError("The webhook is switched off; set `active` to true first.", code="WEBHOOK_INACTIVE")
        return webhook

    async def _check_target(self, url: str) -> None:
        reason = await refusal(url, self._allowed)
        if reason is not None:
            error = {"type": "webhook_target", "loc": ["body", "url"], "msg": reason}
            raise ValidationFailed(f"The url {reason}.", errors=[error])


def _check(scope: Scope) -> None:
    if scope.agent_id is not None:
        raise AuthorizationError("A key that acts as an agent can't manage the organisation's webhooks.")


def _found(target: Target | None) -> Target:
    if target is None:
        raise NotFound("There is no such webhook.", code="WEBHOOK_NOT_FOUND")
    return target


def _with(webhook: Webhook, secret: str) -> WebhookWithSecret:
    return WebhookWithSecret(**dataclasses.asdict(webhook), secret=secret)
