"""Deliveries in Elasticsearch: what is due for whom, and taking it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.elastic.client import MissingDocument, VersionConflict
from app.elastic.index import Document, Engine, ScopedIndex
from app.elastic.indices import DELIVERIES
from app.elastic.scope import AnyScope, Query, Scope, ScopedQuery, SystemScope, UserScope
from app.types import JsonObject, derived_id, from_iso, iso, utc_now
from app.webhooks.models import Delivery, Webhook

_WORKER = SystemScope("deliveries of all organisations")
_WEBHOOKS_PER_LOOK = 1_000
_PAGE = 500
_SUBJECT = ("user_id", "session_id", "episode_id")
_PENDING: Query = {"term": {"status": "pending"}}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A payload that a webhook is to be sent. request_id: of the request that the event happened in, for the log."""

    webhook: Webhook
    payload: JsonObject
    request_id: str | None = None


class DeliveryStore:
    """The only module that names the index of deliveries."""

    def __init__(self, engine: Engine) -> None:
        self._index = ScopedIndex(engine, DELIVERIES)

    async def create_all(self, scope: AnyScope, wanted: Sequence[Wanted]) -> list[str]:
        """Store a delivery of a payload for each webhook, due now. One that is there stays as it is. Ids in order."""
        documents = [(derived_id(one.payload["id"], one.webhook.id), _source(one)) for one in wanted]
        made = [(delivery_id, source | {"delivery_id": delivery_id}) for delivery_id, source in documents]
        for result in await self._index.create_all(scope, made):
            if isinstance(result, BaseException) and not isinstance(result, VersionConflict):
                raise result
        return [delivery_id for delivery_id, _ in made]

    async def recent(self, scope: Scope, webhook_id: str, limit: int) -> list[Delivery]:
        """A webhook's deliveries, newest first."""
        query = ScopedQuery(
            scope,
            filters=[{"term": {"webhook_id": webhook_id}}],
            sort=[{"created_at": "desc"}, {"delivery_id": "asc"}],
            size=limit,
            fields=["*"],
        )
        return [delivery_of(hit.source) for hit in (await self._index.search(query)).hits]

    async def again(self, scope: Scope, webhook_id: str, delivery_id: str) -> str | None:
        """Make a delivery due now, with all its tries before it; returns its event. None when there is none."""
        while True:
            found = await self._index.get(scope, delivery_id)
            if found is None or found.source["webhook_id"] != webhook_id:
                return None
            try:
                changes = {"status": "pending", "attempts": 0, "next_attempt_at": iso(utc_now()), "error": None}
                await self._index.update(scope, found, changes)
            except VersionConflict:
                continue
            return str(found.source["event"])

    async def webhooks_with_due(self) -> list[str]:
        """Webhooks for which something is due."""
        query = ScopedQuery(
            _WORKER,
            filters=_due(),
            size=0,
            aggregations={"webhooks": {"terms": {"field": "webhook_id", "size": _WEBHOOKS_PER_LOOK}}},
        )
        found = await self._index.search(query)
        return [bucket["key"] for bucket in found.aggregations["webhooks"]["buckets"]]

    async def due(self, webhook_id: str, size: int) -> list[Document]:
        """What is due for a webhook, longest waiting first."""
        return await self._found([{"term": {"webhook_id": webhook_id}}, *_due()], size)

    async def claim(self, document: Document, lease: timedelta) -> Document | None:
        """Take one for that long; None when someone else has. A worker that dies leaves it due again."""
        changes = {"next_attempt_at": iso(utc_now() + lease)}
        try:
            revision = await self._index.update(_WORKER, document, changes)
        except (VersionConflict, MissingDocument):
            return None
        return Document(document.id, document.source | changes, revision)

    async def record(self, document: Document, changes: JsonObject) -> bool:
        """Write down how a claimed one went. False when it has been taken by another, its lease having run out."""
        try:
            await self._index.update(_WORKER, document, changes)
        except (VersionConflict, MissingDocument):
            return False
        return True

    async def fail_pending(self, webhook_id: str, reason: str) -> int:
        """End everything that waits for a webhook; returns how many."""
        ended = 0
        while documents := await self._found([{"term": {"webhook_id": webhook_id}}, _PENDING], _PAGE):
            changes = {"status": "failed", "next_attempt_at": None, "error": reason}
            results = await self._index.replace_all(_WORKER, [(found, found.source | changes) for found in documents])
            for result in results:
                if isinstance(result, BaseException) and not isinstance(result, (VersionConflict, MissingDocument)):
                    raise result
                ended += not isinstance(result, BaseException)
        return ended

    async def forget(self, scope: Scope | UserScope, of: Sequence[Query]) -> None:
        """Remove what is no longer pending of what the filters name: payloads tell of their subject."""
        done: Query = {"bool": {"must_not": [_PENDING]}}
        await self._index.delete_matching(ScopedQuery(scope, filters=[*of, done]))

    async def _found(self, filters: list[Query], size: int) -> list[Document]:
        query = ScopedQuery(
            _WORKER,
            filters=filters,
            sort=[{"next_attempt_at": "asc"}, {"delivery_id": "asc"}],
            size=size,
            fields=["*"],
        )
        found = await self._index.search(query)
        return [Document(hit.id, hit.source, hit.revision) for hit in found.hits if hit.revision is not None]


def _due() -> list[Query]:
    return [_PENDING, {"range": {"next_attempt_at": {"lte": iso(utc_now())}}}]


def _source(wanted: Wanted) -> JsonObject:
    webhook, payload = wanted.webhook, wanted.payload
    now, data = iso(utc_now()), payload["data"]
    known = {"request_id": wanted.request_id} if wanted.request_id else {}
    return (
        {name: data[name] for name in _SUBJECT if data.get(name)}
        | known
        | {
            "org_id": webhook.org_id,
            "webhook_id": webhook.id,
            "event_id": payload["id"],
            "event": payload["event"],
            "payload": payload,
            "status": "pending",
            "attempts": 0,
            "created_at": now,
            "next_attempt_at": now,
        }
    )


def delivery_of(source: dict[str, Any]) -> Delivery:
    """A delivery out of its document."""
    return Delivery(
        id=source["delivery_id"],
        webhook_id=source["webhook_id"],
        event=source["event"],
        payload=source["payload"],
        status=source["status"],
        attempts=source["attempts"],
        last_attempt_at=_time(source.get("last_attempt_at")),
        next_attempt_at=_time(source.get("next_attempt_at")),
        response_status_code=source.get("response_status_code"),
        response_body_snippet=source.get("response_body_snippet"),
        error=source.get("error"),
        created_at=from_iso(source["created_at"]),
    )


def _time(text: str | None) -> datetime | None:
    return from_iso(text) if text else None
