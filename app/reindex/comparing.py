"""Whether two indices hold the same: every document's version and a digest of what is in it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

import orjson
from elasticsearch import AsyncElasticsearch

from app.elastic import pit
from app.elastic.client import translate_errors
from app.types import JsonObject

_PAGE = 2_000
_LEAF = 1_000
"""Documents in a span of time that are told apart one by one."""

_PARTS = 16
_MISSING: JsonObject = {"bool": {"must_not": [{"exists": {"field": "created_at"}}]}}


@dataclass(frozen=True, slots=True)
class State:
    """A document's version, and a digest of the rest."""

    version: int
    digest: bytes


@dataclass
class Differences:
    """behind: the source has gone on meanwhile. wrong: neither older nor the same. surplus: not in the source (any
    more). checked: documents of the source."""

    checked: int
    behind: int
    wrong: list[str]
    surplus: list[str]


class Comparer:
    """ignored: fields that may differ, since they are changed on the way."""

    def __init__(self, es: AsyncElasticsearch, *, ignored: Collection[str] = ()) -> None:
        self._es = es
        self._ignored = frozenset(ignored)

    async def compare(self, source: str, target: str, done: Callable[[int], None]) -> Differences:
        """Everything, as of now. done: told how many documents have been looked at. Raises Unavailable."""
        found = Differences(0, 0, [], [])
        async with AsyncExitStack() as stack:
            left = _groups(await stack.enter_async_context(aclosing(self._walk(source))))
            right = _groups(await stack.enter_async_context(aclosing(self._walk(target))))
            ours, theirs = await anext(left, None), await anext(right, None)
            while ours is not None or theirs is not None:
                if ours is not None and (theirs is None or ours[0] <= theirs[0]):
                    same = theirs is not None and ours[0] == theirs[0]
                    self._weigh(ours[1], theirs[1] if theirs is not None and same else {}, found)
                    found.checked += len(ours[1])
                    done(found.checked)
                    ours = await anext(left, None)
                    if not same:
                        continue
                else:
                    assert theirs is not None
                    found.surplus += theirs[1]
                theirs = await anext(right, None)
        return found

    async def wrong(self, target: str, hits: Sequence[JsonObject]) -> list[str]:
        """Ids of those whose copy is neither older nor the same. hits: of the source. Raises Unavailable."""
        docs = [{"_index": target, "_id": hit["_id"], "routing": hit.get("_routing")} for hit in hits]
        with translate_errors("reading copies"):
            answer = await self._es.mget(docs=docs)
        copies = {doc["_id"]: self._state(doc) for doc in answer.body["docs"] if doc.get("found")}
        found = Differences(0, 0, [], [])
        self._weigh(dict(map(self._entry, hits)), copies, found)
        return found.wrong

    async def surplus(self, source: str, target: str) -> list[str]:
        """Ids that only the target has, where all that the source has is in the target. Counts are compared, and
        where they differ those of shorter and shorter spans of time. Raises Unavailable."""
        first, last = await self._span(target)
        found = await self._surplus_in(source, target, _MISSING)
        return found + await self._surplus_between(source, target, first, last + 1)

    async def count(self, index: str, query: JsonObject | None = None) -> int:
        """How many documents a search finds. Raises Unavailable."""
        with translate_errors("counting"):
            answer = await self._es.count(index=index, query=query or {"match_all": {}})
        return int(answer.body["count"])

    async def remove(self, target: str, ids: list[str]) -> None:
        """Take documents out of the target, with all trace of their versions. Raises Unavailable."""
        for start in range(0, len(ids), _LEAF):
            with translate_errors("removing copies"):
                await self._es.delete_by_query(
                    index=target,
                    query={"terms": {"_id": ids[start : start + _LEAF]}},
                    conflicts="proceed",
                    refresh=True,
                )

    def _weigh(self, ours: dict[str, State], theirs: dict[str, State], found: Differences) -> None:
        for document_id, state in ours.items():
            copy = theirs.get(document_id)
            if copy is None or copy.version < state.version:
                found.behind += 1
            elif copy != state:
                found.wrong.append(document_id)
        found.surplus += theirs.keys() - ours.keys()

    async def _walk(self, index: str) -> AsyncGenerator[list[tuple[int, str, State]], None]:
        with translate_errors("refreshing"):
            await self._es.indices.refresh(index=index)
        body = {"query": {"match_all": {}}, "sort": [{"created_at": "asc"}], "version": True, "source": True}
        pages = pit.pages(self._es, index=index, routing=None, body=body, max_rows=_PAGE)
        async with aclosing(pages):
            async for page in pages:
                yield [(hit["sort"][0], *self._entry(hit)) for hit in page["hits"]["hits"]]

    def _entry(self, hit: JsonObject) -> tuple[str, State]:
        return hit["_id"], self._state(hit)

    def _state(self, hit: JsonObject) -> State:
        kept = {name: value for name, value in hit["_source"].items() if name not in self._ignored}
        text = orjson.dumps([hit.get("_routing"), kept], option=orjson.OPT_SORT_KEYS)
        return State(hit["_version"], hashlib.blake2b(text, digest_size=16).digest())

    async def _span(self, index: str) -> tuple[int, int]:
        with translate_errors("looking for the oldest and newest"):
            answer = await self._es.search(
                index=index,
                size=0,
                aggs={"first": {"min": {"field": "created_at"}}, "last": {"max": {"field": "created_at"}}},
            )
        found = answer.body["aggregations"]
        return int(found["first"]["value"] or 0), int(found["last"]["value"] or 0)

    async def _surplus_between(self, source: str, target: str, first: int, end: int) -> list[str]:
        query: JsonObject = {"range": {"created_at": {"gte": first, "lt": end, "format": "epoch_millis"}}}
        here, there = await self.count(source, query), await self.count(target, query)
        if here == there:
            return []
        if there <= _LEAF or end - first <= 1:
            return await self._surplus_in(source, target, query)
        step = max(1, (end - first + _PARTS - 1) // _PARTS)
        found = []
        for start in range(first, end, step):
            found += await self._surplus_between(source, target, start, min(end, start + step))
        return found

    async def _surplus_in(self, source: str, target: str, query: JsonObject) -> list[str]:
        theirs, ours = await self._ids(target, query), await self._ids(source, query)
        return sorted(theirs - ours)

    async def _ids(self, index: str, query: JsonObject) -> set[str]:
        body = {"query": query, "sort": [{"_shard_doc": "asc"}], "source": False}
        pages = pit.pages(self._es, index=index, routing=None, body=body, max_rows=_PAGE)
        async with aclosing(pages):
            return {hit["_id"] async for page in pages for hit in page["hits"]["hits"]}


async def _groups(
    pages: AsyncIterator[Iterable[tuple[int, str, State]]],
) -> AsyncIterator[tuple[int, dict[str, State]]]:
    """Documents of the same moment, which come in any order."""
    moment: int | None = None
    group: dict[str, State] = {}
    async for page in pages:
        for at, document_id, state in page:
            if at != moment:
                if moment is not None:
                    yield moment, group
                moment, group = at, {}
            group[document_id] = state
    if moment is not None:
        yield moment, group
