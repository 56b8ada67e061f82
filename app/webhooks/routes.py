"""/webhooks."""

from __future__ import annotations

from app.errors import ConflictError
from app.http.routing import Call, Nothing, Routes
from app.webhooks.models import (
    DeletedWebhook,
    DeliveriesQuery,
    Delivery,
    NewWebhook,
    QueuedDelivery,
    Webhook,
    WebhookChanges,
    WebhookWithSecret,
)

routes = Routes(needs="admin")
_MISSING = "WEBHOOK_NOT_FOUND"
_CONFLICT = (ConflictError,)


@routes.add(
    "POST", "/webhooks", body=NewWebhook, answer=WebhookWithSecret, status=201, errors=_CONFLICT, audit="webhook.create"
)
async def create(call: Call[NewWebhook, Nothing]) -> WebhookWithSecret:
    """Create a webhook; its signing secret is shown here and after a rotation, nowhere else."""
    return await call.container.webhooks.create(call.scope, call.body)


@routes.add("GET", "/webhooks", answer=list[Webhook])
async def list_webhooks(call: Call[Nothing, Nothing]) -> list[Webhook]:
    """List the organisation's webhooks, newest first."""
    return await call.container.webhooks.all(call.scope)


@routes.add("GET", "/webhooks/{webhook_id}", answer=Webhook)
async def read(call: Call[Nothing, Nothing]) -> Webhook:
    """One webhook."""
    return await call.container.webhooks.read(call.scope, call.path_id("webhook_id", _MISSING))


@routes.add("PATCH", "/webhooks/{webhook_id}", body=WebhookChanges, answer=Webhook, audit="webhook.change")
async def change(call: Call[WebhookChanges, Nothing]) -> Webhook:
    """Change a webhook's url, events or active."""
    return await call.container.webhooks.change(call.scope, call.path_id("webhook_id", _MISSING), call.body)


@routes.add("DELETE", "/webhooks/{webhook_id}", answer=DeletedWebhook, audit="webhook.delete")
async def delete(call: Call[Nothing, Nothing]) -> DeletedWebhook:
    """Delete a webhook and switch it off."""
    return await call.container.webhooks.delete(call.scope, call.path_id("webhook_id", _MISSING))


@routes.add("POST", "/webhooks/{webhook_id}/rotate-secret", answer=WebhookWithSecret, audit="webhook.rotate")
async def rotate(call: Call[Nothing, Nothing]) -> WebhookWithSecret:
    """Make a new signing secret; the one before it goes on signing for a day."""
    return await call.container.webhooks.rotate(call.scope, call.path_id("webhook_id", _MISSING))


@routes.add("POST", "/webhooks/{webhook_id}/test", answer=QueuedDelivery, errors=_CONFLICT, audit="webhook.test")
async def test(call: Call[Nothing, Nothing]) -> QueuedDelivery:
    """Send `webhook.test` to it."""
    return await call.container.webhooks.test(call.scope, call.path_id("webhook_id", _MISSING))


@routes.add("GET", "/webhooks/{webhook_id}/deliveries", query=DeliveriesQuery, answer=list[Delivery])
async def deliveries(call: Call[Nothing, DeliveriesQuery]) -> list[Delivery]:
    """List a webhook's deliveries, newest first."""
    webhook_id = call.path_id("webhook_id", _MISSING)
    return await call.container.webhooks.deliveries(call.scope, webhook_id, call.query.limit)


@routes.add(
    "POST",
    "/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver",
    answer=QueuedDelivery,
    errors=_CONFLICT,
    audit="webhook.redeliver",
)
async def redeliver(call: Call[Nothing, Nothing]) -> QueuedDelivery:
    """Send one delivery once more."""
    webhook_id = call.path_id("webhook_id", _MISSING)
    return await call.container.webhooks.redeliver(
        call.scope, webhook_id, call.path_id("delivery_id", "DELIVERY_NOT_FOUND")
    )
