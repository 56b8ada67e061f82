"""Removing for good what has had its time, in any index."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.elastic.index import Engine, ScopedIndex
from app.elastic.indices import IndexDefinition
from app.elastic.scope import ScopedQuery, SystemScope
from app.types import iso

_PURGE = SystemScope("what has had its time is purged for all organisations")


@dataclass(frozen=True, slots=True)
class Expiry:
    """Documents of `definition` whose time in `field` is longer ago than `age` are removed."""

    definition: IndexDefinition
    field: str
    age: timedelta


async def purge_expired(engine: Engine, expiry: Expiry, now: datetime, *, wait_s: float) -> int:
    """Returns how many were removed. Raises Unavailable; safe to repeat."""
    query = ScopedQuery(
        _PURGE,
        filters=[{"range": {expiry.field: {"lt": iso(now - expiry.age)}}}],
        deleted=True,
    )
    return await ScopedIndex(engine, expiry.definition).delete_matching(query, wait_s=wait_s)
