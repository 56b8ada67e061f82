"""Group commit: concurrent writes share one `_bulk`, each caller gets its own item's result.

A request costs processor time here and in Elasticsearch, and an fsync; one `_bulk` costs that once
for all of its items (docs/decisions/0002-group-commit.md).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from elasticsearch import AsyncElasticsearch

from app import metrics
from app.elastic.client import MissingDocument, Moving, VersionConflict, item_error, translate_errors
from app.elastic.gather import Gather
from app.elastic.generations import break_move
from app.types import JsonObject

MAX_OPERATIONS = 1_000
MAX_BYTES = 8 * 1024 * 1024
# A second bulk is parsed while the first waits for its fsync, but not for a handful of writes: the request costs
# more than they would gain. Of 1, 4, 8 and 100, eight was best for 16 and 64 clients, with fsyncs of 0.2 ms and 4 ms.
MAX_IN_FLIGHT = 2
_BESIDE = 8
# As many as clients that write at once in the benchmark that compares.
_MAX_IN_FLIGHT_ALONE = 16

MOVE_WAIT_S = 10.0
"""How long a write waits for an index that is being replaced by another; that takes a second or two."""
_MOVE_LOOK_S = 0.05
_BROKEN_WAIT_S = 1.0

Action = Literal["create", "index", "update", "delete"]


@dataclass(frozen=True, slots=True)
class Revision:
    """Which state of a document was read, and in which index; a guarded write fails when it has changed since.

    Numbers of one index mean nothing in the one that takes its place, so a guarded write goes to that of its read.
    """

    seq_no: int
    primary_term: int
    index: str


@dataclass(frozen=True, slots=True)
class Write:
    """One item of a bulk request.

    index: an alias. org_id: whose reads must see it. body: the document, or the partial one of an
    update. guard: the state that the document must still have.
    """

    action: Action
    index: str
    id: str
    org_id: str
    routing: str | None = None
    body: JsonObject | None = None
    guard: Revision | None = None

    def lines(self) -> bytes:
        """The item's lines of newline-delimited JSON."""
        target: JsonObject = {"_id": self.id}
        if self.guard is None:
            # Without it a missing alias would be made an index, of no template.
            target |= {"_index": self.index, "require_alias": True}
        else:
            target |= {"_index": self.guard.index}
        if self.routing is not None:
            target["routing"] = self.routing
        if self.guard is not None:
            target |= {"if_seq_no": self.guard.seq_no, "if_primary_term": self.guard.primary_term}
        head = orjson.dumps({self.action: target}) + b"\n"
        if self.action == "delete":
            return head
        source = {"doc": self.body} if self.action == "update" else self.body
        return head + orjson.dumps(source) + b"\n"


Committed = Callable[[set[tuple[str, str]]], Awaitable[None]]
"""Told the (index, org_id) pairs of a bulk after it is durable and before any caller is answered."""


class Writer:
    """The only way to write documents. A result means: fsynced by Elasticsearch, and marked for
    every reader of that organisation. group_commit: False sends every write in a request of its own."""

    def __init__(self, es: AsyncElasticsearch, committed: Committed, *, group_commit: bool = True) -> None:
        self._es = es
        self._committed = committed
        self._gather: Gather[tuple[Write, bytes], Revision] = Gather(
            self._bulk,
            max_items=MAX_OPERATIONS if group_commit else 1,
            max_bytes=MAX_BYTES,
            max_in_flight=MAX_IN_FLIGHT if group_commit else _MAX_IN_FLIGHT_ALONE,
            beside=_BESIDE if group_commit else 1,
        )

    async def write(self, write: Write) -> Revision:
        """Do one write. Raises VersionConflict, MissingDocument or Unavailable."""
        lines = write.lines()
        try:
            return await self._gather.submit((write, lines), len(lines))
        except Moving:
            (result,) = await self._once_moved([write])
            if isinstance(result, BaseException):
                raise result from None
            return result

    async def write_all(self, writes: Sequence[Write]) -> list[Revision | BaseException]:
        """Do many; each has its own result or exception, in order."""
        results = await self._submit(writes)
        moving = [place for place, result in enumerate(results) if isinstance(result, Moving)]
        if moving:
            later = await self._once_moved([writes[place] for place in moving])
            for place, result in zip(moving, later, strict=True):
                results[place] = result
        return results

    async def drain(self) -> None:
        """Wait for what is under way."""
        await self._gather.drain()

    async def _submit(self, writes: Sequence[Write]) -> list[Revision | BaseException]:
        prepared = [(write, write.lines()) for write in writes]
        return await self._gather.submit_all([(item, len(item[1])) for item in prepared])

    async def _once_moved(self, writes: Sequence[Write]) -> list[Revision | BaseException]:
        """Do what was refused because its index is being replaced; what was read in the old one has changed then."""
        results: list[Revision | BaseException] = [Moving("", "") for _ in writes]
        broken, until = False, time.monotonic() + MOVE_WAIT_S
        while moving := [place for place, result in enumerate(results) if isinstance(result, Moving)]:
            await asyncio.sleep(_MOVE_LOOK_S)
            for place in await self._lost_to_a_move(writes, moving):
                results[place] = VersionConflict()
            again = [place for place in moving if isinstance(results[place], Moving)]
            for place, result in zip(again, await self._submit([writes[place] for place in again]), strict=True):
                results[place] = result
            if time.monotonic() > until:
                if broken:
                    break
                # Whoever is replacing it has been killed, or is too slow. One of all that wait lets writes go on.
                for move in self._moves(writes, results):
                    await break_move(self._es, *move)
                broken, until = True, time.monotonic() + _BROKEN_WAIT_S
        return results

    async def _lost_to_a_move(self, writes: Sequence[Write], among: Sequence[int]) -> list[int]:
        """Places of those that were to go to an index which is not in its place any more."""
        guarded = [(place, writes[place].index, guard.index) for place in among if (guard := writes[place].guard)]
        current: dict[str, JsonObject] = {}
        for alias in {alias for _, alias, _ in guarded}:
            with translate_errors("looking for an index"):
                current[alias] = (await self._es.indices.get_alias(name=alias)).body
        return [place for place, alias, index in guarded if index not in current[alias]]

    @staticmethod
    def _moves(writes: Sequence[Write], results: Sequence[Revision | BaseException]) -> set[tuple[str, str]]:
        """(alias, index) of what is still refused."""
        return {
            (write.index, result.index)
            for write, result in zip(writes, results, strict=True)
            if isinstance(result, Moving)
        }

    async def _bulk(self, batch: Sequence[tuple[Write, bytes]]) -> list[Revision | Exception]:
        metrics.COMMITS.observe(len(batch))
        with translate_errors("storing"):
            answer = await self._es.perform_request(
                "POST",
                "/_bulk",
                params={"filter_path": _BULK_FIELDS},
                headers={"content-type": "application/x-ndjson", "accept": "application/json"},
                body=b"".join(lines for _, lines in batch),
            )
        results = [_result(item) for item in answer.body["items"]]
        touched = {
            (write.index, write.org_id)
            for (write, _), result in zip(batch, results, strict=True)
            if isinstance(result, Revision)
        }
        if touched:
            await self._committed(touched)
        return results


_BULK_FIELDS = (
    "items.*._index,items.*.status,items.*._seq_no,items.*._primary_term,items.*.error.type,items.*.error.reason"
)


def _result(item: dict[str, Any]) -> Revision | Exception:
    outcome = next(iter(item.values()))
    status = outcome["status"]
    if status < 300:
        return Revision(outcome["_seq_no"], outcome["_primary_term"], outcome["_index"])
    if status == 409:
        return VersionConflict()
    if status == 404:
        return MissingDocument()
    return item_error(outcome.get("error", {}), "writing", status)
