"""One index as its store sees it: realtime reads by id, searches and writes, all within a scope."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from elasticsearch import AsyncElasticsearch

from app.elastic import by_query, pit
from app.elastic.client import MissingDocument, VersionConflict, item_error, translate_errors
from app.elastic.freshness import Freshness
from app.elastic.gather import Gather
from app.elastic.generations import vector_index_of
from app.elastic.indices import IndexDefinition
from app.elastic.scope import MARK, AnyScope, ScopedQuery
from app.elastic.writes import Revision, Write, Writer
from app.types import JsonObject

_READS_PER_BATCH = 500
_VECTOR_INDEX_REMEMBERED_S = 10.0


@dataclass(frozen=True, slots=True)
class Document:
    """A stored document and the state it was read in."""

    id: str
    source: JsonObject
    revision: Revision


@dataclass(frozen=True, slots=True)
class Hit:
    """One search result. score: the query's; named: scores of its named clauses; marked: the words that matched, of a
    query with a highlight."""

    id: str
    source: JsonObject
    score: float
    sort: list[Any]
    named: dict[str, float]
    revision: Revision | None
    marked: tuple[str, ...] = ()

    def document(self) -> Document:
        """The hit as a document that can be written over. Raises RuntimeError when its state wasn't read."""
        if self.revision is None:
            raise RuntimeError("a search without states of documents")
        return Document(self.id, self.source, self.revision)


@dataclass(frozen=True, slots=True)
class Found:
    """A page of hits. total: how many match, as far as the query asked to count."""

    hits: list[Hit]
    total: int
    aggregations: JsonObject


@dataclass(frozen=True, slots=True)
class Engine:
    """What every index shares: one client, one writer, one reader by id, one freshness, a prefix."""

    es: AsyncElasticsearch
    writer: Writer
    freshness: Freshness
    reads: Gather[JsonObject, JsonObject]
    prefix: str


def make_engine(es: AsyncElasticsearch, freshness: Freshness, prefix: str, *, group_commit: bool = True) -> Engine:
    """Wire the shared parts: writes and reads by id are gathered across all indices of a process.

    group_commit: False sends every write alone.
    """

    async def read(batch: Sequence[JsonObject]) -> list[JsonObject | Exception]:
        with translate_errors("reading"):
            answer = await es.mget(docs=list(batch))
        return list(answer.body["docs"])

    reads: Gather[JsonObject, JsonObject] = Gather(read, max_items=_READS_PER_BATCH, max_in_flight=2)
    writer = Writer(es, freshness.wrote, group_commit=group_commit)
    return Engine(es, writer, freshness, reads, prefix)


class ScopedIndex:
    """The only door to an index. Stores hold this and never the client."""

    def __init__(self, engine: Engine, definition: IndexDefinition) -> None:
        self._engine = engine
        self._definition = definition
        self.alias = definition.alias(engine.prefix)
        self._vector_indices: dict[str, tuple[str | None, float]] = {}

    async def get(self, scope: AnyScope, document_id: str, *, routing: str | None = None) -> Document | None:
        """The document as it is now (no refresh needed), or None if missing or outside the scope.

        Soft-deleted documents are returned: what they mean is the store's to say.
        """
        target: JsonObject = {"_index": self.alias, "_id": document_id}
        if self._definition.routed:
            target["routing"] = routing or scope.organisations
        if self._definition.hidden_fields:
            target["_source"] = {"excludes": list(self._definition.hidden_fields)}
        found = await self._engine.reads.submit(target)
        if "error" in found:
            raise item_error(found["error"], "reading")
        if not found.get("found") or not scope.allows(found["_source"], self._definition.ownership):
            return None
        return Document(document_id, found["_source"], _revision(found))

    async def freshen(self, scope: AnyScope) -> str | None:
        """Make all answered writes of the scope searchable; see Freshness.ensure."""
        organisation = scope.organisations
        if organisation is None:
            await self._engine.freshness.refresh(self.alias)
            return None
        return await self._engine.freshness.ensure(self.alias, organisation)

    async def search(self, query: ScopedQuery, *, fresh: bool = True) -> Found:
        """Run it. fresh=False is for callers that have just called `freshen` themselves."""
        if fresh:
            await self.freshen(query.scope)
        # Half of the shards would look like a whole answer.
        params: JsonObject = {"seq_no_primary_term": True, "allow_partial_search_results": False}
        if query.named_scores:
            params["include_named_queries_score"] = True
        body = query.body(self._definition.ownership, self._definition.soft_deletes)
        with translate_errors("searching"):
            answer = await self._engine.es.search(
                index=self.alias,
                routing=query.scope.organisations if self._definition.routed else None,
                # Copies of a shard score a little differently; one caller stays with one copy.
                preference=query.scope.organisations,
                **params,
                **_as_arguments(body),
            )
        return _found(answer.body, query.columns)

    async def walk(self, query: ScopedQuery) -> AsyncGenerator[list[Hit], None]:
        """Every hit of a sorted query, as of one moment, in pages of at most `query.size`.

        Memory doesn't grow with the number of hits. What was answered before the first page is in it,
        what is written later isn't. Leave early through `contextlib.aclosing`. Raises Unavailable.
        """
        await self.freshen(query.scope)
        body = query.body(self._definition.ownership, self._definition.soft_deletes)
        answers = pit.pages(
            self._engine.es,
            index=self.alias,
            routing=query.scope.organisations if self._definition.routed else None,
            body=pit.without_paging(body),
            max_rows=query.size,
        )
        async with aclosing(answers):
            async for answer in answers:
                yield _found(answer, query.columns).hits

    async def count(self, query: ScopedQuery, *, fresh: bool = True) -> int:
        """How many documents the query matches."""
        if fresh:
            await self.freshen(query.scope)
        body = query.body(self._definition.ownership, self._definition.soft_deletes)
        with translate_errors("counting"):
            answer = await self._engine.es.count(
                index=self.alias,
                routing=query.scope.organisations if self._definition.routed else None,
                preference=query.scope.organisations,
                query=body["query"],
            )
        return int(answer.body["count"])

    async def vector_index(self, field: str) -> str | None:
        """The type of a vector's index, as of at most ten seconds ago: a reindex may change it. None where the index
        doesn't say. Raises Unavailable."""
        now = time.monotonic()
        kind, until = self._vector_indices.get(field, (None, now))
        if now >= until:
            kind = await vector_index_of(self._engine.es, self.alias, field)
            self._vector_indices[field] = kind, now + _VECTOR_INDEX_REMEMBERED_S
        return kind

    def filters(self, query: ScopedQuery) -> list[JsonObject]:
        """The filters of a query, for clauses such as kNN that must filter by themselves."""
        return query.visible(self._definition.ownership, self._definition.soft_deletes)

    async def create(self, scope: AnyScope, document_id: str, source: JsonObject) -> Revision:
        """Store a new document durably. Raises VersionConflict when the id is taken."""
        return await self._engine.writer.write(self._write("create", scope, document_id, source))

    def creation(self, scope: AnyScope, document_id: str, source: JsonObject) -> Write:
        """The write that `create` does, to be sent in one bulk with writes to other indices."""
        return self._write("create", scope, document_id, source)

    async def create_all(
        self, scope: AnyScope, documents: Sequence[tuple[str, JsonObject]]
    ) -> list[Revision | BaseException]:
        """Store many; one result or exception each, in order."""
        return await self._engine.writer.write_all(
            [self._write("create", scope, document_id, source) for document_id, source in documents]
        )

    async def update(self, scope: AnyScope, document: Document, changes: JsonObject) -> Revision:
        """Change fields of a document that was read before. Raises VersionConflict if it has changed since."""
        write = self._write("update", scope, document.id, changes, document.source["org_id"], document.revision)
        return await self._engine.writer.write(write)

    async def update_unguarded(self, scope: AnyScope, document_id: str, org_id: str, changes: JsonObject) -> None:
        """Change fields whatever the document's state; nothing happens if it is gone."""
        try:
            await self._engine.writer.write(self._write("update", scope, document_id, changes, org_id))
        except (MissingDocument, VersionConflict):
            return

    async def delete(self, scope: AnyScope, document: Document) -> None:
        """Remove a document that was read before, for good. Raises VersionConflict if it has changed
        since, VersionConflict or MissingDocument if it is gone."""
        owner = document.source["org_id"]
        await self._engine.writer.write(self._write("delete", scope, document.id, {}, owner, document.revision))

    async def delete_all(self, scope: AnyScope, documents: Sequence[Document]) -> list[Revision | BaseException]:
        """The same for many; one result or exception each, in order."""
        return await self._engine.writer.write_all(
            [
                self._write("delete", scope, document.id, {}, document.source["org_id"], document.revision)
                for document in documents
            ]
        )

    async def update_matching(
        self, query: ScopedQuery, script: str, params: JsonObject, *, wait_s: float = by_query.WAIT_S
    ) -> int:
        """Change all that the query matches; returns how many. script: Painless on `ctx._source`.

        Safe to repeat, beside other writes and itself; reads that follow see it. Raises StillRunning
        when it takes longer than `wait_s` (it goes on) and Unavailable.
        """
        return await self._matching(query, {"source": script, "params": params}, wait_s)

    async def delete_matching(self, query: ScopedQuery, *, wait_s: float = by_query.WAIT_S) -> int:
        """Remove all that the query matches, for good; otherwise as `update_matching`."""
        return await self._matching(query, None, wait_s)

    async def _matching(self, query: ScopedQuery, script: JsonObject | None, wait_s: float) -> int:
        body = query.body(self._definition.ownership, self._definition.soft_deletes)
        organisation = query.scope.organisations
        routing = organisation if self._definition.routed else None
        target = by_query.Target(self.alias, routing, body["query"], script)
        freshness = self._engine.freshness
        try:
            return await by_query.run(self._engine.es, target, freshness.refresh, wait_s)
        finally:
            # Also after a failure: part of it may be done.
            if organisation is None:
                await freshness.refresh(self.alias)
            else:
                await freshness.wrote({(self.alias, organisation)})

    async def replace_all(
        self, scope: AnyScope, documents: Sequence[tuple[Document, JsonObject]]
    ) -> list[Revision | BaseException]:
        """Write whole documents over the states they were read in; VersionConflict where one has changed."""
        return await self._engine.writer.write_all(
            [
                self._write("index", scope, document.id, source, source["org_id"], document.revision)
                for document, source in documents
            ]
        )

    async def msearch(self, queries: Sequence[ScopedQuery]) -> list[Found]:
        """Several searches in one request, without freshening."""
        searches: list[JsonObject] = []
        for query in queries:
            header: JsonObject = {"index": self.alias}
            if self._definition.routed and query.scope.organisations is not None:
                header["routing"] = query.scope.organisations
            searches += [header, query.body(self._definition.ownership, self._definition.soft_deletes)]
        if not searches:
            return []
        with translate_errors("searching"):
            answer = await self._engine.es.msearch(searches=searches)
        for response in answer.body["responses"]:
            if "error" in response:
                raise item_error(response["error"], "searching", response["status"])
        return [
            _found(response, query.columns) for query, response in zip(queries, answer.body["responses"], strict=True)
        ]

    def _write(
        self,
        action: Any,
        scope: AnyScope,
        document_id: str,
        body: JsonObject,
        org_id: str | None = None,
        guard: Revision | None = None,
    ) -> Write:
        owner = org_id or body["org_id"]
        if scope.organisations is not None and owner != scope.organisations:
            raise ValueError("a write must stay in the organisation of its scope")
        routing = owner if self._definition.routed else None
        return Write(action, self.alias, document_id, owner, routing, body, guard)


def _revision(found: JsonObject) -> Revision:
    return Revision(found["_seq_no"], found["_primary_term"], found["_index"])


def _as_arguments(body: JsonObject) -> dict[str, Any]:
    renamed = {"_source": "source", "from": "from_"}
    return {renamed.get(key, key): value for key, value in body.items()}


def _marked(highlight: JsonObject) -> tuple[str, ...]:
    """Each word once, in the order of the text."""
    pieces = [piece for texts in highlight.values() for text in texts for piece in text.split(MARK)[1::2]]
    return tuple(dict.fromkeys(pieces))


def _row(hit: JsonObject, columns: Sequence[str]) -> tuple[str, JsonObject]:
    if not columns:
        return hit["_id"], hit.get("_source", {})
    row = {column: values[0] for column, values in hit["fields"].items()}
    return row[columns[0]], row


def _found(answer: JsonObject, columns: Sequence[str] = ()) -> Found:
    rows = [(hit, *_row(hit, columns)) for hit in answer["hits"]["hits"]]
    hits = [
        Hit(
            id=document_id,
            source=source,
            score=hit.get("_score") or 0.0,
            sort=hit.get("sort", []),
            named=hit.get("matched_queries") or {},
            revision=_revision(hit) if "_seq_no" in hit else None,
            marked=_marked(hit.get("highlight") or {}),
        )
        for hit, document_id, source in rows
    ]
    total = answer["hits"].get("total", {}).get("value", len(hits))
    return Found(hits, total, answer.get("aggregations", {}))
