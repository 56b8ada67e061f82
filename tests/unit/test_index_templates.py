"""Templates are whole, and no query names a field that they don't map."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import orjson
import pytest

from app.elastic.indices import COMPONENTS, EPISODES, INDICES, IndexDefinition, _fill, load, values
from app.elastic.scope import Scope, ScopedQuery, SystemScope
from app.episodes import queries
from app.episodes.models import Mix, SearchRequest
from app.episodes.queries import Meaning
from app.episodes.ranking import Curves
from app.lineage import Cut, Lineage
from app.sessions import window
from app.settings import Settings

FILES = (*COMPONENTS, *(index.name for index in INDICES))
PLACEHOLDERS = values(Settings(index_prefix="p", index_shards=3), dims=384)

ID = "6f3b0a52-7c6e-5d0a-9a0e-2f6d9d1c7b11"
NOW = datetime(2026, 4, 22, 10, tzinfo=UTC)
SCOPE = Scope("org", "user", "agent")
WORKER = SystemScope("a test")
LINEAGE = Lineage(2, (Cut(0, 7),))
CURVES = Curves(0.7, 0.92, 1e9, 1)
MEANING = Meaning([0.1, 0.2], "model", by_token=True)
ALL_PARTS = Mix(0.6, 0.3, 0.1)
OPS = ("eq", "ne", "gt", "gte", "lt", "lte", "exists", "prefix")


def request(**fields: Any) -> SearchRequest:
    every_filter = {
        "query": "words",
        "session_id": ID,
        "role": "user",
        "tags": ["a"],
        "tag_filters": [{"key": "k", "op": op, "value": "1"} for op in OPS],
        "from_time": NOW,
        "to_time": NOW,
        "explain": True,
    }
    return SearchRequest.model_validate(every_filter | fields)


QUERIES: dict[str, ScopedQuery] = {
    "newest": queries.newest(SCOPE, request(query="")),
    "keyword": queries.keyword(SCOPE, request(search_mode="keyword"), CURVES),
    "keyword without tags": queries.keyword(SCOPE, request(tags=[], tag_filters=[]), CURVES),
    "exact": queries.exact(SCOPE, request(), MEANING, ALL_PARTS, CURVES),
    "semantic": queries.exact(SCOPE, request(search_mode="semantic"), MEANING, Mix(1, 0, 0), CURVES),
    "windowed": queries.windowed(
        SCOPE,
        request(),
        MEANING,
        ALL_PARTS,
        CURVES,
        window=100,
        size=20,
        visible=queries.in_scope(SCOPE, request()).visible(EPISODES.ownership, True),
    ),
    "candidates": queries.candidates(SCOPE, request(), MEANING, ALL_PARTS, CURVES, 200, ordered=True),
    "closely": queries.closely(SCOPE, [ID]),
    "closely, short ones": queries.closely(SCOPE, [ID], short_tokens=500),
    "explained": queries.explained(SCOPE, request(explain=True), [ID]),
    "beside": queries.beside(SCOPE, ID, 0, 0, 2, later=True),
    "in_scope": queries.in_scope(SCOPE, request()),
    "history": queries.history(
        SCOPE, ID, LINEAGE, limit=1, offset=0, newest_first=True, times=queries.between(NOW, NOW)
    ),
    "history from the oldest": queries.history(SCOPE, ID, None, limit=1, offset=0, newest_first=False, times=()),
    "statuses": queries.statuses(SCOPE, ID),
    "message_counts": queries.message_counts(SCOPE, {ID: LINEAGE}),
    "by_priority": queries.by_priority(SCOPE, ID, LINEAGE, window.ORDER_SCRIPT, window.ORDER_PARAMS, size=1, after=[1]),
    "due_for_embedding": queries.due_for_embedding(WORKER, NOW, "model", 1),
    "before": queries.beside(WORKER, ID, 0, 0, 2, org_id="org"),
}
NAMED_BY_KEY = frozenset({"term", "terms", "range", "prefix", "match"})


def fields_of(node: Any) -> Iterator[str]:
    """Every field that a request's body names, wherever it does."""
    if isinstance(node, list):
        for item in node:
            yield from fields_of(item)
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if key in NAMED_BY_KEY and "field" not in value:
            yield from value
        elif key == "field":
            yield value
        elif key == "source" and isinstance(value, str):
            yield from re.findall(r"doc\['(\w+)'\]", value)
            yield from re.findall(r"cosineSimilarity\(params\.vector, '(\w+)'\)", value)
        elif key == "sort":
            yield from (name for clause in value for name in clause if not name.startswith("_"))
            yield from fields_of(value)
        elif key == "_source":
            yield from () if isinstance(value, bool) else value
        else:
            yield from fields_of(value)


def mapped(definition: IndexDefinition) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("component-ownership", definition.name):
        found |= load(name, PLACEHOLDERS)["template"]["mappings"]["properties"]
    return found


@pytest.mark.parametrize("name", QUERIES)
def test_every_field_that_a_query_names_is_mapped_and_can_be_searched(name: str) -> None:
    properties = mapped(EPISODES)
    body = QUERIES[name].body(EPISODES.ownership, EPISODES.soft_deletes)
    named = set(fields_of(body))
    assert "org_id" in named or QUERIES[name].scope is WORKER
    # Scripts ask whether fields of earlier releases are there.
    guarded = set(re.findall(r"containsKey\('(\w+)'\)", json.dumps(body)))
    assert named - set(properties) - guarded == set()
    searched = set(fields_of({key: value for key, value in body.items() if key != "_source"})) - guarded
    assert {field for field in searched if properties[field].get("index") is False} == set()
    assert "metadata" not in searched


def test_the_walk_sees_fields_in_every_corner() -> None:
    body = QUERIES["windowed"].body(EPISODES.ownership, True)
    assert {"context_vector", "content", "context", "tag_numbers", "deleted_at"} <= set(fields_of(body))
    assert "embedding_model" in set(fields_of(body["rescore"]))
    assert {"created_at", "role"} <= set(fields_of(QUERIES["by_priority"].body(EPISODES.ownership, True)["sort"]))
    assert set(fields_of({"sort": [{"unheard_of": "asc"}]})) == {"unheard_of"}


@pytest.mark.parametrize("definition", INDICES, ids=lambda definition: definition.name)
def test_what_the_code_knows_of_an_index_is_in_its_template(definition: IndexDefinition) -> None:
    template = load(definition.name, PLACEHOLDERS)
    properties = mapped(definition)
    assert {"org_id", "user_id", "agent_id", "created_at"} <= set(properties)
    assert ("deleted_at" in properties) == definition.soft_deletes
    assert set(definition.hidden_fields) <= set(properties)
    assert template["template"]["mappings"].get("_routing", {}).get("required", False) == definition.routed
    assert template["index_patterns"] == [f"{definition.alias('p')}-v*"]
    assert template["composed_of"] == [f"p-{name.removeprefix('component-')}" for name in COMPONENTS]


@pytest.mark.parametrize("name", FILES)
def test_a_template_is_versioned_strict_and_filled(name: str) -> None:
    raw = orjson.loads(files("index_templates").joinpath(f"{name}.json").read_bytes())
    assert raw["_meta"]["version"] >= 1
    assert raw["_meta"]["description"]
    mappings = raw["template"].get("mappings")
    assert mappings is None or mappings["dynamic"] == "strict"
    assert b"${" not in orjson.dumps(load(name, PLACEHOLDERS))


def test_every_template_file_belongs_to_an_index() -> None:
    present = {
        path.name.removesuffix(".json") for path in files("index_templates").iterdir() if path.name.endswith(".json")
    }
    assert present == set(FILES)


def test_vectors_are_never_read_back() -> None:
    vectors = {name for name, field in mapped(EPISODES).items() if field["type"] == "dense_vector"}
    assert vectors == {"context_vector"}
    assert vectors <= set(EPISODES.hidden_fields)
    assert all(not vectors & set(query.fields) for query in QUERIES.values())


def test_a_string_that_is_one_placeholder_takes_the_values_type() -> None:
    node = {"n": "${dims}", "s": "${prefix}-x-${dims}", "l": ["${dims}", 1, None, True], "o": "$ {dims} $"}
    assert _fill(node, {"prefix": "p", "dims": 3}) == {"n": 3, "s": "p-x-3", "l": [3, 1, None, True], "o": "$ {dims} $"}


def test_what_differs_between_installations_comes_from_the_settings() -> None:
    settings = Settings(index_prefix="other", index_shards=7, index_replicas=2, vector_index="int8_hnsw")
    filled = load("episodes", values(settings, dims=768))
    vector = filled["template"]["mappings"]["properties"]["context_vector"]
    assert (vector["dims"], vector["index_options"]["type"]) == (768, "int8_hnsw")
    assert filled["template"]["settings"]["index"]["number_of_shards"] == 7
    assert load("component-settings", values(settings, 1))["template"]["settings"]["index"]["number_of_replicas"] == 2


def test_what_is_written_over_an_episode_is_read_from_it_before() -> None:
    """The worker replaces whole documents: a field that it doesn't read would be lost."""
    properties = {
        field
        for name in ("component-ownership", EPISODES.name)
        for field in load(name, PLACEHOLDERS)["template"]["mappings"]["properties"]
    }
    made_anew = {"context_vector", "token_codes", "context", "context_of"}
    assert set(queries._ALL_BUT_VECTORS) == properties - made_anew
