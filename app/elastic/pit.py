"""Reading any number of documents as they were at one moment: a point in time, page by page."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from typing import Any

import orjson
from elasticsearch import AsyncElasticsearch

from app.elastic.client import MissingDocument, translate_errors
from app.errors import Unavailable
from app.types import JsonObject

log = logging.getLogger(__name__)

# Renewed by each page, so it bounds how long the reader may take over one; Elasticsearch drops by itself what
# a killed process has left open.
KEEP_ALIVE = "10m"
FIRST_PAGE = 100
# Rows differ in size by a factor of a thousand: pages are measured, so that a long text in each doesn't make
# memory grow with it.
PAGE_BYTES = 1024 * 1024


async def pages(
    es: AsyncElasticsearch,
    *,
    index: str,
    routing: str | None,
    body: JsonObject,
    max_rows: int,
    shard: int | None = None,
) -> AsyncGenerator[JsonObject, None]:
    """Answers of a search, one page after another, of at most `max_rows` and about 1 MiB each.

    body: the search's, with a sort. shard: only of that one. Close the generator (`contextlib.aclosing`) when leaving
    it early. Raises Unavailable, and MissingDocument when a page was left unread for ten minutes.
    """
    with translate_errors("opening a point in time"):
        opened = await es.open_point_in_time(
            index=index,
            keep_alive=KEEP_ALIVE,
            routing=routing,
            preference=routing if shard is None else f"_shards:{shard}",
            allow_partial_search_results=False,
        )
    point: str = opened.body["id"]
    size, after = min(FIRST_PAGE, max_rows), None
    try:
        while True:
            with translate_errors("reading a page"):
                answer = await es.search(
                    pit={"id": point, "keep_alive": KEEP_ALIVE},
                    size=size,
                    search_after=after,
                    seq_no_primary_term=True,
                    allow_partial_search_results=False,
                    **body,
                )
            point = answer.body.get("pit_id", point)
            hits: list[JsonObject] = answer.body["hits"]["hits"]
            if not hits:
                return
            more, after = len(hits) == size, hits[-1]["sort"]
            size = _next_size(hits, max_rows)
            yield answer.body
            if not more:
                return
            # Not kept while the next page is read.
            del answer, hits
    finally:
        await _close(es, point)


def _next_size(hits: list[JsonObject], max_rows: int) -> int:
    mean = sum(len(orjson.dumps(hit.get("_source"))) for hit in hits) / len(hits)
    return max(1, min(int(PAGE_BYTES / mean), 2 * len(hits), max_rows))


async def _close(es: AsyncElasticsearch, point: str) -> None:
    try:
        with translate_errors("closing a point in time"):
            await es.close_point_in_time(id=point)
    except (Unavailable, MissingDocument) as error:
        # It ends by itself, and what was read is right all the same.
        log.warning("a point in time stays open for a while", extra={"error": repr(error)})


def without_paging(body: JsonObject) -> dict[str, Any]:
    """A search's body as arguments of the client, without what `pages` sets."""
    left_out = ("from", "size", "search_after")
    renamed = {"_source": "source"}
    return {renamed.get(key, key): value for key, value in body.items() if key not in left_out}
