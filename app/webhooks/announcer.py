"""Telling webhooks of deletes that leave no document to tell of them, and forgetting what deliveries held."""

from __future__ import annotations

from app.elastic.index import Engine
from app.elastic.scope import Scope, UserScope
from app.events import EventType, new_event
from app.outbox import WEBHOOKS, Outbox
from app.types import JsonObject, derived_id
from app.webhooks.deliveries import DeliveryStore
from app.webhooks.payloads import data_of
from app.webhooks.pending import EventStore
from app.webhooks.subscriptions import Subscriptions

_EVENT: EventType = "memory.deleted"
_SUBJECT = ("episode_id", "session_id", "user_id", "agent_id")


class Announcer:
    """Where an organisation never had a webhook, each method costs one read by id. Durable when they return;
    all raise Unavailable, and are safe to repeat."""

    def __init__(self, engine: Engine, outbox: Outbox) -> None:
        self._subscriptions = Subscriptions(engine)
        self._events = EventStore(engine)
        self._deliveries = DeliveryStore(engine)
        self._outbox = outbox

    async def session_deleted(self, scope: Scope, session_id: str, count: int) -> None:
        """Tell of the soft delete of a session's episodes, even if this call found none left: one before it may
        have ended before it could tell."""
        if _EVENT in await self._subscriptions.wanted(scope, scope.org_id):
            data = {"session_id": session_id, "user_id": scope.user_id, "agent_id": scope.agent_id}
            await self._tell(scope, new_event(_EVENT), data | {"deleted_count": count, "soft": True})

    async def user_deleted(self, scope: Scope, theirs: UserScope, episodes: int, sessions: int) -> None:
        """Tell of the soft delete of all that a user has, and forget what has been delivered of it. scope: the
        caller's; a user's own has no part in what is the organisation's."""
        wanted = await self._subscriptions.wanted(scope, scope.org_id)
        if wanted:
            await self._deliveries.forget(theirs, [])
        if _EVENT in wanted:
            data = {"user_id": theirs.user_id, "deleted_count": episodes, "deleted_sessions": sessions, "soft": True}
            await self._tell(scope, new_event(_EVENT), data)

    async def removing(self, scope: Scope, source: JsonObject) -> None:
        """Before an episode is removed for good: keep the events that it carries still, tell of the removal, and
        forget what has been delivered of it. What is being delivered goes with its time."""
        wanted, episode_id = await self._subscriptions.wanted(scope, scope.org_id), source["episode_id"]
        for event in source.get("events") or ():
            await self._events.write(scope, scope.org_id, event, data_of(event, source))
        if wanted:
            await self._deliveries.forget(scope, [{"term": {"episode_id": episode_id}}])
        if _EVENT in wanted:
            # A removal that is tried again tells of the same event.
            event = new_event(_EVENT) | {"id": derived_id("removed for good", episode_id)}
            subject = {name: source.get(name) for name in _SUBJECT}
            await self._tell(scope, event, subject | {"deleted_count": 1, "soft": False})

    async def _tell(self, scope: Scope, event: JsonObject, data: JsonObject) -> None:
        await self._events.write(scope, scope.org_id, event, data)
        self._outbox.nudge(WEBHOOKS)
