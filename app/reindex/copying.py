"""Copying an index into another, and what has been written to it since, again and again.

Every write takes the next sequence number of its shard, and a document that is written again a higher one. So all
that was copied up to a number stays copied, but for what comes after it: that is also how it goes on after a kill.
Copies keep the version of what they were copied from, and an older one never replaces a newer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

from elasticsearch import AsyncElasticsearch

from app.elastic import pit
from app.elastic.client import MissingDocument, item_error, translate_errors
from app.errors import EngineError
from app.reindex.comparing import Comparer
from app.types import JsonObject

CHUNK = 5_000
"""Sequence numbers that one request copies."""

_PAGE = 500
_GENTLE_S = 1.0
"""How much is copied at once where there is a limit, in seconds of it."""

_SETTLE_S = 20.0
_SETTLE_LOOK_S = 0.05
_FORGET_LOOK_S = 0.2

Upto = dict[int, int]
"""Shard → the highest sequence number."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is changed in each document on its way: a Painless script on `ctx._source`, and its parameters."""

    script: str
    params: JsonObject


class Copier:
    """From one index into another. es: with a time-out of a minute or more."""

    def __init__(
        self,
        es: AsyncElasticsearch,
        source: str,
        target: str,
        comparer: Comparer,
        *,
        change: Change | None = None,
        per_s: float = -1,
    ) -> None:
        self._es = es
        self._source = source
        self._target = target
        self._comparer = comparer
        self._change = change
        self._per_s = per_s

    async def reached_in(self, index: str, *, all_of_it: bool = False) -> Upto:
        """How far an index has come, and will not go back: on all copies of its shards.

        all_of_it: of an index that takes no writes, wait until that is everything. Raises Unavailable.
        """
        for _ in range(int(_SETTLE_S / _SETTLE_LOOK_S)):
            with translate_errors("reading sequence numbers"):
                answer = await self._es.indices.stats(index=index, metric="docs", level="shards")
            shards = {
                int(number): copy["seq_no"]
                for number, copies in answer.body["indices"][index]["shards"].items()
                for copy in copies
                if copy["routing"]["primary"]
            }
            if not all_of_it or all(seq["max_seq_no"] == seq["global_checkpoint"] for seq in shards.values()):
                return {number: seq["global_checkpoint"] for number, seq in shards.items()}
            await asyncio.sleep(_SETTLE_LOOK_S)
        raise EngineError(f"The copies of {index} don't come to agree; see `GET _cat/shards`.")

    async def copy(self, after: Upto, upto: Upto, done: Callable[[int, Upto], None]) -> int:
        """Copy what was written after one point and up to another; returns how many documents.

        done: told, after each chunk, its documents and how far all has come. Raises Unavailable, EngineError.
        """
        await self.refresh(self._source)
        total, come = 0, dict(after)
        size = CHUNK if self._per_s < 0 else min(CHUNK, max(1, int(self._per_s * _GENTLE_S)))
        for shard, last in sorted(upto.items()):
            while come.get(shard, -1) < last:
                began = time.monotonic()
                low, high = come.get(shard, -1), min(last, come.get(shard, -1) + size)
                copied = await self._chunk(shard, len(upto), low, high)
                come[shard] = high
                total += copied
                done(copied, dict(come))
                if self._per_s > 0:
                    await asyncio.sleep(max(0.0, began + copied / self._per_s - time.monotonic()))
        return total

    async def copy_again(self, ids: list[str]) -> None:
        """Copy these whatever there is in the target. Raises Unavailable."""
        await self._comparer.remove(self._target, ids)
        for start in range(0, len(ids), _PAGE):
            await self._copy_removed(ids[start : start + _PAGE])

    async def _copy_removed(self, ids: list[str]) -> None:
        # What was removed is remembered for a moment, with its version, which may be higher than what is to come.
        for _ in range(int(_SETTLE_S / _FORGET_LOOK_S)):
            answer = await self._reindex({"ids": {"values": ids}}, None, version_type="external_gte")
            if not answer["version_conflicts"]:
                return
            await asyncio.sleep(_FORGET_LOOK_S)
            await self.refresh(self._target)
        raise EngineError(f"{self._target} doesn't take copies anew; is its `gc_deletes` not 0?")

    async def refresh(self, index: str) -> None:
        """Make what was written visible to searches. Raises Unavailable."""
        with translate_errors("refreshing"):
            await self._es.indices.refresh(index=index)

    async def _chunk(self, shard: int, shards: int, low: int, high: int) -> int:
        query: JsonObject = {"range": {"_seq_no": {"gt": low, "lte": high}}}
        answer = await self._reindex(query, (shard, shards))
        if answer["version_conflicts"]:
            # Copied before, by a run that was killed; or gone meanwhile and made anew, with versions from 1.
            await self._settle(shard, query)
        return int(answer["total"])

    async def _settle(self, shard: int, query: JsonObject) -> None:
        body = {"query": query, "sort": [{"_shard_doc": "asc"}], "version": True, "source": True}
        pages = pit.pages(self._es, index=self._source, routing=None, shard=shard, body=body, max_rows=_PAGE)
        async with aclosing(pages):
            async for page in pages:
                await self.copy_again(await self._comparer.wrong(self._target, page["hits"]["hits"]))

    async def _reindex(
        self, query: JsonObject, part: tuple[int, int] | None, *, version_type: str = "external"
    ) -> JsonObject:
        """part: only that shard, of so many. A slice is one whole shard where there are as many of both."""
        source: JsonObject = {"index": self._source, "query": query, "size": _PAGE}
        if part is not None and part[1] > 1:
            source["slice"] = {"id": part[0], "max": part[1]}
        change = self._change
        try:
            with translate_errors("copying"):
                answer = await self._es.reindex(
                    conflicts="proceed",
                    source=source,
                    dest={"index": self._target, "version_type": version_type, "op_type": "index"},
                    script={"source": change.script, "params": change.params} if change else None,
                )
        except MissingDocument as error:
            raise EngineError(f"{self._source} or {self._target} is gone.") from error
        for failure in answer.body["failures"]:
            raise item_error(failure.get("cause") or failure.get("reason") or {}, "copying", failure.get("status", 500))
        copied: JsonObject = answer.body
        return copied
