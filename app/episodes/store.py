"""Episodes in Elasticsearch: the only module, beside `due.py`, that names their index."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from app.elastic.client import VersionConflict
from app.elastic.index import Document, Engine, Found, Hit, ScopedIndex
from app.elastic.indices import EPISODES
from app.elastic.scope import AnyScope, Query, Scope, ScopedQuery, SystemScope
from app.episodes import queries, tags
from app.episodes.models import EmbeddingLag, Episode, NewEpisode, Surroundings, Turn
from app.events import events_for, with_event
from app.idempotency.models import Answered, Creation
from app.idempotency.store import Item, OnceStore
from app.lineage import FIRST, Lineage
from app.logs import current_request_id
from app.ordinals import Ordinals
from app.types import JsonObject, epoch_ms, from_epoch_ms, from_iso, iso, utc_now
from app.webhooks.subscriptions import Subscriptions

_COUNTS_REMEMBERED = 10_000
_DELETE_TRIES = 5
_EVERYONE = SystemScope("a session's present is cut alike for all who write to it")


@dataclass(frozen=True, slots=True)
class Page:
    """Episodes of a listing, in its order. total: how many there are."""

    episodes: list[Episode]
    total: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A new episode with what the service has added. number: its place in the request. branch: the one that
    its session is on."""

    number: int
    new: NewEpisode
    created_at: datetime
    token_count: int
    branch: int = FIRST


@dataclass(frozen=True, slots=True)
class Given:
    """An episode with the id that it had elsewhere. embedding: fields of one that came with it, or none."""

    id: str
    draft: Draft
    deleted_at: datetime | None = None
    embedding: JsonObject = field(default_factory=dict)


GivenOutcome = Literal["created", "existing", "deleted", "taken"]
"""Of a given episode: stored; there already and the same; there and deleted; its id is something else's."""


class EpisodeStore:
    """Reads and writes of episodes, each within the caller's scope."""

    def __init__(self, engine: Engine, once: OnceStore) -> None:
        self._index = ScopedIndex(engine, EPISODES)
        self._once = once
        self._subscriptions = Subscriptions(engine)
        self._ordinals = Ordinals()
        self._counts: dict[str, int] = {}

    async def wanted_events(self, scope: Scope) -> frozenset[str]:
        """Which events the organisation's webhooks want, for the writes that follow."""
        return await self._subscriptions.wanted(scope, scope.org_id)

    async def create_all(
        self, creation: Creation, drafts: Sequence[Draft], answered: Answered, wanted: frozenset[str] = frozenset()
    ) -> list[Episode | BaseException]:
        """Store episodes, in order, due for embedding; one result or exception each. What the same request
        stored before is given as it was then. wanted: see `wanted_events`. Durable when this returns."""
        items = [Item(partial(self._source, creation.scope, draft, wanted), draft.number) for draft in drafts]
        made = await self._once.create_all(creation, self._index, items, _written_at, answered)
        return [item if isinstance(item, BaseException) else episode_of(item.id, item.source) for item in made]

    async def create_given(self, scope: Scope, given: Sequence[Given]) -> list[GivenOutcome]:
        """Store episodes under their own ids, in order, due for embedding; one outcome each. Nothing is ever
        written over, and webhooks hear nothing. Durable when this returns. Raises Unavailable."""
        documents = [(one.id, self._given_source(scope, one)) for one in given]
        results = await self._index.create_all(scope, documents)
        outcomes: list[GivenOutcome] = ["created"] * len(given)
        met = [place for place, result in enumerate(results) if isinstance(result, VersionConflict)]
        there = await asyncio.gather(*(self._index.get(scope, given[place].id) for place in met))
        for place, document in zip(met, there, strict=True):
            outcomes[place] = _compared(document, documents[place][1], given[place])
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, VersionConflict):
                raise result
        return outcomes

    def _given_source(self, scope: Scope, given: Given) -> JsonObject:
        source = self._source(scope, given.draft, frozenset(), given.id)
        source |= given.embedding | {"deleted_at": iso(given.deleted_at) if given.deleted_at else None}
        return {key: value for key, value in source.items() if value is not None}

    async def known(self, scope: Scope, episode_ids: Iterable[str]) -> set[str]:
        """Those of these episodes that are there for the caller, as of now."""
        found = await asyncio.gather(*(self._alive(scope, episode_id) for episode_id in episode_ids))
        return {document.id for document in found if document is not None}

    def _source(self, scope: Scope, draft: Draft, wanted: frozenset[str], episode_id: str) -> JsonObject:
        new = draft.new
        source = (
            scope.stamp()
            | {
                "episode_id": episode_id,
                "session_id": new.session_id,
                "role": new.role,
                "content": new.content,
                "token_count": draft.token_count,
                "tags": new.tags,
                "tag_numbers": tags.tag_numbers(new.tags),
                "metadata": new.metadata,
                "created_at": iso(draft.created_at),
                "ordinal": self._ordinals.next(),
                "branch": None if draft.branch == FIRST else draft.branch,
                "request_id": current_request_id(),
                "embedding_status": "pending",
                "embedding_attempts": 0,
                "embedding_due_at": iso(utc_now()),
            }
            | events_for(wanted, "memory.stored")
        )
        return {key: value for key, value in source.items() if value is not None}

    async def get(self, scope: Scope, episode_id: str) -> Episode | None:
        """The episode as it is now; None where it is missing, deleted or someone else's."""
        document = await self._alive(scope, episode_id)
        return episode_of(document.id, document.source) if document else None

    async def soft_delete(
        self, scope: Scope, episode_id: str, at: datetime, wanted: frozenset[str] = frozenset()
    ) -> bool:
        """Hide it from every read. False when there is none to hide."""
        for _ in range(_DELETE_TRIES):
            document = await self._alive(scope, episode_id)
            if document is None:
                return False
            try:
                # Guarded, so that of two deletes at once only one is told that it did it.
                events = with_event(document.source, wanted, "memory.deleted")
                await self._index.update(scope, document, {"deleted_at": iso(at)} | events)
            except VersionConflict:
                continue
            return True
        raise RuntimeError("an episode kept changing while it was deleted")

    async def _alive(self, scope: Scope, episode_id: str) -> Document | None:
        document = await self._index.get(scope, episode_id)
        if document is None or document.source.get("deleted_at") is not None:
            return None
        return document

    async def history(
        self,
        scope: Scope,
        session_id: str,
        lineage: Lineage | None,
        *,
        limit: int,
        offset: int,
        newest_first: bool,
        times: Sequence[Query],
    ) -> Page:
        """Episodes of a session from one end, in that order; superseded ones only without a lineage."""
        query = queries.history(
            scope, session_id, lineage, limit=limit, offset=offset, newest_first=newest_first, times=times
        )
        found = await self._index.search(query)
        return Page([episode_of(hit.id, hit.source) for hit in found.hits], found.total)

    async def status_counts(self, scope: Scope, session_id: str) -> dict[str, int]:
        """Embedding status → number of episodes, of a session."""
        return _buckets(await self._index.search(queries.statuses(scope, session_id)), "statuses")

    async def lag(self, scope: Scope) -> EmbeddingLag:
        """How far the embedding of everything is."""
        found = await self._index.search(queries.statuses(scope))
        counts = _buckets(found, "statuses")
        oldest_ms = {each["key"]: each["oldest"]["value"] for each in found.aggregations["statuses"]["buckets"]}
        return EmbeddingLag(
            pending=counts.get("pending", 0),
            ready=counts.get("ready", 0),
            failed=counts.get("failed", 0),
            total=sum(counts.values()),
            oldest_pending_at=from_epoch_ms(int(oldest_ms["pending"])) if "pending" in oldest_ms else None,
        )

    async def message_counts(self, scope: Scope, lineages: Mapping[str, Lineage]) -> dict[str, int]:
        """Session id → number of episodes in its present."""
        if not lineages:
            return {}
        return _buckets(await self._index.search(queries.message_counts(scope, lineages)), "sessions")

    async def by_priority(
        self,
        scope: Scope,
        session_id: str,
        lineage: Lineage,
        script: str,
        params: JsonObject,
        *,
        size: int,
        after: Sequence[object] | None,
    ) -> list[Hit]:
        """A page of a session's present in the order in which the window keeps them."""
        query = queries.by_priority(scope, session_id, lineage, script, params, size=size, after=after)
        # Later pages must come from the same state as the first, as nearly as can be.
        return (await self._index.search(query, fresh=after is None)).hits

    async def last_ordinal(self, org_id: str, session_id: str, branch: int) -> int | None:
        """The ordinal of the newest arrival on a branch of a session, whoever wrote it; None on an empty one."""
        found = await self._index.search(queries.last_on_branch(_EVERYONE, org_id, session_id, branch))
        return int(found.hits[0].source["ordinal"]) if found.hits else None

    async def tokens_since(self, scope: AnyScope, asked: Sequence[tuple[str, Lineage, int]]) -> list[int]:
        """For each session the tokens of its present that arrived after an ordinal."""
        if not asked:
            return []
        await self._index.freshen(scope)
        found = await self._index.msearch(
            [queries.tokens_since(scope, session_id, lineage, ordinal) for session_id, lineage, ordinal in asked]
        )
        return [int(page.aggregations["tokens"]["value"]) for page in found]

    async def read(self, scope: Scope, episode_ids: Sequence[str]) -> list[Hit]:
        """Those of these episodes that are there for the caller, as they are now, in order."""
        found = await asyncio.gather(*(self._alive(scope, episode_id) for episode_id in episode_ids))
        return [Hit(one.id, one.source, 0.0, [], {}, one.revision) for one in found if one is not None]

    async def around(self, scope: Scope, hits: Sequence[Hit], turns: int) -> dict[str, Surroundings]:
        """What was said in their sessions up to `turns` turns before and after each of these, by id; nothing for those
        outside of a session. Reads what the last search saw."""
        within = [hit for hit in hits if hit.source.get("session_id")]
        pages = await self._index.msearch(
            [
                queries.beside(
                    scope,
                    hit.source["session_id"],
                    epoch_ms(from_iso(hit.source["created_at"])),
                    hit.source["ordinal"],
                    turns,
                    later=later,
                )
                for hit in within
                for later in (False, True)
            ]
        )
        return {
            hit.id: Surroundings([_turn(one) for one in reversed(before.hits)], [_turn(one) for one in after.hits])
            for hit, before, after in zip(within, pages[::2], pages[1::2], strict=True)
        }

    async def freshen(self, scope: Scope) -> str | None:
        """Make every answered write visible to the searches that follow; see `Freshness.ensure`."""
        return await self._index.freshen(scope)

    async def find(self, query: ScopedQuery, *, fresh: bool = True) -> Found:
        """Run one of `queries`."""
        return await self._index.search(query, fresh=fresh)

    async def count(self, query: ScopedQuery, token: str | None) -> int:
        """How many match. token: of the state (from `freshen`), under which a count stays true."""
        key = f"{token}:{query.scope}:{query.filters}"
        known = self._counts.get(key) if token else None
        if known is None:
            known = await self._index.count(query, fresh=False)
            if len(self._counts) >= _COUNTS_REMEMBERED:
                self._counts.clear()
            self._counts[key] = known
        return known

    async def knn_filters(self, query: ScopedQuery) -> list[Query] | None:
        """Every filter in force for a query, where kNN clauses have to filter by themselves; else None. Raises
        Unavailable."""
        kind = await self._index.vector_index("context_vector")
        return None if queries.scans(kind) else self._index.filters(query)


def _compared(there: Document | None, source: JsonObject, given: Given) -> GivenOutcome:
    """What has the id that a given episode should get. there: if the caller may read it."""
    if there is None:
        return "taken"
    same = ["session_id", "role", "content", "tags", "metadata"]
    if given.draft.new.created_at is not None:
        same.append("created_at")
    if any((there.source.get(field) or None) != (source.get(field) or None) for field in same):
        return "taken"
    deleted = there.source.get("deleted_at") is not None and given.deleted_at is None
    return "deleted" if deleted else "existing"


def _written_at(source: JsonObject) -> datetime:
    """By the arrival order, since `created_at` is the caller's to choose."""
    return datetime.fromtimestamp(source["ordinal"] / 1e6, UTC)


def episode_of(episode_id: str, source: dict[str, Any]) -> Episode:
    """An episode out of its document."""
    generated, deleted = source.get("embedding_generated_at"), source.get("deleted_at")
    return Episode(
        id=episode_id,
        session_id=source.get("session_id"),
        role=source["role"],
        content=source["content"],
        created_at=from_iso(source["created_at"]),
        ordinal=source["ordinal"],
        tags=source.get("tags") or [],
        metadata=source.get("metadata") or {},
        token_count=source["token_count"],
        embedding_status=source["embedding_status"],
        embedding_generated_at=from_iso(generated) if generated else None,
        embedding_error=source.get("embedding_error"),
        deleted_at=from_iso(deleted) if deleted else None,
    )


def _turn(hit: Hit) -> Turn:
    return Turn(hit.id, hit.source["role"], hit.source["content"], from_iso(hit.source["created_at"]))


def _buckets(found: Found, name: str) -> dict[str, int]:
    return {bucket["key"]: bucket["doc_count"] for bucket in found.aggregations[name]["buckets"]}
