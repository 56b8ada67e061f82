"""Changing or deleting every document that a query matches, however many they are.

Elasticsearch does the work as a task of its own, which goes on when this process ends or its caller
goes away. A document that changes meanwhile is passed over and met by the next pass, so what others
write is never overwritten, and doing the same again is safe at any time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from elasticsearch import AsyncElasticsearch

from app.elastic.client import MissingDocument, Moving, item_error, translate_errors
from app.errors import Unavailable
from app.types import JsonObject

log = logging.getLogger(__name__)

DIRECT_MAX = 500
"""Up to so many are done within one request: a task leaves a record behind in Elasticsearch."""

WAIT_S = 20.0
"""How long callers wait by default; published clients give up after thirty seconds."""

_FIRST_POLL_S = 0.02
_SLOWEST_POLL_S = 0.5
_PROGRESS_EVERY_S = 5.0
_AGAIN_S = 5


@dataclass(frozen=True, slots=True)
class Target:
    """Which documents of which index, and what becomes of them. script: None deletes them."""

    index: str
    routing: str | None
    query: JsonObject
    script: JsonObject | None


class StillRunning(Unavailable):
    """It takes longer than the caller waits; it goes on, and asking again waits for the rest."""

    retry_after_s = _AGAIN_S


async def run(es: AsyncElasticsearch, target: Target, refresh: Callable[[str], Awaitable[None]], wait_s: float) -> int:
    """Pass over the index until a pass has met no conflict. Returns how many documents were changed.

    refresh: makes what was written before visible to the next pass. Raises StillRunning after
    `wait_s`, Unavailable when Elasticsearch is away; both are safe to repeat.
    """
    done, deadline = 0, time.monotonic() + wait_s
    while True:
        await refresh(target.index)
        matching = await _count(es, target)
        if matching == 0:
            return done
        try:
            status = await _pass(es, target, matching, deadline)
        except Moving:
            # The next pass meets what it has left, in the index that has taken its place.
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_SLOWEST_POLL_S)
            continue
        done += _handled(status)
        if not status["version_conflicts"]:
            return done
        if time.monotonic() > deadline:
            raise _still_running()


async def _count(es: AsyncElasticsearch, target: Target) -> int:
    with translate_errors("counting"):
        answer = await es.count(index=target.index, routing=target.routing, query=target.query)
    return int(answer.body["count"])


async def _pass(es: AsyncElasticsearch, target: Target, matching: int, deadline: float) -> JsonObject:
    direct = matching <= DIRECT_MAX
    path = "_delete_by_query" if target.script is None else "_update_by_query"
    body: JsonObject = {"query": target.query} | ({"script": target.script} if target.script else {})
    params: JsonObject = {
        "conflicts": "proceed",
        "slices": "1" if direct else "auto",
        "wait_for_completion": "true" if direct else "false",
    }
    if target.routing is not None:
        params["routing"] = target.routing
    with translate_errors("changing many documents"):
        answer = await es.options(ignore_status=403).perform_request(
            "POST",
            f"/{target.index}/{path}",
            params=params,
            headers={"content-type": "application/json", "accept": "application/json"},
            body=body,
        )
    if "error" in answer.body:
        raise item_error(answer.body["error"], "changing many documents", answer.meta.status)
    if direct:
        return _checked(answer.body)
    return await _followed(es, str(answer.body["task"]), path, matching, deadline)


async def _followed(es: AsyncElasticsearch, task: str, path: str, matching: int, deadline: float) -> JsonObject:
    pause, told = _FIRST_POLL_S, time.monotonic()
    while True:
        await asyncio.sleep(pause)
        pause = min(2 * pause, _SLOWEST_POLL_S)
        try:
            with translate_errors("changing many documents"):
                # The client's own method warns at each call that the API is a preview.
                answer = await es.perform_request("GET", f"/_tasks/{task}", headers={"accept": "application/json"})
        except MissingDocument:
            # Its node restarted: the next pass meets what it has left.
            return {"updated": 0, "deleted": 0, "version_conflicts": 1}
        found: JsonObject = answer.body
        if found["completed"]:
            if "error" in found:
                raise item_error(found["error"], "changing many documents")
            return _checked(found["response"])
        now = time.monotonic()
        if now > deadline:
            raise _still_running()
        if now - told > _PROGRESS_EVERY_S:
            told, status = now, found["task"]["status"]
            log.info("changing many documents", extra={"action": path, "handled": _handled(status), "of": matching})


def _handled(status: JsonObject) -> int:
    # A delete's answer says nothing of updates.
    return int(status.get("updated", 0)) + int(status.get("deleted", 0))


def _checked(response: JsonObject) -> JsonObject:
    for failure in response["failures"]:
        raise item_error(failure.get("cause") or failure.get("reason") or {}, "changing many documents")
    return response


def _still_running() -> StillRunning:
    return StillRunning("There is much to delete; it goes on. Send the same request again to wait for the rest.")
