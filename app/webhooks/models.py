"""What webhooks take and answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from app.events import EventType
from app.types import CleanText, JsonObject
from app.validation import Input
from app.webhooks.guard import URL_MAX_CHARS, parse_url

DELIVERIES_MAX = 100

Target = Annotated[CleanText, Field(min_length=1, max_length=URL_MAX_CHARS), AfterValidator(parse_url)]


def _once_each(value: list[EventType]) -> list[EventType]:
    return list(dict.fromkeys(value))


Events = Annotated[list[EventType], Field(min_length=1, max_length=50), AfterValidator(_once_each)]


class NewWebhook(Input):
    """Where to send which events."""

    url: Target
    events: Events
    active: bool = True


class WebhookChanges(Input):
    """What to change; what is left out stays."""

    url: Target | None = None
    events: Events | None = None
    active: bool | None = None


class DeliveriesQuery(Input):
    """How many deliveries to list; more than a hundred are not listed at once."""

    limit: int = Field(20, ge=1)

    @field_validator("limit")
    @classmethod
    def _clamped(cls, value: int) -> int:
        return min(value, DELIVERIES_MAX)


DeliveryStatus = Literal["pending", "delivered", "failed"]


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook as it is shown. failure_count: tries that failed since the last that succeeded."""

    id: str
    org_id: str
    url: str
    events: list[str]
    active: bool
    created_at: datetime
    updated_at: datetime
    last_delivery_at: datetime | None
    last_delivery_status: str | None
    failure_count: int
    disabled_reason: str | None


@dataclass(frozen=True, slots=True)
class WebhookWithSecret(Webhook):
    """With its signing secret, which is shown this once."""

    secret: str


@dataclass(frozen=True, slots=True)
class DeletedWebhook:
    """The receipt of a delete."""

    id: str
    webhook_id: str
    deleted: bool


@dataclass(frozen=True, slots=True)
class QueuedDelivery:
    """A delivery that will be tried soon."""

    delivery_id: str
    queued: bool
    event: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one webhook. attempts: tries so far."""

    id: str
    webhook_id: str
    event: str
    payload: JsonObject
    status: DeliveryStatus
    attempts: int
    last_attempt_at: datetime | None
    next_attempt_at: datetime | None
    response_status_code: int | None
    response_body_snippet: str | None
    error: str | None
    created_at: datetime
