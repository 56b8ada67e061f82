"""Kibana's objects against a real Elasticsearch: each panel's and search's query, sent as Kibana builds it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch

from app.elastic.client import open_elasticsearch
from app.settings import Settings
from scripts import kibana_objects
from tests.client import Client, connect
from tests.conftest import Embed, serving

FILE = Path(__file__).parents[2] / "kibana/objects.ndjson"
OBJECTS = {(each["type"], each["id"]): each for each in map(json.loads, FILE.read_text().splitlines())}
PANELS = [each for (kind, _), each in OBJECTS.items() if kind == "lens"]
SEARCHES = [each for (kind, _), each in OBJECTS.items() if kind == "search"]


def kql(text: str) -> dict[str, Any]:
    """The part of KQL that the objects use, as a query."""
    if not text:
        return {"match_all": {}}
    if text.startswith("not "):
        return {"bool": {"must_not": [kql(text.removeprefix("not "))]}}
    matched = re.fullmatch(r'(\w+)(:| >=) (\S+|"[^"]+")', text)
    assert matched, text
    field, operator, value = matched[1], matched[2], matched[3].strip('"')
    if operator == " >=":
        return {"range": {field: {"gte": value}}}
    return {"exists": {"field": field}} if value == "*" else {"term": {field: value}}


def aggregation(column: dict[str, Any], order_by: str) -> dict[str, Any]:
    """A column of a Lens panel as the aggregation that Kibana sends for it."""
    field, operation, params = column["sourceField"], column["operationType"], column["params"]
    if operation == "date_histogram":
        return {"date_histogram": {"field": field, "fixed_interval": "3h"}}
    if operation == "terms":
        return {"terms": {"field": field, "size": params["size"], "order": {order_by: "desc"}}}
    if operation == "count":
        return {"filter": kql(column.get("filter", {}).get("query", ""))}
    inner = {"median": {"percentiles": {"field": field, "percents": [50]}}}.get(operation)
    if operation == "percentile":
        inner = {"percentiles": {"field": field, "percents": [params["percentile"]]}}
    inner = inner or {operation: {"field": field}}
    only = column.get("filter", {}).get("query", "")
    return {"filter": kql(only), "aggs": {"value": inner}} if only else inner


def request(panel: dict[str, Any]) -> dict[str, Any]:
    state = panel["attributes"]["state"]
    (layer,) = state["datasourceStates"]["formBased"]["layers"].values()
    columns = {name: layer["columns"][name] for name in layer["columnOrder"]}
    first = columns["value0"]
    # A count is ordered by the number of documents, as Kibana does.
    order_by = "_count" if first["operationType"] == "count" else "value0"
    nested: dict[str, Any] = {name: aggregation(c, order_by) for name, c in columns.items() if not c["isBucketed"]}
    for name in reversed([name for name, column in columns.items() if column["isBucketed"]]):
        nested = {name: {**aggregation(columns[name], order_by), "aggs": nested}}
    # Kibana adds the dashboard's period, without which a histogram of years has more buckets than it may.
    period = {"range": {view_of(panel)["timeFieldName"]: {"gte": "now-7d"}}}
    query = {"bool": {"filter": [kql(state["query"]["query"]), period]}}
    return {"size": 0, "track_total_hits": True, "query": query, "aggs": nested}


def view_of(each: dict[str, Any]) -> dict[str, Any]:
    (reference,) = each["references"]
    attributes: dict[str, Any] = OBJECTS["index-pattern", reference["id"]]["attributes"]
    return attributes


async def ask(es: AsyncElasticsearch, settings: Settings, each: dict[str, Any], body: dict[str, Any]) -> Any:
    view = view_of(each)
    index = view["title"].replace(kibana_objects.PREFIX, settings.index_prefix, 1)
    return (await es.search(index=index, body=body | {"runtime_mappings": json.loads(view["runtimeFieldMap"])})).body


@pytest.fixture
async def es(settings: Settings) -> Any:
    assert settings.elasticsearch_url is not None
    async with open_elasticsearch(settings, settings.elasticsearch_url) as client:
        yield client


@pytest.fixture
async def lived_in(organisation: Client, embed: Embed, es: AsyncElasticsearch, settings: Settings) -> None:
    """An organisation with something of everything, so that an empty panel is one that asks for what isn't there."""
    gone = await organisation.store("gone")
    await organisation.store("kept")
    await organisation.data("DELETE", f"/memory/{gone}")
    await embed()
    await organisation.store("waits")
    # What a server has counted it writes down when it ends, too.
    async with serving(settings) as url, connect(url) as client:
        client.http.headers["Authorization"] = organisation.http.headers["Authorization"]
        await client.search("kept")
    await es.indices.refresh(index=f"{settings.index_prefix}-*")


def test_the_file_is_what_the_script_makes() -> None:
    assert FILE.read_text() == kibana_objects.text()


def test_what_is_referred_to_is_there() -> None:
    for each in OBJECTS.values():
        for reference in each["references"]:
            assert (reference["type"], reference["id"]) in OBJECTS
    dashboard = OBJECTS["dashboard", kibana_objects.PREFIX]
    shown = {reference["id"] for reference in dashboard["references"]}
    assert shown == {panel["id"] for panel in PANELS}
    grid = [panel["gridData"] for panel in json.loads(dashboard["attributes"]["panelsJSON"])]
    taken = [(x, y) for g in grid for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 48


async def test_every_panel_finds_what_it_shows(es: AsyncElasticsearch, settings: Settings, lived_in: None) -> None:
    told = {panel["id"]: await ask(es, settings, panel, request(panel)) for panel in PANELS}
    for name, answer in told.items():
        assert answer["_shards"]["failed"] == 0, name
        # Nothing is delivered or fails in this organisation.
        if "deliver" not in name:
            assert answer["hits"]["total"]["value"], name
    waiting = told["remembr-embedding-waits"]["aggregations"]["value0"]["doc_count"]
    oldest = told["remembr-embedding-oldest"]["aggregations"]["value0"]
    assert waiting >= 1
    assert oldest["value"]["value_as_string"]
    lag = told["remembr-embedding-lag"]["aggregations"]["by0"]["buckets"][-1]
    assert lag["value0"]["values"]["50.0"] >= 0
    asked = told["remembr-requests-over-time"]["aggregations"]["by0"]["buckets"][-1]["by1"]["buckets"]
    assert "POST /api/v1/memory/search" in {bucket["key"] for bucket in asked}
    slowest = told["remembr-searches-over-time"]["aggregations"]["by0"]["buckets"][-1]
    assert slowest["value1"]["value"] >= slowest["value0"]["values"]["50.0"] > 0
    roles = told["remembr-episodes-over-time"]["aggregations"]["by0"]["buckets"][-1]["by1"]["buckets"]
    assert "user" in {bucket["key"] for bucket in roles}


async def test_every_search_names_fields_that_there_are(es: AsyncElasticsearch, settings: Settings) -> None:
    for each in SEARCHES:
        attributes = each["attributes"]
        source = json.loads(attributes["kibanaSavedObjectMeta"]["searchSourceJSON"])
        view = view_of(each)
        index = view["title"].replace(kibana_objects.PREFIX, settings.index_prefix, 1)
        described = await es.field_caps(index=index, fields=[*attributes["columns"], view["timeFieldName"]])
        assert set(described["fields"]) == {*attributes["columns"], view["timeFieldName"]}, each["id"]
        body = {"query": kql(source["query"]["query"]), "sort": [dict([pair]) for pair in attributes["sort"]]}
        assert (await ask(es, settings, each, body))["_shards"]["failed"] == 0


async def test_every_field_that_a_panel_names_exists(es: AsyncElasticsearch, settings: Settings) -> None:
    for panel in PANELS:
        view = view_of(panel)
        (layer,) = panel["attributes"]["state"]["datasourceStates"]["formBased"]["layers"].values()
        named = {column["sourceField"] for column in layer["columns"].values()} - {"___records___"}
        text = json.dumps([panel["attributes"]["state"]["query"], [c.get("filter") for c in layer["columns"].values()]])
        named |= set(re.findall(r"(\w+)(?:: |\s>=)(?=[\w*])", text)) - {"query", "language"}
        named -= set(json.loads(view["runtimeFieldMap"]))
        if not named:
            continue
        index = view["title"].replace(kibana_objects.PREFIX, settings.index_prefix, 1)
        described = await es.field_caps(index=index, fields=sorted(named))
        assert set(described["fields"]) == named, panel["id"]
