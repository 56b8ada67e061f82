"""LangGraph's checkpointer on Remembr: a graph's state outlives its process.

Source: the contract of langgraph-checkpoint 4, and its conformance tests.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from app.adapters.langgraph_values import (
    Values,
    channel_tag,
    checkpoint_tag,
    is_kept,
    kind_tag,
    namespace_tag,
    run_tag,
    thread_tag,
    under,
)
from app.adapters.records import Record, find, find_each, page, put, remove
from app.client import Clients, Steps

# Ids grow with time, and so do the times of what is stored: the latest is among the last few.
_LATEST_OF = 10


class RemembrSaver(BaseCheckpointSaver[str]):
    """Keeps checkpoints, channel values and pending writes as episodes of the role `state`.

    They are embedded by a short text of their own and found by exact tags. Give the key that it uses an agent of its
    own, and no other agent meets them. clients: where, and as whom.
    """

    def __init__(self, clients: Clients, *, serde: SerializerProtocol | None = None) -> None:
        super().__init__(serde=serde)
        self._clients = clients
        self._values = Values(self.serde)

    # -- one checkpoint

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a checkpoint; the configuration that names it. Raises ApiError."""
        return self._clients.run(self._put(config, checkpoint, metadata, new_versions))

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """The same without blocking."""
        return await self._clients.run_async(self._put(config, checkpoint, metadata, new_versions))

    def _put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Steps[RunnableConfig]:
        thread_id, ns = _place(config)
        values = checkpoint["channel_values"]
        # Values first: a checkpoint that is found has all of them.
        records: list[Record] = []
        for channel, version in new_versions.items():
            if channel in values:
                tags = [channel_tag(thread_id, ns, channel, version)]
                about: dict[str, Any] = {"channel": channel, "version": version}
                records += self._values.records("channel", thread_id, ns, tags, about, values[channel])
        known = get_checkpoint_metadata(config, metadata)
        tags = [checkpoint_tag(thread_id, ns, checkpoint["id"])]
        about = {"checkpoint": checkpoint["id"], "parent": config["configurable"].get("checkpoint_id")}
        if run_id := known.get("run_id"):
            tags.append(run_tag(str(run_id)))
            about["run"] = str(run_id)
        bare = {**checkpoint, "channel_values": {}}
        records += self._values.records("checkpoint", thread_id, ns, tags, about, [bare, known])
        yield from put(records)
        return _config(thread_id, ns, checkpoint["id"])

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Keep what a task wrote, until the next checkpoint has it. Raises ApiError."""
        self._clients.run(self._put_writes(config, writes, task_id, task_path))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """The same without blocking."""
        await self._clients.run_async(self._put_writes(config, writes, task_id, task_path))

    def _put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> Steps[None]:
        thread_id, ns = _place(config)
        checkpoint_id = config["configurable"]["checkpoint_id"]
        records: list[Record] = []
        tags = [checkpoint_tag(thread_id, ns, checkpoint_id)]
        for number, (channel, value) in enumerate(writes):
            about = {
                "checkpoint": checkpoint_id,
                "task": task_id,
                "path": task_path,
                "place": WRITES_IDX_MAP.get(channel, number),
                "channel": channel,
            }
            records += self._values.records("write", thread_id, ns, tags, about, value)
        yield from put(records)

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that the configuration names, else its thread's latest. Raises ApiError."""
        return self._clients.run(self._get(config))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The same without blocking."""
        return await self._clients.run_async(self._get(config))

    def _get(self, config: RunnableConfig) -> Steps[CheckpointTuple | None]:
        thread_id, ns = _place(config)
        checkpoint_id = get_checkpoint_id(config)
        if not checkpoint_id:
            tags = [namespace_tag(thread_id, ns), kind_tag("checkpoint")]
            latest, _ = yield from page(tags, limit=_LATEST_OF)
            if not latest:
                return None
            checkpoint_id = max(each.carried["checkpoint"] for each in latest)
        (found,) = yield from self._load([(thread_id, ns, checkpoint_id)])
        return found

    # -- many

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Checkpoints, the latest first. Raises ApiError."""
        yield from self._clients.run(self._list(config, filter, before, limit))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """The same without blocking."""
        for each in await self._clients.run_async(self._list(config, filter, before, limit)):
            yield each

    def _list(
        self,
        config: RunnableConfig | None,
        wanted: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> Steps[Sequence[CheckpointTuple]]:
        tags = [kind_tag("checkpoint")]
        only = None
        if config is not None:
            thread_id, ns = config["configurable"]["thread_id"], config["configurable"].get("checkpoint_ns")
            tags.append(thread_tag(thread_id) if ns is None else namespace_tag(thread_id, ns))
            only = get_checkpoint_id(config)
        until = get_checkpoint_id(before) if before else None
        found = yield from find(tags)
        places = {(each.carried["thread"], each.carried["ns"], each.carried["checkpoint"]) for each in found}
        chosen = [
            place
            for place in sorted(places, key=lambda place: place[2], reverse=True)
            if (not only or place[2] == only) and (not until or place[2] < until)
        ]
        # What isn't filtered needn't be read to be left out.
        tuples = yield from self._load(chosen if wanted else chosen[:limit])
        fitting = [
            each
            for each in tuples
            if each and all(each.metadata.get(name) == value for name, value in (wanted or {}).items())
        ]
        return fitting[:limit]

    def _load(self, places: Sequence[tuple[str, str, str]]) -> Steps[Sequence[CheckpointTuple | None]]:
        """Checkpoints with their values and writes, in this order; None where there is none."""
        together = yield from find_each([[checkpoint_tag(*place)] for place in places])
        heads: list[tuple[Any, Any, str | None] | None] = []
        versions: dict[str, None] = {}
        for (thread_id, ns, _), records in zip(places, together, strict=True):
            whole = self._values.newest(records, "checkpoint")
            if whole is None:
                heads.append(None)
                continue
            (checkpoint, metadata), carried = whole
            heads.append((checkpoint, metadata, carried["parent"]))
            versions |= dict.fromkeys(
                channel_tag(thread_id, ns, name, version) for name, version in checkpoint["channel_versions"].items()
            )
        blobs = yield from find_each([[each] for each in versions])
        by_tag = {name: self._values.newest(records, "channel") for name, records in zip(versions, blobs, strict=True)}
        tuples: list[CheckpointTuple | None] = []
        for place, records, head in zip(places, together, heads, strict=True):
            if head is None:
                tuples.append(None)
                continue
            checkpoint, metadata, parent = head
            thread_id, ns, checkpoint_id = place
            values = {}
            for name, version in checkpoint["channel_versions"].items():
                blob = by_tag[channel_tag(thread_id, ns, name, version)]
                if blob is not None:
                    values[name] = blob[0]
            tuples.append(
                CheckpointTuple(
                    config=_config(thread_id, ns, checkpoint_id),
                    checkpoint=checkpoint | {"channel_values": values},
                    metadata=metadata,
                    parent_config=_config(thread_id, ns, parent) if parent else None,
                    pending_writes=self._values.writes(records),
                )
            )
        return tuples

    # -- whole threads

    def delete_thread(self, thread_id: str) -> None:
        """Delete all of a thread, for good. Raises ApiError."""
        self._clients.run(self._delete([thread_tag(thread_id)]))

    async def adelete_thread(self, thread_id: str) -> None:
        """The same without blocking."""
        await self._clients.run_async(self._delete([thread_tag(thread_id)]))

    def _delete(self, tags: Sequence[str]) -> Steps[None]:
        found = yield from find(tags)
        yield from remove(each.episode_id for each in found)

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints that these runs made, with their writes. Raises ApiError."""
        self._clients.run(self._delete_for_runs(run_ids))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """The same without blocking."""
        await self._clients.run_async(self._delete_for_runs(run_ids))

    def _delete_for_runs(self, run_ids: Sequence[str]) -> Steps[None]:
        for run_id in run_ids:
            found = yield from find([run_tag(run_id)])
            places = {(each.carried["thread"], each.carried["ns"], each.carried["checkpoint"]) for each in found}
            for place in places:
                yield from self._delete([checkpoint_tag(*place)])

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy all of a thread under another id. Raises ApiError."""
        self._clients.run(self._copy(source_thread_id, target_thread_id))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """The same without blocking."""
        await self._clients.run_async(self._copy(source_thread_id, target_thread_id))

    def _copy(self, source: str, target: str) -> Steps[None]:
        found = yield from find([thread_tag(source)])
        yield from put([under(each, target) for each in found])

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Of these threads keep the latest checkpoint of each namespace, or nothing (`delete`). Raises ApiError."""
        self._clients.run(self._prune(thread_ids, strategy))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """The same without blocking."""
        await self._clients.run_async(self._prune(thread_ids, strategy))

    def _prune(self, thread_ids: Sequence[str], strategy: str) -> Steps[None]:
        for thread_id in thread_ids:
            found = yield from find([thread_tag(thread_id)])
            if strategy == "delete":
                yield from remove(each.episode_id for each in found)
                continue
            latest: dict[str, str] = {}
            for each in found:
                if kind_tag("checkpoint") in each.tags:
                    ns, checkpoint_id = each.carried["ns"], each.carried["checkpoint"]
                    latest[ns] = max(checkpoint_id, latest.get(ns, ""))
            used = yield from self._channels_of(thread_id, latest)
            yield from remove(each.episode_id for each in found if not is_kept(each, latest, used))

    def _channels_of(self, thread_id: str, checkpoints: dict[str, str]) -> Steps[set[str]]:
        """Tags of the channel values that these checkpoints have. checkpoints: namespace → id."""
        used: set[str] = set()
        for ns, checkpoint_id in checkpoints.items():
            records = yield from find([checkpoint_tag(thread_id, ns, checkpoint_id)])
            whole = self._values.newest(records, "checkpoint")
            assert whole is not None
            (checkpoint, _), _ = whole
            used |= {channel_tag(thread_id, ns, name, at) for name, at in checkpoint["channel_versions"].items()}
        return used

    def get_next_version(self, current: str | None, channel: None) -> str:
        """Versions that sort as text, and differ where two processes count the same."""
        before = int(str(current).split(".")[0]) if current is not None else 0
        return f"{before + 1:032}.{uuid.uuid4().hex[:16]}"


def _place(config: RunnableConfig) -> tuple[str, str]:
    return config["configurable"]["thread_id"], config["configurable"].get("checkpoint_ns", "")


def _config(thread_id: str, ns: str, checkpoint_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": ns, "checkpoint_id": checkpoint_id}}
