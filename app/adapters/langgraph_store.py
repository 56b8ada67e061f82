"""LangGraph's long-term store on Remembr: items in namespaces, searched by meaning, words and recency.

Source: the contract of `langgraph.store.base.BaseStore`, langgraph-checkpoint 4.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    get_text_at_path,
)

from app.adapters.records import Found, Record, find, find_each, page, put, remove, tag
from app.client import Clients, Steps

_ALL = "langgraph:item"
_SEARCHED = "langgraph:searched"
_ROLE = "memory"
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": lambda value, wanted: value == wanted,
    "$ne": lambda value, wanted: value != wanted,
    "$gt": lambda value, wanted: float(value) > float(wanted),
    "$gte": lambda value, wanted: float(value) >= float(wanted),
    "$lt": lambda value, wanted: float(value) < float(wanted),
    "$lte": lambda value, wanted: float(value) <= float(wanted),
}


def _item(namespace: Sequence[str], key: str) -> str:
    return tag("langgraph-item", *namespace, key)


def _prefix(namespace: Sequence[str]) -> str:
    return tag("langgraph-in", *namespace)


class RemembrStore(BaseStore):
    """Each item is an episode of the role `memory`; a put stores another and then removes the one before.

    Searched is what the text of the item says: all of its value, or of the paths that `index` names. A value may have
    64 KiB of JSON, less what names it. Filters are looked at here: a search reads on until it has found enough.

    clients: where, and as whom.
    """

    supports_ttl = False

    def __init__(self, clients: Clients, *, index: Sequence[str] = ("$",)) -> None:
        self._clients = clients
        self._index = list(index)

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Do several things, reads before writes; their results in this order. Raises ApiError."""
        return self._clients.run(self._do(list(ops)))

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """The same without blocking."""
        return await self._clients.run_async(self._do(list(ops)))

    def _do(self, ops: Sequence[Op]) -> Steps[list[Result]]:
        results: list[Result] = [None] * len(ops)
        gets = [(place, op) for place, op in enumerate(ops) if isinstance(op, GetOp)]
        found = yield from find_each([[_item(op.namespace, op.key)] for _, op in gets])
        for (place, _), records in zip(gets, found, strict=True):
            results[place] = _as_item(_newest(records)) if records else None
        for place, op in enumerate(ops):
            if isinstance(op, SearchOp):
                results[place] = yield from self._search(op)
            elif isinstance(op, ListNamespacesOp):
                results[place] = yield from _namespaces(op)
        # Of several puts of one item the last counts.
        puts = {(op.namespace, op.key): op for op in ops if isinstance(op, PutOp)}
        yield from self._put(list(puts.values()))
        return results

    def _put(self, ops: Sequence[PutOp]) -> Steps[None]:
        before = yield from find_each([[_item(op.namespace, op.key)] for op in ops])
        records = [
            self._record(op, op.value, _newest(old) if old else None)
            for op, old in zip(ops, before, strict=True)
            if op.value is not None
        ]
        yield from put(records)
        yield from remove(each.episode_id for old in before for each in old)

    def _record(self, op: PutOp, value: Mapping[str, Any], before: Found | None) -> Record:
        now = datetime.now(UTC).isoformat()
        paths = self._index if op.index is None else op.index or []
        texts = [text for path in paths for text in _texts(value, path)]
        return Record(
            role=_ROLE,
            text="\n".join(texts) or f"{'/'.join(op.namespace)} {op.key}",
            tags=[
                "langgraph",
                _ALL,
                *([_SEARCHED] if texts else []),
                _item(op.namespace, op.key),
                *(_prefix(op.namespace[:length]) for length in range(1, len(op.namespace) + 1)),
            ],
            carried={
                "namespace": list(op.namespace),
                "key": op.key,
                # As text: a value may hold more than metadata takes, in depth and in numbers.
                "value": json.dumps(value, ensure_ascii=False),
                "created_at": before.carried["created_at"] if before else now,
                "updated_at": now,
            },
        )

    def _search(self, op: SearchOp) -> Steps[list[SearchItem]]:
        tags = [_prefix(op.namespace_prefix) if op.namespace_prefix else _ALL, *([_SEARCHED] if op.query else [])]
        items: dict[tuple[tuple[str, ...], str], SearchItem] = {}
        wanted, read, more = op.offset + op.limit, 0, True
        while more and len(items) < wanted:
            records, more = yield from page(tags, query=op.query, offset=read)
            read += len(records)
            for record in records:
                item = _as_item(record)
                same = items.get((item.namespace, item.key))
                if (same is None or same.updated_at < item.updated_at) and _fits(item.value, op.filter):
                    score = record.score if op.query else None
                    items[item.namespace, item.key] = SearchItem(
                        item.namespace, item.key, item.value, item.created_at, item.updated_at, score
                    )
        return list(items.values())[op.offset : wanted]


def _texts(value: Mapping[str, Any], path: str) -> list[str]:
    """What an item says at a path; `$` is all of it, without the punctuation of JSON."""
    if path == "$":
        return [f"{name}: {each if isinstance(each, str) else json.dumps(each)}" for name, each in value.items()]
    return list(get_text_at_path(dict(value), path))


def _newest(records: Sequence[Found]) -> Found:
    """A put that was cut short leaves two."""
    return max(records, key=lambda record: str(record.carried["updated_at"]))


def _as_item(record: Found) -> Item:
    carried = record.carried
    return Item(
        value=json.loads(carried["value"]),
        key=carried["key"],
        namespace=tuple(carried["namespace"]),
        created_at=datetime.fromisoformat(carried["created_at"]),
        updated_at=datetime.fromisoformat(carried["updated_at"]),
    )


def _fits(value: Mapping[str, Any], wanted: Mapping[str, Any] | None) -> bool:
    return all(_compared(value.get(name), condition) for name, condition in (wanted or {}).items())


def _compared(value: Any, condition: Any) -> bool:
    if isinstance(condition, dict) and condition and all(str(name).startswith("$") for name in condition):
        unknown = [name for name in condition if name not in _COMPARE]
        if unknown:
            raise ValueError(f"Unknown operator {unknown[0]}; there are {', '.join(_COMPARE)}.")
        try:
            return all(_COMPARE[name](value, wanted) for name, wanted in condition.items())
        except (TypeError, ValueError):
            return False
    return bool(value == condition)


def _namespaces(op: ListNamespacesOp) -> Steps[list[tuple[str, ...]]]:
    prefixes = [each.path for each in op.match_conditions or () if each.match_type == "prefix"]
    named = [path for path in prefixes if path and "*" not in path]
    found = yield from find([_prefix(named[0])] if named else [_ALL])
    every = {tuple(each.carried["namespace"]) for each in found}
    fitting = {
        namespace[: op.max_depth] if op.max_depth else namespace
        for namespace in every
        if all(_matches(namespace, condition) for condition in op.match_conditions or ())
    }
    return sorted(fitting)[op.offset : op.offset + op.limit]


def _matches(namespace: Sequence[str], condition: MatchCondition) -> bool:
    path = condition.path
    if len(namespace) < len(path):
        return False
    part = namespace[: len(path)] if condition.match_type == "prefix" else namespace[len(namespace) - len(path) :]
    return all(wanted in ("*", got) for wanted, got in zip(path, part, strict=True))
