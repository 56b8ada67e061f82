"""What webhooks are told of. An event that is due is an entry in the field `events` of the document that caused it,
written in the same write, so that neither is ever there without the other."""

from __future__ import annotations

from typing import Literal, get_args

from app.logs import current_request_id
from app.types import JsonObject, iso, new_id, utc_now

EventType = Literal["memory.stored", "embedding.ready", "session.created", "memory.deleted", "checkpoint.created"]

EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)

TEST_EVENT = "webhook.test"


def new_event(event: EventType) -> JsonObject:
    """The entry of an event that happens now, with the id of the request that it happens in, if any."""
    entry = {"id": new_id(), "type": event, "at": iso(utc_now())}
    return entry | ({"request_id": request_id} if (request_id := current_request_id()) else {})


def events_for(wanted: frozenset[str], event: EventType) -> JsonObject:
    """`{"events": [...]}` for a new document, or nothing where no webhook of the organisation wants it."""
    return {"events": [new_event(event)]} if event in wanted else {}


def with_event(source: JsonObject, wanted: frozenset[str], event: EventType) -> JsonObject:
    """The change that adds an event to those that a stored document carries still, or none."""
    if event not in wanted:
        return {}
    # A worker embeds because of the request that stored it.
    cause = {"request_id": source["request_id"]} if source.get("request_id") else {}
    return {"events": [*(source.get("events") or []), cause | new_event(event)]}
