"""Which events an organisation's webhooks want: one small document, read with whatever a write reads anyway."""

from __future__ import annotations

from collections.abc import Iterable

from app.elastic.client import VersionConflict
from app.elastic.index import Engine, ScopedIndex
from app.elastic.indices import WEBHOOKS
from app.elastic.scope import AnyScope
from app.types import derived_id, iso, utc_now

_TRIES = 20


class Subscriptions:
    """Never narrowed: an event that no webhook wants any more costs one update, a forgotten one is lost."""

    def __init__(self, engine: Engine) -> None:
        self._index = ScopedIndex(engine, WEBHOOKS)

    async def wanted(self, scope: AnyScope, org_id: str) -> frozenset[str]:
        """The types of events that some webhook of the organisation may want; a realtime read."""
        found = await self._index.get(scope, _id(org_id))
        return frozenset(found.source["event_types"]) if found else frozenset()

    async def widen(self, scope: AnyScope, org_id: str, types: Iterable[str]) -> None:
        """Have these written from now on. Done before the webhook is stored that wants them."""
        asked = set(types)
        for _ in range(_TRIES):
            found = await self._index.get(scope, _id(org_id))
            if found is not None and asked <= set(found.source["event_types"]):
                return
            try:
                if found is None:
                    created = {"org_id": org_id, "kind": "subscriptions", "created_at": iso(utc_now())}
                    await self._index.create(scope, _id(org_id), created | {"event_types": sorted(asked)})
                else:
                    both = asked | set(found.source["event_types"])
                    await self._index.update(scope, found, {"event_types": sorted(both)})
            except VersionConflict:
                continue
            return
        raise RuntimeError("an organisation's subscriptions kept changing")


def _id(org_id: str) -> str:
    return derived_id("webhook subscriptions", org_id)
