"""Backing up and restoring all indices of this installation, by Elasticsearch's snapshots.

A snapshot holds each shard as of a moment while it is taken, copies only segments that the repository
lacks, and stops nobody (https://www.elastic.co/docs/deploy-manage/tools/snapshot-and-restore).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import orjson
from elasticsearch import ApiError, AsyncElasticsearch, NotFoundError

from app import __version__
from app.elastic.client import translate_errors
from app.elastic.generations import generations
from app.elastic.indices import INDICES
from app.errors import EngineError
from app.settings import Settings
from app.types import JsonObject, utc_now

log = logging.getLogger(__name__)

_POLL_S = 0.5
Progress = Callable[[int, int], None]
"""Told how many shards are done, of how many."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One backup. documents: index → how many when it began. complete: whether every shard is in it."""

    name: str
    taken_at: datetime
    release: str
    documents: dict[str, int]
    complete: bool


class Backup:
    """Snapshots of one installation in its repository. es: with time-outs of its own."""

    def __init__(self, es: AsyncElasticsearch, settings: Settings) -> None:
        self._es = es
        self._settings = settings
        self._prefix = settings.index_prefix
        self._repository = settings.backup_repository or f"{settings.index_prefix}-backups"

    async def take(self, progress: Progress) -> Snapshot:
        """Take one and wait for it. Raises EngineError when it isn't complete, Unavailable."""
        await self._open_repository()
        documents = await self._documents()
        if not documents:
            raise EngineError(f"There are no indices of {self._prefix}: is REMEMBR_INDEX_PREFIX right?")
        name = f"{self._prefix}-{utc_now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        with translate_errors("starting a snapshot"):
            await self._es.snapshot.create(
                repository=self._repository,
                snapshot=name,
                indices=sorted(documents),
                include_global_state=False,
                feature_states=["none"],
                partial=False,
                metadata={"release": __version__, "prefix": self._prefix, "documents": documents},
                wait_for_completion=False,
            )
        while True:
            with translate_errors("following a snapshot"):
                answer = await self._es.snapshot.status(repository=self._repository, snapshot=name)
            (status,) = answer.body["snapshots"]
            shards = status["shards_stats"]
            progress(shards["done"], shards["total"])
            if status["state"] not in ("INIT", "STARTED"):
                break
            await asyncio.sleep(_POLL_S)
        taken = await self._ended(name)
        if not taken.complete:
            raise EngineError(f"The snapshot {name} is not complete; Elasticsearch's log says why. Take another.")
        return taken

    async def _ended(self, name: str) -> Snapshot:
        """Once the repository has it: its shards are done a little before."""
        while True:
            with translate_errors("following a snapshot"):
                answer = await self._es.snapshot.get(repository=self._repository, snapshot=name)
            (found,) = answer.body["snapshots"]
            if found["state"] != "IN_PROGRESS":
                return _snapshot(found)
            await asyncio.sleep(_POLL_S)

    async def all(self) -> list[Snapshot]:
        """This installation's, oldest first. Raises EngineError when the repository can't be read."""
        await self._open_repository()
        with translate_errors("listing snapshots"):
            answer = await self._es.snapshot.get(repository=self._repository, snapshot=f"{self._prefix}-*")
        found = [_snapshot(each) for each in answer.body["snapshots"] if each.get("metadata", {}).get("documents")]
        return sorted(found, key=lambda snapshot: snapshot.taken_at)

    async def find(self, name: str | None) -> Snapshot:
        """That one, or the newest that is complete. Raises EngineError when there is none."""
        among = [each for each in await self.all() if each.name == name or (name is None and each.complete)]
        if not among:
            raise EngineError("There is no such backup; `remembr-server backup --list` shows those that are.")
        return among[-1]

    async def keep(self, newest: int) -> list[str]:
        """Remove all but the newest; returns the names of those that went. Raises Unavailable."""
        gone = [snapshot.name for snapshot in (await self.all())[:-newest]]
        for name in gone:
            with translate_errors("removing a snapshot"):
                await self._es.snapshot.delete(repository=self._repository, snapshot=name)
        return gone

    async def restore(self, snapshot: Snapshot, progress: Progress, *, replace: bool = False) -> dict[str, int]:
        """Put the indices back as they were; returns index → documents, which are as many as in the snapshot.

        replace: what is there now is lost; else only empty indices are replaced. Servers and workers must be
        stopped. Raises EngineError when something is there, or isn't complete afterwards.
        """
        there = await self._documents()
        if any(there.values()) and not replace:
            full = ", ".join(sorted(name for name, count in there.items() if count))
            raise EngineError(f"There is something in {full}: it would be lost. Say --replace if it may be.")
        # Also those that a reindex keeps: the backup may hold an index of that name.
        known = [await generations(self._es, index.alias(self._prefix)) for index in INDICES]
        if beside := {generation.name for each in known for generation in each} | set(there):
            with translate_errors("making room"):
                await self._es.indices.delete(index=sorted(beside))
        with translate_errors("starting to restore"):
            await self._es.snapshot.restore(
                repository=self._repository,
                snapshot=snapshot.name,
                indices=sorted(snapshot.documents),
                include_aliases=True,
                include_global_state=False,
                feature_states=["none"],
                wait_for_completion=False,
            )
        pattern = f"{self._prefix}-*"
        while True:
            with translate_errors("following the restore"):
                health = (await self._es.cluster.health(index=pattern, level="indices")).body
            total = len(snapshot.documents)
            ready = sum(index["status"] in ("green", "yellow") for index in health["indices"].values())
            progress(ready, total)
            if ready >= total:
                break
            await asyncio.sleep(_POLL_S)
        restored = await self._documents()
        missing = set(snapshot.documents) - set(restored)
        if missing:
            raise EngineError(f"These indices did not come back: {', '.join(sorted(missing))}.")
        return restored

    async def _open_repository(self) -> None:
        settings = self._settings
        try:
            with translate_errors("looking for the repository"):
                known = await self._es.options(ignore_status=404).snapshot.get_repository(name=self._repository)
                if self._repository in known.body:
                    return
                await self._es.snapshot.create_repository(
                    name=self._repository,
                    repository={
                        "type": settings.backup_type,
                        "settings": orjson.loads(settings.backup_settings),
                    },
                )
        except ApiError as error:
            raise EngineError(
                f"The repository {self._repository} can't be made: {error}. Set REMEMBR_BACKUP_TYPE and"
                " REMEMBR_BACKUP_SETTINGS, or name one that is registered in REMEMBR_BACKUP_REPOSITORY."
            ) from error

    async def _documents(self) -> dict[str, int]:
        """Concrete index → how many documents a search finds in it."""
        found: dict[str, int] = {}
        for index in INDICES:
            alias = index.alias(self._prefix)
            try:
                named = (await self._es.indices.get_alias(name=alias)).body
            except NotFoundError:
                continue
            for name in named:
                await self._es.indices.refresh(index=name)
                found[name] = int((await self._es.count(index=name)).body["count"])
        return found


def _snapshot(source: JsonObject) -> Snapshot:
    metadata = source["metadata"]
    return Snapshot(
        name=source["snapshot"],
        taken_at=datetime.fromisoformat(source["start_time"]),
        release=metadata["release"],
        documents=metadata["documents"],
        complete=source["state"] == "SUCCESS",
    )
