"""A graph's state as records: their tags, and values of any size in as many records as they take."""

from __future__ import annotations

import base64
import time
import uuid
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Literal

from langgraph.checkpoint.serde.base import SerializerProtocol

from app.adapters.records import Found, Record, tag

Kind = Literal["checkpoint", "channel", "write"]

ALL = "langgraph"
_ROLE = "state"
_PART_BYTES = 40_000
"""In base64, and with what else a record carries, below the 64 KiB of an episode's metadata."""


def kind_tag(kind: Kind) -> str:
    """Of all checkpoints, channel values or writes."""
    return f"langgraph:{kind}"


def thread_tag(thread_id: str) -> str:
    """Of everything in a thread."""
    return tag("langgraph-thread", thread_id)


def namespace_tag(thread_id: str, ns: str) -> str:
    """Of everything in a thread's namespace."""
    return tag("langgraph-ns", thread_id, ns)


def checkpoint_tag(thread_id: str, ns: str, checkpoint_id: str) -> str:
    """Of a checkpoint and the writes after it."""
    return tag("langgraph-checkpoint", thread_id, ns, checkpoint_id)


def channel_tag(thread_id: str, ns: str, channel: str, version: str | int | float) -> str:
    """Of one version of a channel's value."""
    return tag("langgraph-channel", thread_id, ns, channel, str(version))


def run_tag(run_id: str) -> str:
    """Of the checkpoints that a run made."""
    return tag("langgraph-run", run_id)


class Values:
    """Values to records and back. serde: LangGraph's."""

    def __init__(self, serde: SerializerProtocol) -> None:
        self._serde = serde

    def records(
        self,
        kind: Kind,
        thread_id: str,
        ns: str,
        tags: Sequence[str],
        about: dict[str, Any],
        value: Any,
    ) -> list[Record]:
        """A value in as many records as it takes."""
        form, data = self._serde.dumps_typed(value)
        parts = [data[start : start + _PART_BYTES] for start in range(0, len(data), _PART_BYTES)] or [b""]
        written, now = uuid.uuid4().hex, time.time_ns()
        return [
            Record(
                role=_ROLE,
                text=f"LangGraph {kind} of thread {thread_id}",
                tags=[ALL, kind_tag(kind), thread_tag(thread_id), namespace_tag(thread_id, ns), *tags],
                carried=about
                | {
                    "kind": kind,
                    "thread": thread_id,
                    "ns": ns,
                    "written": written,
                    "at_ns": now,
                    "part": number,
                    "parts": len(parts),
                    "form": form,
                    "data": base64.b64encode(part).decode(),
                },
            )
            for number, part in enumerate(parts)
        ]

    def _whole(self, records: Sequence[Found], kind: Kind) -> list[tuple[Any, dict[str, Any]]]:
        """Values of a kind whose parts are all there, with what their first part carries, the oldest first."""
        parts: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
        for each in records:
            if each.carried.get("kind") == kind:
                parts[each.carried["written"]][each.carried["part"]] = each.carried
        values = []
        for one in parts.values():
            first = one.get(0)
            if first is not None and len(one) == first["parts"]:
                data = b"".join(base64.b64decode(one[number]["data"]) for number in range(len(one)))
                values.append((self._serde.loads_typed((first["form"], data)), first))
        return sorted(values, key=lambda value: value[1]["at_ns"])

    def newest(self, records: Sequence[Found], kind: Kind) -> tuple[Any, dict[str, Any]] | None:
        """The value that was kept last, with what its record carries."""
        values = self._whole(records, kind)
        return values[-1] if values else None

    def writes(self, records: Sequence[Found]) -> list[tuple[str, str, Any]]:
        """By task: of each place the first that was written, and of errors and interrupts the last."""
        kept: dict[tuple[str, int], tuple[Any, dict[str, Any]]] = {}
        for value, carried in self._whole(records, "write"):
            key = (carried["task"], carried["place"])
            if carried["place"] < 0 or key not in kept:
                kept[key] = (value, carried)
        ordered = sorted(kept.values(), key=lambda each: (each[1]["path"], each[1]["task"], each[1]["place"]))
        return [(carried["task"], carried["channel"], value) for value, carried in ordered]


def under(record: Found, thread_id: str) -> Record:
    """The same record of another thread."""
    carried = record.carried | {"thread": thread_id}
    ns, tags = carried["ns"], [ALL, kind_tag(carried["kind"]), thread_tag(thread_id)]
    tags.append(namespace_tag(thread_id, ns))
    if "version" in carried:
        tags.append(channel_tag(thread_id, ns, carried["channel"], carried["version"]))
    else:
        tags.append(checkpoint_tag(thread_id, ns, carried["checkpoint"]))
    if "run" in carried:
        tags.append(run_tag(carried["run"]))
    return Record(record.role, f"LangGraph {carried['kind']} of thread {thread_id}", tags, carried, record.at)


def is_kept(record: Found, latest: dict[str, str], used: set[str]) -> bool:
    """Whether pruning leaves it. latest: checkpoint by namespace. used: tags of the channel values that those have."""
    carried = record.carried
    if carried["kind"] == "channel":
        return bool(used & set(record.tags))
    return bool(latest.get(carried["ns"]) == carried["checkpoint"])
