"""The indices behind one alias, and putting a new one in an old one's place without losing a write.

While the place changes, the old index takes no writes, and the alias `<alias>-moving` on it says that this
is meant to be short. Whoever waits too long for it takes that alias away, which only one can, and lets writes in
again; the change takes it away too, in the request that moves the alias. So either the new index is in its place
with every write, or the old one goes on (docs/decisions/0013-reindex.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from elasticsearch import AsyncElasticsearch, BadRequestError

from app.elastic.client import MissingDocument, translate_errors
from app.types import JsonObject


@dataclass(frozen=True, slots=True)
class Generation:
    """One index. number: the last part of its name. live: behind the alias. meta: `_meta` of its mapping."""

    name: str
    number: int
    live: bool
    meta: JsonObject


@dataclass(frozen=True, slots=True)
class IndexModel:
    """Whose vectors an episodes index is made for. name: as in the settings. next: that of one being made."""

    name: str
    model_id: str
    dims: int
    next: str | None = None

    @classmethod
    def of(cls, meta: JsonObject) -> IndexModel | None:
        """Out of a mapping's `_meta`; None where it says nothing of vectors."""
        noted = meta.get("embedding")
        return cls(noted["name"], noted["model_id"], noted["dims"], noted.get("next")) if noted else None

    def meta(self) -> JsonObject:
        """As it is kept in the mapping's `_meta`."""
        return {"name": self.name, "model_id": self.model_id, "dims": self.dims, "next": self.next}


class MoveBroken(Exception):
    """Somebody waited too long, and the old index has been let go on."""


async def generations(es: AsyncElasticsearch, alias: str) -> list[Generation]:
    """All of them, oldest first. Raises Unavailable."""
    with translate_errors("looking for indices"):
        found = await es.indices.get(
            index=f"{alias}-v*", features=["aliases", "mappings"], filter_path="*.aliases,*.mappings._meta"
        )
    numbered = re.compile(re.escape(alias) + r"-v(\d+)")
    matched = ((numbered.fullmatch(name), body) for name, body in found.body.items())
    return sorted(
        (
            Generation(match[0], int(match[1]), alias in body["aliases"], body.get("mappings", {}).get("_meta", {}))
            for match, body in matched
            if match
        ),
        key=lambda generation: generation.number,
    )


async def model_of(es: AsyncElasticsearch, alias: str) -> IndexModel | None:
    """What the live index says; None where there is none, or one from before it was noted. Raises Unavailable."""
    mapping = await _mapping(es, alias, "_meta.embedding")
    return IndexModel.of(mapping["_meta"]) if mapping else None


async def vector_index_of(es: AsyncElasticsearch, alias: str, field: str) -> str | None:
    """The index type of a `dense_vector` of the live index; None where it doesn't say. Raises Unavailable."""
    mapping = await _mapping(es, alias, f"properties.{field}.index_options.type")
    return str(mapping["properties"][field]["index_options"]["type"]) if mapping else None


async def _mapping(es: AsyncElasticsearch, alias: str, path: str) -> JsonObject | None:
    """That part of the live index's mapping; None where there is no index, or nothing at that path."""
    with translate_errors("reading the mapping"):
        found = await es.options(ignore_status=404).indices.get_mapping(index=alias, filter_path=f"*.mappings.{path}")
    for body in found.body.values():
        if isinstance(body, Mapping) and "mappings" in body:
            return dict(body["mappings"])
    return None


async def note(es: AsyncElasticsearch, index: str, **entries: JsonObject | None) -> None:
    """Change entries of an index's `_meta`; None takes one away. Raises Unavailable."""
    with translate_errors("noting something on an index"):
        found = await es.indices.get_mapping(index=index, filter_path="*.mappings._meta")
        meta = found.body.get(index, {}).get("mappings", {}).get("_meta", {}) | entries
        kept = {name: entry for name, entry in meta.items() if entry is not None}
        await es.indices.put_mapping(index=index, meta=kept)


async def begin_move(es: AsyncElasticsearch, alias: str, old: str) -> None:
    """Stop writes to the old index; returns when none is under way. Raises Unavailable."""
    with translate_errors("beginning to replace an index"):
        await es.indices.update_aliases(actions=[{"add": {"index": old, "alias": _moving(alias)}}])
        await es.indices.add_block(index=old, block="write")


async def complete_move(es: AsyncElasticsearch, alias: str, old: str, new: str) -> None:
    """Put the new index into its place, where writes go on. Raises MoveBroken when it took too long, Unavailable."""
    actions: list[JsonObject] = [
        {"remove": {"index": old, "alias": _moving(alias), "must_exist": True}},
        {"remove": {"index": old, "alias": alias, "must_exist": True}},
        {"add": {"index": new, "alias": alias, "is_write_index": True}},
    ]
    try:
        with translate_errors("replacing an index"):
            await es.indices.update_aliases(actions=actions)
    except (MissingDocument, BadRequestError) as error:
        raise MoveBroken from error


async def break_move(es: AsyncElasticsearch, alias: str, old: str) -> bool:
    """Let writes go on in the old index. False: it isn't being replaced (any more). Raises Unavailable."""
    actions: list[JsonObject] = [{"remove": {"index": old, "alias": _moving(alias), "must_exist": True}}]
    try:
        with translate_errors("going on with the old index"):
            await es.indices.update_aliases(actions=actions)
    except (MissingDocument, BadRequestError):
        return False
    await unblock(es, old)
    return True


async def unblock(es: AsyncElasticsearch, index: str) -> None:
    """Let an index take writes. Raises Unavailable."""
    with translate_errors("letting an index take writes"):
        await es.indices.put_settings(index=index, settings={"index.blocks.write": None})


def _moving(alias: str) -> str:
    return f"{alias}-moving"
