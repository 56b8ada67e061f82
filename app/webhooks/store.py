"""Webhooks in Elasticsearch."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta

from app.elastic.client import MissingDocument, VersionConflict
from app.elastic.index import Engine, ScopedIndex
from app.elastic.indices import WEBHOOKS
from app.elastic.scope import AnyScope, Query, Scope, ScopedQuery, SystemScope
from app.types import JsonObject, from_iso, iso, new_id, utc_now
from app.webhooks.models import NewWebhook, Webhook

ROTATION = timedelta(hours=24)
"""How long a replaced secret signs beside the new one."""

_WORKER = SystemScope("deliveries of all organisations")
_TRIES = 20
_MAX = 1_000
_WEBHOOKS: Query = {"term": {"kind": "webhook"}}


@dataclass(frozen=True, slots=True)
class Target:
    """A webhook with what sending to it needs. sealed: its encrypted secrets in force, the newest first."""

    webhook: Webhook
    sealed: list[str]


class WebhookStore:
    """Webhooks of an organisation; deleted ones are as good as missing."""

    def __init__(self, engine: Engine) -> None:
        self._index = ScopedIndex(engine, WEBHOOKS)

    async def create(self, scope: Scope, new: NewWebhook, sealed: str) -> Webhook:
        """Store a new one. sealed: its encrypted secret."""
        webhook_id, now = new_id(), iso(utc_now())
        source: JsonObject = {
            "org_id": scope.org_id,
            "kind": "webhook",
            "webhook_id": webhook_id,
            "url": new.url,
            "event_types": new.events,
            "active": new.active,
            "secret": sealed,
            "created_at": now,
            "updated_at": now,
            "failure_count": 0,
        }
        await self._index.create(scope, webhook_id, source)
        return _webhook(source)

    async def all(self, scope: Scope) -> list[Webhook]:
        """The organisation's, newest first."""
        query = ScopedQuery(
            scope,
            filters=[_WEBHOOKS],
            sort=[{"created_at": "desc"}, {"webhook_id": "asc"}],
            size=_MAX,
            fields=["*"],
        )
        return [_webhook(hit.source) for hit in (await self._index.search(query)).hits]

    async def get(self, scope: AnyScope, webhook_id: str) -> Target | None:
        """One as it is now, or None."""
        found = await self._index.get(scope, webhook_id)
        return _target(found.source) if found is not None and _alive(found.source) else None

    async def wanting(self, org_ids: Collection[str]) -> dict[str, list[Webhook]]:
        """Organisation → its webhooks that are on. For the worker."""
        found: dict[str, list[Webhook]] = {org_id: [] for org_id in org_ids}
        after: list[object] | None = None
        while True:
            query = ScopedQuery(
                _WORKER,
                filters=[_WEBHOOKS, {"term": {"active": True}}, {"terms": {"org_id": list(org_ids)}}],
                sort=[{"webhook_id": "asc"}],
                size=_MAX,
                after=after,
                fields=["*"],
            )
            hits = (await self._index.search(query, fresh=after is None)).hits
            for hit in hits:
                found[hit.source["org_id"]].append(_webhook(hit.source))
            if len(hits) < _MAX:
                return found
            after = hits[-1].sort

    async def sealed(self, scope: AnyScope) -> AsyncIterator[tuple[str, JsonObject]]:
        """Id and encrypted secrets of every webhook in scope."""
        query = ScopedQuery(
            scope,
            filters=[_WEBHOOKS],
            sort=[{"webhook_id": "asc"}],
            size=_MAX,
            fields=["secret", "previous_secret"],
        )
        pages = self._index.walk(query)
        async with aclosing(pages):
            async for hits in pages:
                for hit in hits:
                    yield hit.id, hit.source

    async def change(
        self, scope: AnyScope, webhook_id: str, changes: Callable[[JsonObject], JsonObject]
    ) -> Target | None:
        """Change it by what it is now, again if it has changed meanwhile. None when there is none."""
        for _ in range(_TRIES):
            found = await self._index.get(scope, webhook_id)
            if found is None or not _alive(found.source):
                return None
            changed = changes(found.source)
            try:
                await self._index.update(scope, found, changed)
            except VersionConflict:
                continue
            except MissingDocument:
                return None
            return _target(found.source | changed)
        raise RuntimeError("a webhook kept changing")


def _alive(source: JsonObject) -> bool:
    return source["kind"] == "webhook" and source.get("deleted_at") is None


def _target(source: JsonObject) -> Target:
    sealed = [source["secret"]]
    until = source.get("previous_until")
    if source.get("previous_secret") and until and from_iso(until) > utc_now():
        sealed.append(source["previous_secret"])
    return Target(_webhook(source), sealed)


def _webhook(source: JsonObject) -> Webhook:
    last = source.get("last_delivery_at")
    return Webhook(
        id=source["webhook_id"],
        org_id=source["org_id"],
        url=source["url"],
        events=source["event_types"],
        active=source["active"],
        created_at=from_iso(source["created_at"]),
        updated_at=from_iso(source["updated_at"]),
        last_delivery_at=from_iso(last) if last else None,
        last_delivery_status=source.get("last_delivery_status"),
        failure_count=source["failure_count"],
        disabled_reason=source.get("disabled_reason"),
    )
