"""What webhooks are told of. An event that is due is an entry in the field `events` of the document that caused it,
written in the same write, so that neither is ever there without the other."""

from __future__ import annotations

from typing import Literal, get_args

from app.types import JsonObject, iso, new_id, utc_now

EventType = Literal["memory.stored", "embedding.ready", "session.created", "memory.deleted", "checkpoint.created"]

EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)

TEST_EVENT = "webhook.test"


def new_event(event: EventType) -> JsonObject:
    """The entry of an event that happens now."""
    return {"id": new_id(), "type": event, "at": iso(utc_now())}


def events_for(wanted: frozenset[str], event: EventType) -> JsonObject:
    """`{"events": [...]}` for a new document, or nothing where no webhook of the organisation wants it."""
    return {"events": [new_event(event)]} if event in wanted else {}


def with_event(source: JsonObject, wanted: frozenset[str], event: EventType) -> JsonObject:
    """The change that adds an event to those that a stored document carries still, or none."""
    return {"events": [*(source.get("events") or []), new_event(event)]} if event in wanted else {}
