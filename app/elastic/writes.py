"""Group commit: concurrent writes share one `_bulk`, each caller gets its own item's result.

A request costs processor time here and in Elasticsearch, and an fsync; one `_bulk` costs that once
for all of its items (docs/decisions/0002-group-commit.md).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from elasticsearch import AsyncElasticsearch

from app import metrics
from app.elastic.client import MissingDocument, VersionConflict, item_error, translate_errors
from app.elastic.gather import Gather
from app.types import JsonObject

MAX_OPERATIONS = 1_000
MAX_BYTES = 8 * 1024 * 1024
# A second bulk is parsed while the first waits for its fsync, but not for a handful of writes: the request costs
# more than they would gain. Of 1, 4, 8 and 100, eight was best for 16 and 64 clients, with fsyncs of 0.2 ms and 4 ms.
MAX_IN_FLIGHT = 2
_BESIDE = 8
# As many as clients that write at once in the benchmark that compares.
_MAX_IN_FLIGHT_ALONE = 16

Action = Literal["create", "index", "update", "delete"]


@dataclass(frozen=True, slots=True)
class Revision:
    """Which state of a document was read; a guarded write fails when it has changed since."""

    seq_no: int
    primary_term: int


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
        target: JsonObject = {"_index": self.index, "_id": self.id}
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
        return await self._gather.submit((write, lines), len(lines))

    async def write_all(self, writes: Sequence[Write]) -> list[Revision | BaseException]:
        """Do many; each has its own result or exception, in order."""
        prepared = [(write, write.lines()) for write in writes]
        return await self._gather.submit_all([(item, len(item[1])) for item in prepared])

    async def drain(self) -> None:
        """Wait for what is under way."""
        await self._gather.drain()

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


_BULK_FIELDS = "items.*.status,items.*._seq_no,items.*._primary_term,items.*.error.type,items.*.error.reason"


def _result(item: dict[str, Any]) -> Revision | Exception:
    outcome = next(iter(item.values()))
    status = outcome["status"]
    if status < 300:
        return Revision(outcome["_seq_no"], outcome["_primary_term"])
    if status == 409:
        return VersionConflict()
    if status == 404:
        return MissingDocument()
    return item_error(outcome.get("error", {}), "writing", status)
