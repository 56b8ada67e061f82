"""The indices, their templates, and bringing a cluster up to them.

`index_templates/<name>.json` is the one place where an index is described. Its `_meta.version` says
which release wrote it: older is replaced, the same is left, newer is never touched.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

import orjson
from elasticsearch import AsyncElasticsearch, BadRequestError, NotFoundError

from app.elastic.client import translate_errors
from app.elastic.generations import IndexModel, generations, model_of, note
from app.elastic.scope import Ownership
from app.errors import EngineError
from app.settings import Settings
from app.types import JsonObject

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IndexDefinition:
    """What the code must know of an index beside its template.

    routed: documents of one organisation lie on one shard. soft_deletes: `deleted_at` hides a
    document. hidden_fields: never in what reads return. generation: part of the concrete name; a new
    one is made by a reindex when a mapping can't be changed in place.
    """

    name: str
    ownership: Ownership
    routed: bool = False
    soft_deletes: bool = False
    hidden_fields: tuple[str, ...] = ()
    generation: int = 1

    def alias(self, prefix: str) -> str:
        """The name that the service reads and writes."""
        return f"{prefix}-{self.name.replace('_', '-')}"

    def concrete(self, prefix: str) -> str:
        """The name of the index behind the alias."""
        return f"{self.alias(prefix)}-v{self.generation}"


EPISODES = IndexDefinition(
    "episodes",
    Ownership.USER,
    routed=True,
    soft_deletes=True,
    hidden_fields=("context_vector", "token_codes", "context"),
)
SESSIONS = IndexDefinition("sessions", Ownership.USER, soft_deletes=True)
ACCOUNTS = IndexDefinition("accounts", Ownership.ORGANISATION)
API_KEYS = IndexDefinition("api_keys", Ownership.ORGANISATION)
REFRESH_TOKENS = IndexDefinition("refresh_tokens", Ownership.ORGANISATION)
CHECKPOINTS = IndexDefinition("checkpoints", Ownership.USER, soft_deletes=True)
IDEMPOTENCY = IndexDefinition("idempotency", Ownership.USER)
WEBHOOKS = IndexDefinition("webhooks", Ownership.ORGANISATION, soft_deletes=True)
DELIVERIES = IndexDefinition("deliveries", Ownership.ORGANISATION)
EVENTS = IndexDefinition("events", Ownership.ORGANISATION)
AUDIT = IndexDefinition("audit", Ownership.ORGANISATION)
USAGE = IndexDefinition("usage", Ownership.ORGANISATION)

INDICES = (
    EPISODES,
    SESSIONS,
    CHECKPOINTS,
    ACCOUNTS,
    API_KEYS,
    REFRESH_TOKENS,
    IDEMPOTENCY,
    WEBHOOKS,
    DELIVERIES,
    EVENTS,
    AUDIT,
    USAGE,
)
COMPONENTS = ("component-settings", "component-ownership")

Kind = Literal["component", "index"]
State = Literal["create", "keep", "update", "newer"]


@dataclass(frozen=True, slots=True)
class TemplateChange:
    """What applying one template would do. diff: unified, empty where nothing changes."""

    kind: Kind
    name: str
    state: State
    body: JsonObject
    diff: str


def values(settings: Settings, dims: int) -> dict[str, Any]:
    """What the placeholders of the template files stand for. dims: of the embedding model."""
    return {
        "prefix": settings.index_prefix,
        "shards": settings.index_shards,
        "partitions": settings.index_partitions,
        "replicas": settings.index_replicas,
        "dims": dims,
        "vector_index": settings.vector_index,
    }


def load(name: str, placeholders: Mapping[str, Any]) -> JsonObject:
    """A template file with its placeholders filled in. A string that is one placeholder takes the value's type."""
    raw = orjson.loads(files("index_templates").joinpath(f"{name}.json").read_bytes())
    filled = _fill(raw, placeholders)
    assert isinstance(filled, dict)
    return filled


def _fill(node: Any, placeholders: Mapping[str, Any]) -> Any:
    if isinstance(node, dict):
        return {key: _fill(value, placeholders) for key, value in node.items()}
    if isinstance(node, list):
        return [_fill(value, placeholders) for value in node]
    if not isinstance(node, str) or "${" not in node:
        return node
    for key, value in placeholders.items():
        mark = "${" + key + "}"
        if node == mark:
            return value
        node = node.replace(mark, str(value))
    return node


async def plan(es: AsyncElasticsearch, settings: Settings, dims: int) -> list[TemplateChange]:
    """Compare every template with the cluster's, in the order in which they must be applied. dims: of the model, where
    no episodes index says which it is made for."""
    made_for = await model_of(es, EPISODES.alias(settings.index_prefix))
    return await _changes(es, settings, made_for.dims if made_for else dims)


async def _changes(es: AsyncElasticsearch, settings: Settings, dims: int) -> list[TemplateChange]:
    placeholders = values(settings, dims)
    changes = []
    for name in COMPONENTS:
        full = f"{settings.index_prefix}-{name.removeprefix('component-')}"
        changes.append(await _compare(es, "component", full, load(name, placeholders)))
    for index in INDICES:
        changes.append(await _compare(es, "index", index.alias(settings.index_prefix), load(index.name, placeholders)))
    return changes


async def _compare(es: AsyncElasticsearch, kind: Kind, name: str, ours: JsonObject) -> TemplateChange:
    theirs = await _stored(es, kind, name)
    if theirs is None:
        return TemplateChange(kind, name, "create", ours, _diff({}, ours, name))
    stored, offered = (template.get("_meta", {}).get("version", 0) for template in (theirs, ours))
    diff = _diff(theirs, ours, name)
    if stored > offered:
        return TemplateChange(kind, name, "newer", ours, diff)
    return TemplateChange(kind, name, "update" if diff else "keep", ours, diff)


async def _stored(es: AsyncElasticsearch, kind: Kind, name: str) -> JsonObject | None:
    with translate_errors("reading templates"):
        try:
            if kind == "component":
                found = await es.cluster.get_component_template(name=name, flat_settings=False)
                template: JsonObject = found.body["component_templates"][0]["component_template"]
            else:
                found = await es.indices.get_index_template(name=name, flat_settings=False)
                template = found.body["index_templates"][0]["index_template"]
        except NotFoundError:
            return None
    return template


def _diff(theirs: JsonObject, ours: JsonObject, name: str) -> str:
    before, after = (
        orjson.dumps(_normal(template), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode().splitlines()
        for template in (theirs, ours)
    )
    return "\n".join(difflib.unified_diff(before, after, f"{name} (cluster)", f"{name} (this release)", lineterm=""))


_STAMPS = frozenset({"created_date", "created_date_millis", "modified_date", "modified_date_millis"})


def _normal(node: Any) -> Any:
    """The form in which Elasticsearch gives a template back: settings as strings, no time stamps."""
    if isinstance(node, dict):
        return {key: _normal(value) for key, value in node.items() if key not in _STAMPS}
    if isinstance(node, list):
        return [_normal(value) for value in node]
    if isinstance(node, bool):
        return str(node).lower()
    return str(node)


async def ensure(es: AsyncElasticsearch, settings: Settings, model: IndexModel) -> list[TemplateChange]:
    """Apply what `plan` found and create the indices that are missing. Safe to run at every start.

    model: whose vectors an episodes index is made for, where there is none. Raises EngineError when there is one of
    another length that doesn't say whose it is.
    """
    episodes = EPISODES.alias(settings.index_prefix)
    made_for = await model_of(es, episodes)
    same_name = made_for is not None and (made_for.name, made_for.dims) == (model.name, model.dims)
    if made_for is not None and same_name and made_for.model_id != model.model_id:
        log.warning("The model has changed under its name; everything is embedded again", extra={"model": model.name})
        made_for = None
    model = made_for or model
    changes = await _changes(es, settings, model.dims)
    for change in changes:
        if change.state == "newer":
            log.warning("A newer release wrote this template; it is left as it is", extra={"template": change.name})
        elif change.state != "keep":
            await _apply(es, change)
    placeholders = values(settings, model.dims)
    for index in INDICES:
        await _create_index(es, index, settings.index_prefix)
        await _add_fields(es, index, placeholders)
    if made_for is None:
        await _check_dims(es, episodes, model)
        for generation in await generations(es, episodes):
            if generation.live:
                await note(es, generation.name, embedding=model.meta())
    elif made_for.name != settings.embedding_model:
        log.warning(
            "The episodes are embedded by another model than the settings name: see `remembr-server reindex --model`",
            extra={"model": made_for.name, "settings": settings.embedding_model},
        )
    return changes


async def _apply(es: AsyncElasticsearch, change: TemplateChange) -> None:
    with translate_errors("applying templates"):
        if change.kind == "component":
            await es.cluster.put_component_template(
                name=change.name, template=change.body["template"], meta=change.body["_meta"]
            )
        else:
            body = change.body
            await es.indices.put_index_template(
                name=change.name,
                index_patterns=body["index_patterns"],
                composed_of=body["composed_of"],
                priority=body["priority"],
                template=body["template"],
                allow_auto_create=body["allow_auto_create"],
                meta=body["_meta"],
            )


async def _create_index(es: AsyncElasticsearch, index: IndexDefinition, prefix: str) -> None:
    alias = index.alias(prefix)
    with translate_errors("creating indices"):
        if await es.indices.exists_alias(name=alias):
            return
        try:
            await es.indices.create(index=index.concrete(prefix), aliases={alias: {"is_write_index": True}})
        except BadRequestError as error:
            # Another server process was faster.
            if error.error != "resource_already_exists_exception":
                raise


async def _add_fields(es: AsyncElasticsearch, index: IndexDefinition, placeholders: Mapping[str, Any]) -> None:
    """Give an index that an older release made the fields it lacks. A template reaches new indices only,
    and a field that is there can't be changed in place."""
    alias = index.alias(placeholders["prefix"])
    wanted = {
        field: mapping
        for name in ("component-ownership", index.name)
        for field, mapping in load(name, placeholders)["template"]["mappings"]["properties"].items()
    }
    with translate_errors("adding fields"):
        stored = await es.indices.get_mapping(index=alias)
        for name, mapping in stored.body.items():
            missing = _missing(wanted, mapping["mappings"]["properties"])
            if missing:
                log.info("adding fields to an index", extra={"index": name, "fields": sorted(missing)})
                await es.indices.put_mapping(index=name, properties=missing)


def _missing(wanted: JsonObject, stored: JsonObject) -> JsonObject:
    """The fields of `wanted` that aren't stored, those within objects too."""
    missing = {field: wanted[field] for field in wanted.keys() - stored.keys()}
    for field in wanted.keys() & stored.keys():
        inner = _missing(wanted[field].get("properties", {}), stored[field].get("properties", {}))
        if inner:
            missing[field] = {"properties": inner}
    return missing


async def _check_dims(es: AsyncElasticsearch, alias: str, model: IndexModel) -> None:
    with translate_errors("reading the mapping"):
        mappings = await es.indices.get_mapping(index=alias)
    for name, mapping in mappings.body.items():
        stored = mapping["mappings"]["properties"]["context_vector"]["dims"]
        if stored != model.dims:
            raise EngineError(
                f"Index {name} holds vectors of {stored} dimensions, the model {model.name} gives {model.dims}. Set"
                " REMEMBR_EMBEDDING_MODEL to the model it was made for, or REMEMBR_INDEX_PREFIX to start a new one."
            )
