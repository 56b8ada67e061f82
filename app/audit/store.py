"""The audit log in Elasticsearch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from app.audit.models import EntriesQuery, Entry, Origin
from app.elastic.index import Engine, ScopedIndex
from app.elastic.indices import AUDIT
from app.elastic.scope import Query, Scope, ScopedQuery
from app.types import JsonObject, from_iso, iso, new_id, utc_now

_SORT = [{"at": "desc"}, {"audit_id": "asc"}]
_USER_AGENT_MAX = 200
_COUNT_MAX = 10_000


class AuditStore:
    """Entries of an organisation: written once, completed once, never changed."""

    def __init__(self, engine: Engine) -> None:
        self._index = ScopedIndex(engine, AUDIT)

    async def write(
        self,
        scope: Scope,
        action: str,
        credential: str,
        origin: Origin,
        targets: Sequence[str] = (),
        status: int | None = None,
    ) -> str:
        """Store an entry durably; returns its id. status: None where it isn't known yet. Raises Unavailable."""
        entry_id = new_id()
        source: JsonObject = {
            "audit_id": entry_id,
            "org_id": scope.org_id,
            "user_id": scope.user_id,
            "agent_id": scope.agent_id,
            "at": iso(utc_now()),
            "action": action,
            "credential": credential,
            "targets": list(targets),
            "address": origin.address,
            "user_agent": origin.user_agent[:_USER_AGENT_MAX],
            "request_id": origin.request_id,
            "status": status,
        }
        await self._index.create(scope, entry_id, source)
        return entry_id

    async def complete(self, scope: Scope, entry_id: str, targets: Sequence[str], status: int) -> None:
        """Add how it ended, and what it was done to now that this is known. Raises Unavailable."""
        changes = {"targets": list(targets), "status": status}
        await self._index.update_unguarded(scope, entry_id, scope.org_id, changes)

    async def page(self, scope: Scope, wanted: EntriesQuery) -> tuple[list[Entry], int]:
        """Entries of the organisation, newest first, and how many there are."""
        query = ScopedQuery(
            scope,
            filters=_filters(wanted),
            sort=_SORT,
            size=wanted.limit if wanted.offset + wanted.limit <= _COUNT_MAX else 0,
            offset=wanted.offset if wanted.offset + wanted.limit <= _COUNT_MAX else 0,
            fields=["*"],
            count_up_to=True,
        )
        found = await self._index.search(query)
        return [_entry(hit.source) for hit in found.hits], found.total


def _filters(wanted: EntriesQuery) -> list[Query]:
    filters: list[Query] = [
        {"term": {field: value}}
        for field, value in (("action", wanted.action), ("user_id", wanted.user_id), ("targets", wanted.target))
        if value is not None
    ]
    bounds = {"gte": _text(wanted.from_time), "lte": _text(wanted.to_time)}
    if any(bounds.values()):
        filters.append({"range": {"at": {name: value for name, value in bounds.items() if value}}})
    return filters


def _text(at: datetime | None) -> str | None:
    return iso(at) if at else None


def _entry(source: JsonObject) -> Entry:
    return Entry(
        id=source["audit_id"],
        at=from_iso(source["at"]),
        action=source["action"],
        user_id=source["user_id"],
        agent_id=source.get("agent_id"),
        credential=source["credential"],
        targets=source.get("targets") or [],
        address=source["address"],
        user_agent=source["user_agent"],
        request_id=source["request_id"],
        status=source.get("status"),
    )
