"""How much is due and not done, and for how long, over all organisations."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from app.elastic.index import Engine, ScopedIndex
from app.elastic.indices import CHECKPOINTS, DELIVERIES, EPISODES, EVENTS, SESSIONS
from app.elastic.scope import Query, ScopedQuery, SystemScope
from app.types import iso, utc_now

_SCOPE = SystemScope("how much waits is the operator's to know, over all organisations")


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many, and how many seconds the oldest has been due (0 when nothing is)."""

    count: int
    oldest_s: float


class BacklogStore:
    """Counts without waiting for a refresh: a second's difference is none to an operator."""

    def __init__(self, engine: Engine) -> None:
        self._indices = {
            definition.name: ScopedIndex(engine, definition)
            for definition in (EPISODES, SESSIONS, CHECKPOINTS, EVENTS, DELIVERIES)
        }

    async def look(self) -> dict[str, Waiting]:
        """`embeddings`, `events` that are no deliveries yet, and `deliveries`. Raises Unavailable."""
        now = iso(utc_now())
        due: Query = {"range": {"embedding_due_at": {"lte": now}}}
        pending: list[Query] = [{"term": {"status": "pending"}}, {"range": {"next_attempt_at": {"lte": now}}}]
        carrying: Query = {"exists": {"field": "events.id"}}
        embeddings, deliveries, *events = await asyncio.gather(
            self._waiting("episodes", [due], "embedding_due_at"),
            self._waiting("deliveries", pending, "next_attempt_at"),
            *(
                self._waiting(name, [carrying], "events.at", deleted=True)
                for name in ("episodes", "sessions", "checkpoints", "events")
            ),
        )
        told = Waiting(sum(each.count for each in events), max(each.oldest_s for each in events))
        return {"embeddings": embeddings, "events": told, "deliveries": deliveries}

    async def _waiting(self, name: str, filters: list[Query], since: str, *, deleted: bool = False) -> Waiting:
        query = ScopedQuery(
            _SCOPE,
            filters=filters,
            deleted=deleted,
            size=0,
            count_up_to=True,
            aggregations={"oldest": {"min": {"field": since}}},
        )
        found = await self._indices[name].search(query, fresh=False)
        oldest_ms = found.aggregations["oldest"]["value"]
        age_s = utc_now().timestamp() - oldest_ms / 1000 if oldest_ms is not None else 0.0
        return Waiting(found.total, max(0.0, round(age_s, 1)))
