"""A new index in the place of an old one: made, filled, caught up, compared, and then in its place.

What it does when is in docs/reindex.md, and why so in docs/decisions/0013-reindex.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TypeVar

from elasticsearch import AsyncElasticsearch, BadRequestError

from app.elastic.client import translate_errors
from app.elastic.generations import (
    Generation,
    IndexModel,
    MoveBroken,
    begin_move,
    break_move,
    complete_move,
    generations,
    note,
    unblock,
)
from app.elastic.indices import EPISODES, IndexDefinition, load, values
from app.elastic.writes import MOVE_WAIT_S
from app.embedding import DocumentEmbedder
from app.errors import EngineError, Unavailable
from app.reindex.comparing import Comparer
from app.reindex.copying import Change, Copier, Upto
from app.reindex.reembedding import FIELDS, Reembedder, without_vectors, without_what_was
from app.settings import Settings
from app.types import JsonObject, from_iso, iso, utc_now

log = logging.getLogger(__name__)

T = TypeVar("T")

CAUGHT_UP_S = 3.0
"""When it takes less than that to copy what has come meanwhile, writes can wait for the rest."""

_MOST_ROUNDS = 100
_MOST_COMPARED = 5
_MOST_MOVES = 5
_BEAT_S = 3.0
_ALONE_AFTER = timedelta(seconds=30)
_HEALTHY_S = 600
_MARGIN_S = 2.0
_LOADING_FACTOR = 4
_VECTORS: JsonObject = {"exists": {"field": "context_vector"}}

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is, and of how much."""


@dataclass(frozen=True, slots=True)
class NewModel:
    """Whose vectors the new index is to have, and what makes them. loading_s: how long it took to load it here, and
    others may take several times as long."""

    model: IndexModel
    embedder: DocumentEmbedder
    loading_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """What was done. checked: documents that were compared. paused_s: how long writes waited."""

    old: str
    new: str
    documents: int
    checked: int
    paused_s: float
    took_s: float


class Reindex:
    """Of one index. es: with a time-out of a minute or more. per_s: documents a second at most; -1: no limit."""

    def __init__(
        self,
        es: AsyncElasticsearch,
        settings: Settings,
        definition: IndexDefinition,
        progress: Progress,
        *,
        per_s: float = -1,
    ) -> None:
        self._es = es
        self._settings = settings
        self._definition = definition
        self._alias = definition.alias(settings.index_prefix)
        self._progress = progress
        self._per_s = per_s
        self._owner = secrets.token_hex(4)
        self._noted = 0.0
        self._loaded_by = 0.0

    async def run(self, new_model: NewModel | None = None) -> Report:
        """Make a new index by this release's template, or go on with one that was begun.

        new_model: embed everything by it before it is in place. Raises EngineError, Unavailable; the old index
        stays in its place then, and the next run goes on.
        """
        began = time.monotonic()
        live, others = await self._look()
        self._refuse_second(live, others)
        wanted = new_model.model if new_model else _model(live)
        begun = next((other for other in others if other.meta.get("reindex", {}).get("from") == live.name), None)
        if begun is not None and _model(begun) != wanted:
            await self._drop(begun.name)
            begun = None
        if begun is None:
            begun = await self._create(live, max(each.number for each in (live, *others)) + 1, wanted)
        if new_model is not None and (model := _model(live)) is not None:
            await note(self._es, live.name, embedding=replace(model, next=new_model.model.name).meta())
            self._loaded_by = time.monotonic() + _LOADING_FACTOR * new_model.loading_s
        if await break_move(self._es, self._alias, live.name):
            log.warning("a run before this one had stopped writes; they go on", extra={"index": live.name})
        return await self._replace(live, begun, _upto(begun.meta["reindex"]["copied"]), new_model, began)

    async def rollback(self) -> Report:
        """Put the index before this one back into its place, with all that was written since.

        Raises EngineError, Unavailable; then nothing has changed.
        """
        began = time.monotonic()
        live, others = await self._look()
        replaced = live.meta.get("replaced")
        old = next((other for other in others if replaced and other.name == replaced["index"]), None)
        if replaced is None or old is None:
            raise EngineError(f"{live.name} didn't take another's place, or that is removed: nothing to go back to.")
        self._refuse_beating(old)
        await self._copy_mapping(live.name, old.name)
        await self._loading(old.name)
        await unblock(self._es, old.name)
        return await self._replace(live, old, _upto(replaced["upto"]), None, began)

    async def finish(self) -> list[str]:
        """Remove what isn't in its place; returns their names. There is no going back then. Raises Unavailable."""
        live, others = await self._look()
        for other in others:
            self._refuse_beating(other)
            await self._drop(other.name)
        if "replaced" in live.meta:
            await note(self._es, live.name, replaced=None)
        return [other.name for other in others]

    async def _look(self) -> tuple[Generation, list[Generation]]:
        found = await generations(self._es, self._alias)
        live = [generation for generation in found if generation.live]
        if len(live) != 1:
            raise EngineError(f"{self._alias} should name one index, and names {len(live)}; `doctor` says more.")
        return live[0], [generation for generation in found if not generation.live]

    def _refuse_second(self, live: Generation, others: list[Generation]) -> None:
        for other in others:
            if other.name == live.meta.get("replaced", {}).get("index"):
                raise EngineError(
                    f"{live.name} has taken the place of {other.name}, which is still there: say --finish to remove"
                    " it, or --rollback to go back to it, first."
                )
            self._refuse_beating(other)

    def _refuse_beating(self, other: Generation) -> None:
        state = other.meta.get("reindex")
        if state and utc_now() - from_iso(state["beat_at"]) < _ALONE_AFTER:
            raise EngineError(
                f"Another process is filling {other.name}. If it was killed, try again in"
                f" {_ALONE_AFTER.total_seconds():.0f} seconds."
            )

    async def _create(self, live: Generation, number: int, model: IndexModel | None) -> Generation:
        name = f"{self._alias}-v{number}"
        meta: JsonObject = {"reindex": {"from": live.name, "copied": {}, "beat_at": iso(utc_now()), "by": self._owner}}
        if model is not None:
            meta["embedding"] = model.meta()
        dims = model.dims if model else 1
        template = load(self._definition.name, values(self._settings, dims))["template"]
        try:
            with translate_errors("creating an index"):
                await self._es.indices.create(
                    index=name,
                    mappings=(template["mappings"] if model else {}) | {"_meta": meta},
                    settings=_LOADING,
                )
        except BadRequestError as error:
            raise EngineError(f"{name} can't be made: {error}. For vectors, see REMEMBR_VECTOR_INDEX.") from error
        return Generation(name, number, live=False, meta=meta)

    async def _loading(self, index: str) -> None:
        with translate_errors("preparing an index"):
            await self._es.indices.put_settings(index=index, settings=_LOADING)

    async def _copy_mapping(self, live: str, old: str) -> None:
        with translate_errors("comparing mappings"):
            stored = (await self._es.indices.get_mapping(index=[live, old])).body
            ours, theirs = (stored[name]["mappings"]["properties"] for name in (live, old))
            if missing := {field: ours[field] for field in ours.keys() - theirs.keys()}:
                await self._es.indices.put_mapping(index=old, properties=missing)

    async def _drop(self, index: str) -> None:
        with translate_errors("removing an index"):
            await self._es.indices.delete(index=index)

    def _usual_change(self) -> Change | None:
        return without_what_was() if self._definition is EPISODES else None

    async def _replace(
        self, old: Generation, new: Generation, copied: Upto, new_model: NewModel | None, began: float
    ) -> Report:
        other_model = _model(old) != _model(new)
        comparer = Comparer(self._es, ignored=FIELDS if other_model else ())
        change = without_vectors() if other_model else self._usual_change()
        copier = Copier(self._es, old.name, new.name, comparer, change=change, per_s=self._per_s)
        embedder = Reembedder(self._es, new.name, new_model.embedder) if new_model else None
        copied = await self._catch_up(copier, new, old, copied, embedder)
        checked = 0
        for _ in range(_MOST_COMPARED):
            total = await comparer.count(old.name)
            comparing = comparer.compare(old.name, new.name, self._told("comparing", total))
            found = await self._beating(comparing, new, old, partial(dict, copied))
            checked = found.checked
            await comparer.remove(new.name, found.surplus)
            await copier.copy_again(found.wrong)
            copied = await self._catch_up(copier, new, old, copied, embedder)
            if not found.wrong:
                break
            log.warning("copies were made anew", extra={"index": new.name, "count": len(found.wrong)})
        else:
            raise EngineError(f"{new.name} doesn't come to hold what {old.name} does: {len(found.wrong)} differ.")
        await self._serving(new.name, old.name)
        await self._until_loaded(new, old, copied)
        for _ in range(_MOST_MOVES):
            copied = await self._catch_up(copier, new, old, copied, embedder)
            try:
                documents, paused_s = await self._move(copier, comparer, old, new, copied, other_model=other_model)
            except (MoveBroken, TimeoutError):
                log.warning("writes would have waited too long; they go on", extra={"index": old.name})
                continue
            return Report(old.name, new.name, documents, checked, paused_s, time.monotonic() - began)
        raise EngineError("Writes would wait too long each time: try again when less is written.")

    async def _catch_up(
        self, copier: Copier, new: Generation, old: Generation, copied: Upto, embedder: Reembedder | None
    ) -> Upto:
        """Copy until what comes meanwhile is little; returns how far that is."""
        for _ in range(_MOST_ROUNDS):
            began = time.monotonic()
            upto = await copier.reached_in(old.name)
            # In the order of its shards a run goes on where it was, so this is what is left of all numbers.
            left = sum(max(0, last - copied.get(shard, -1)) for shard, last in upto.items())
            come: list[tuple[int, Upto]] = []

            def done(count: int, until: Upto, left: int = left, come: list[tuple[int, Upto]] = come) -> None:
                come.append((count, until))
                self._progress("copying", min(left, sum(each for each, _ in come)), left)

            def so_far(copied: Upto = copied, come: list[tuple[int, Upto]] = come) -> Upto:
                return come[-1][1] if come else copied

            await self._beating(copier.copy(copied, upto, done), new, old, so_far)
            copied = upto
            await self._beat(new, old, copied, at_once=True)
            if embedder is not None:
                await self._embed(embedder, new, old, copied)
            if time.monotonic() - began < CAUGHT_UP_S:
                return copied
        raise EngineError("More is written than is copied: try again when less is written.")

    async def _embed(self, embedder: Reembedder, new: Generation, old: Generation, copied: Upto) -> None:
        total = await embedder.pending()
        await self._beating(embedder.embed(self._told("embedding", total)), new, old, partial(dict, copied))

    async def _beating(
        self, work: Coroutine[None, None, T], new: Generation, old: Generation, copied: Callable[[], Upto]
    ) -> T:
        """Do it, and note meanwhile that somebody is at it. copied: how far that is."""
        task = asyncio.create_task(work)
        try:
            while not task.done():
                await asyncio.wait([task], timeout=_BEAT_S)
                await self._beat(new, old, copied())
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return await task

    async def _until_loaded(self, new: Generation, old: Generation, copied: Upto) -> None:
        """Give servers and workers, of which nothing is known here, the time to load the model that comes next."""
        while (left := self._loaded_by - time.monotonic()) > 0:
            await asyncio.sleep(min(left, _BEAT_S))
            await self._beat(new, old, copied)

    async def _beat(self, new: Generation, old: Generation, copied: Upto, *, at_once: bool = False) -> None:
        """Note how far it has come, and that somebody is at it."""
        if not at_once and time.monotonic() - self._noted < _BEAT_S:
            return
        self._noted = time.monotonic()
        state = {
            "from": old.name,
            "copied": {str(shard): number for shard, number in copied.items()},
            "beat_at": iso(utc_now()),
            "by": self._owner,
        }
        await note(self._es, new.name, reindex=state)

    def _told(self, doing: str, total: int) -> Callable[[int], None]:
        return lambda done: self._progress(doing, done, total)

    async def _serving(self, index: str, old: str) -> None:
        """The settings of an index that is read, and as many copies of it as there are of the old one."""
        template = load("component-settings", values(self._settings, 1))["template"]["settings"]["index"]
        settings = {
            "refresh_interval": template["refresh_interval"],
            "number_of_replicas": template["number_of_replicas"],
        }
        with translate_errors("preparing an index"):
            await self._es.indices.put_settings(index=index, settings=settings)
            wanted = (await self._es.cluster.health(index=old)).body["status"]
            health = await self._es.options(request_timeout=_HEALTHY_S + 10).cluster.health(
                index=index, wait_for_status=wanted, timeout=f"{_HEALTHY_S}s"
            )
        if health.body["status"] == "red":
            raise EngineError(f"{index} has shards that no node holds; see `GET _cluster/allocation/explain`.")

    async def _move(
        self,
        copier: Copier,
        comparer: Comparer,
        old: Generation,
        new: Generation,
        copied: Upto,
        *,
        other_model: bool,
    ) -> tuple[int, float]:
        self._progress("replacing", 0, 1)
        began, documents = time.monotonic(), 0
        try:
            async with asyncio.timeout(MOVE_WAIT_S - _MARGIN_S):
                await begin_move(self._es, self._alias, old.name)
                upto = await copier.reached_in(old.name, all_of_it=True)
                await copier.copy(copied, upto, lambda _count, _come: None)
                await copier.refresh(new.name)
                documents = await comparer.count(old.name)
                if documents != await comparer.count(new.name):
                    await comparer.remove(new.name, await comparer.surplus(old.name, new.name))
                await self._require_same(comparer, old.name, new.name, vectors=not other_model)
                reached = await copier.reached_in(new.name, all_of_it=True)
                state = {"index": old.name, "upto": {str(shard): number for shard, number in reached.items()}}
                await note(self._es, new.name, replaced=state)
                await complete_move(self._es, self._alias, old.name, new.name)
        except (MoveBroken, Unavailable, EngineError, TimeoutError, asyncio.CancelledError):
            if not await asyncio.shield(self._undone(old, new)):
                raise
        paused_s = time.monotonic() - began
        await note(self._es, new.name, reindex=None)
        with translate_errors("ending a reindex"):
            await self._es.indices.put_settings(index=new.name, settings={"gc_deletes": None})
        if other_model and (model := _model(old)) is not None:
            # What was announced has come: after a rollback nobody is to wait for it.
            await note(self._es, old.name, embedding=model.meta())
        self._progress("replacing", 1, 1)
        return documents, paused_s

    async def _undone(self, old: Generation, new: Generation) -> bool:
        """Let writes go on where they were. True: all had been done, and only the answer didn't come."""
        with contextlib.suppress(Unavailable):
            if not await break_move(self._es, self._alias, old.name):
                live, _ = await self._look()
                return live.name == new.name
        # Those who wait to write do the same in the end.
        return False

    async def _require_same(self, comparer: Comparer, old: str, new: str, *, vectors: bool) -> None:
        queries: list[JsonObject] = [{"match_all": {}}]
        if vectors and self._definition is EPISODES:
            queries.append(_VECTORS)
        for query in queries:
            here, there = await comparer.count(old, query), await comparer.count(new, query)
            if here != there:
                raise EngineError(f"{old} has {here} documents of {query}, {new} has {there}; the old one stays.")


_LOADING: JsonObject = {"index": {"refresh_interval": "-1", "number_of_replicas": 0, "gc_deletes": "0s"}}
"""Of an index that is filled: nobody reads it, and what is removed may be copied again in another state."""


def _model(generation: Generation) -> IndexModel | None:
    """Whose vectors it has, whatever is to come next."""
    noted = IndexModel.of(generation.meta)
    return replace(noted, next=None) if noted else None


def _upto(noted: JsonObject) -> Upto:
    return {int(shard): number for shard, number in noted.items()}
