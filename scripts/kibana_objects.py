"""Kibana's data views, searches and dashboard, written down as what they show.

    python scripts/kibana_objects.py > kibana/objects.ndjson

Source: Kibana 9's saved objects, as its export writes them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PREFIX = "remembr"
_LAYER = "layer"
_FIRST_VALUE = "value0"
_LAG = "embedding_lag_s"


@dataclass(frozen=True)
class DataView:
    """name: of the index behind its alias. computed: fields that it adds, by name."""

    name: str
    title: str
    time: str
    computed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Its own, and the alias that it reads."""
        return f"{PREFIX}-{self.name}"


@dataclass(frozen=True)
class Column:
    """operation: Lens' name of it. of: the field; `___records___` counts documents. only: in KQL."""

    label: str
    operation: str
    of: str = "___records___"
    only: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Panel:
    """shape: Lens' visualization. by: buckets, the first of a chart its axis. only: in KQL, of all columns."""

    id: str
    title: str
    view: DataView
    shape: str
    values: Sequence[Column]
    by: Sequence[Column] = ()
    only: str = ""
    width: int = 24
    height: int = 12


@dataclass(frozen=True)
class Search:
    """Documents, newest first. only: in KQL."""

    id: str
    title: str
    view: DataView
    only: str
    columns: Sequence[str]


def _over_time(of: str) -> Column:
    return Column("time", "date_histogram", of, params={"interval": "auto", "includeEmptyRows": True})


def _top(label: str, of: str, size: int = 5) -> Column:
    order = {"orderBy": {"type": "column", "columnId": _FIRST_VALUE}, "orderDirection": "desc"}
    return Column(label, "terms", of, params={"size": size, **order, "otherBucket": True, "missingBucket": False})


COUNT = Column("number", "count")
EPISODES = DataView(
    "episodes",
    "Remembr: episodes",
    "created_at",
    {
        _LAG: {
            "type": "double",
            "script": {
                "source": (
                    "if (doc['embedding_generated_at'].size() > 0 && doc['created_at'].size() > 0) {"
                    " emit((doc['embedding_generated_at'].value.toInstant().toEpochMilli()"
                    " - doc['created_at'].value.toInstant().toEpochMilli()) / 1000.0) }"
                )
            },
        }
    },
)
DELIVERIES = DataView("deliveries", "Remembr: deliveries", "created_at")
KEYS = DataView("api-keys", "Remembr: API keys", "created_at")
AUDIT = DataView("audit", "Remembr: audit log", "at")
USAGE = DataView("usage", "Remembr: usage", "at")
DATA_VIEWS = (EPISODES, DELIVERIES, KEYS, AUDIT, USAGE)

_KEPT = "not deleted_at: *"
_SEARCHES = 'operation: "POST /api/v1/memory/search"'
PANELS = (
    Panel("episodes-total", "Episodes", EPISODES, "lnsMetric", [COUNT], only=_KEPT, width=8, height=8),
    Panel(
        "embedding-waits", "Waiting to be embedded", EPISODES, "lnsMetric",
        [Column("waiting", "count", only="embedding_status: pending")], only=_KEPT, width=8, height=8,
    ),
    Panel(
        "embedding-oldest", "The oldest that waits, from", EPISODES, "lnsMetric",
        [Column("oldest", "min", "created_at", "embedding_status: pending")], only=_KEPT, width=8, height=8,
    ),
    Panel(
        "embedding-failed", "Embedding failed", EPISODES, "lnsMetric",
        [Column("failed", "count", only="embedding_status: failed")], only=_KEPT, width=8, height=8,
    ),
    Panel("keys-valid", "Keys that are valid", KEYS, "lnsMetric", [COUNT], only="not revoked_at: *", width=8, height=8),
    Panel(
        "keys-used", "Keys used within a day", KEYS, "lnsMetric",
        [Column("used", "count", only="last_used_at >= now-1d")], only="not revoked_at: *", width=8, height=8,
    ),
    Panel(
        "episodes-over-time", "Episodes by role", EPISODES, "lnsXY", [COUNT],
        [_over_time("created_at"), _top("role", "role")], _KEPT,
    ),
    Panel(
        "requests-over-time", "Searches, stores and what else was asked", USAGE, "lnsXY",
        [Column("requests", "sum", "requests")], [_over_time("at"), _top("operation", "operation", 8)],
    ),
    Panel(
        "searches-over-time", "Milliseconds of a search", USAGE, "lnsXY",
        [Column("mean of a minute", "median", "mean_ms"), Column("slowest", "max", "slowest_ms")],
        [_over_time("at")], _SEARCHES,
    ),
    Panel(
        "embedding-lag", "Seconds from stored to embedded", EPISODES, "lnsXY",
        [
            Column("median", "median", _LAG),
            Column("95 of 100", "percentile", _LAG, params={"percentile": 95}),
        ],
        [_over_time("created_at")], "embedding_status: ready",
    ),
    Panel(
        "embedding-by-status", "Embedding by status and model", EPISODES, "lnsDatatable", [COUNT],
        [_top("status", "embedding_status"), _top("model", "embedding_model")], _KEPT,
    ),
    Panel(
        "deliveries-over-time", "Deliveries by status", DELIVERIES, "lnsXY", [COUNT],
        [_over_time("created_at"), _top("status", "status")],
    ),
    Panel(
        "deliveries-failed", "Webhooks with failed deliveries", DELIVERIES, "lnsDatatable",
        [COUNT, Column("last tried", "max", "last_attempt_at")], [_top("webhook", "webhook_id", 10)], "status: failed",
    ),
    Panel(
        "keys-by-use", "Keys by their last use", KEYS, "lnsDatatable",
        [Column("last used", "max", "last_used_at")], [_top("name", "name", 20)], "not revoked_at: *",
    ),
    Panel(
        "actions-over-time", "What was done, by the audit log", AUDIT, "lnsXY", [COUNT],
        [_over_time("at"), _top("action", "action", 10)],
    ),
    Panel(
        "organisations", "Organisations by episodes", EPISODES, "lnsDatatable",
        [COUNT, Column("last", "max", "created_at")], [_top("organisation", "org_id", 10)], _KEPT,
    ),
)  # fmt: skip
SEARCHES = (
    Search("failed-embeddings", "Episodes that can't be embedded", EPISODES, "embedding_status: failed",
           ["org_id", "session_id", "embedding_attempts", "embedding_due_at"]),
    Search("waiting-embeddings", "Episodes that wait to be embedded", EPISODES, "embedding_status: pending",
           ["org_id", "session_id", "embedding_attempts", "embedding_due_at"]),
    Search("failed-deliveries", "Deliveries that failed", DELIVERIES, "status: failed",
           ["webhook_id", "event", "attempts", "response_status_code"]),
    Search("refused-actions", "Actions that were refused", AUDIT, "status >= 400", ["org_id", "action", "status"]),
)  # fmt: skip
_COLUMNS = 48


def objects() -> list[dict[str, Any]]:
    """All of them, in an order in which each comes after what it refers to."""
    return [
        *(_data_view(view) for view in DATA_VIEWS),
        *(_search(search) for search in SEARCHES),
        *(_lens(panel) for panel in PANELS),
        _dashboard(),
    ]


def _data_view(view: DataView) -> dict[str, Any]:
    attributes = {
        "title": view.id,
        "name": view.title,
        "timeFieldName": view.time,
        "runtimeFieldMap": json.dumps(view.computed),
        "fieldFormatMap": "{}",
        "fieldAttrs": "{}",
        "sourceFilters": "[]",
        "fields": "[]",
        "allowHidden": False,
    }
    return {"type": "index-pattern", "id": view.id, "attributes": attributes, "references": [], **_migrated("8.0.0")}


def _search(search: Search) -> dict[str, Any]:
    name = "kibanaSavedObjectMeta.searchSourceJSON.index"
    source = {"query": _kql(search.only), "filter": [], "indexRefName": name}
    attributes = {
        "title": search.title,
        "description": "",
        "columns": list(search.columns),
        "sort": [[search.view.time, "desc"]],
        "grid": {},
        "hideChart": False,
        "isTextBasedQuery": False,
        "kibanaSavedObjectMeta": {"searchSourceJSON": json.dumps(source)},
    }
    return {
        "type": "search",
        "id": f"{PREFIX}-{search.id}",
        "attributes": attributes,
        "references": [{"type": "index-pattern", "id": search.view.id, "name": name}],
        **_migrated("8.0.0"),
    }


def _lens(panel: Panel) -> dict[str, Any]:
    buckets = {f"by{number}": column for number, column in enumerate(panel.by)}
    values = {f"value{number}": column for number, column in enumerate(panel.values)}
    columns = {name: _column(each, bucketed=name in buckets) for name, each in (buckets | values).items()}
    layer = {"columnOrder": list(columns), "columns": columns, "incompleteColumns": {}, "sampling": 1}
    state = {
        "datasourceStates": {"formBased": {"layers": {_LAYER: layer}}},
        "visualization": _visualization(panel.shape, list(buckets), list(values)),
        "query": _kql(panel.only),
        "filters": [],
    }
    reference = {"type": "index-pattern", "id": panel.view.id, "name": f"indexpattern-datasource-layer-{_LAYER}"}
    return {
        "type": "lens",
        "id": f"{PREFIX}-{panel.id}",
        "attributes": {"title": panel.title, "description": "", "visualizationType": panel.shape, "state": state},
        "references": [reference],
        **_migrated("8.9.0"),
    }


def _column(column: Column, *, bucketed: bool) -> dict[str, Any]:
    kinds = {"date_histogram": "date", "terms": "string"}
    described: dict[str, Any] = {
        "label": column.label,
        "customLabel": True,
        "dataType": "date" if column.of.endswith("_at") else kinds.get(column.operation, "number"),
        "operationType": column.operation,
        "sourceField": column.of,
        "isBucketed": bucketed,
        "scale": {"date_histogram": "interval", "terms": "ordinal"}.get(column.operation, "ratio"),
        "params": dict(column.params),
    }
    if column.only:
        described["filter"] = _kql(column.only)
    return described


def _visualization(shape: str, buckets: Sequence[str], values: Sequence[str]) -> dict[str, Any]:
    if shape == "lnsMetric":
        return {"layerId": _LAYER, "layerType": "data", "metricAccessor": values[0]}
    if shape == "lnsDatatable":
        shown = [{"columnId": each} for each in (*buckets, *values)]
        return {"layerId": _LAYER, "layerType": "data", "columns": shown}
    layer = {
        "layerId": _LAYER,
        "layerType": "data",
        "seriesType": "bar_stacked" if len(buckets) > 1 else "line",
        "xAccessor": buckets[0],
        "accessors": list(values),
    }
    if len(buckets) > 1:
        layer["splitAccessor"] = buckets[1]
    return {
        "preferredSeriesType": layer["seriesType"],
        "legend": {"isVisible": True, "position": "right"},
        "valueLabels": "hide",
        "layers": [layer],
    }


def _dashboard() -> dict[str, Any]:
    panels, references = [], []
    x = y = row = 0
    for number, panel in enumerate(PANELS):
        if x + panel.width > _COLUMNS:
            x, y, row = 0, y + row, 0
        index = str(number)
        panels.append(
            {
                "type": "lens",
                "panelIndex": index,
                "gridData": {"x": x, "y": y, "w": panel.width, "h": panel.height, "i": index},
                "embeddableConfig": {"enhancements": {}},
                "panelRefName": f"panel_{index}",
            }
        )
        references.append({"type": "lens", "id": f"{PREFIX}-{panel.id}", "name": f"{index}:panel_{index}"})
        x, row = x + panel.width, max(row, panel.height)
    attributes = {
        "title": "Remembr",
        "description": "What is remembered, how far it is embedded, what is delivered, and which keys are in use.",
        "panelsJSON": json.dumps(panels),
        "optionsJSON": json.dumps({"useMargins": True, "syncColors": True, "hidePanelTitles": False}),
        "timeRestore": True,
        "timeFrom": "now-7d",
        "timeTo": "now",
        "refreshInterval": {"pause": False, "value": 30_000},
        "kibanaSavedObjectMeta": {"searchSourceJSON": json.dumps({"query": _kql(""), "filter": []})},
        "version": 1,
    }
    return {
        "type": "dashboard",
        "id": PREFIX,
        "attributes": attributes,
        "references": references,
        **_migrated("8.9.0"),
    }


def _kql(text: str) -> dict[str, str]:
    return {"language": "kuery", "query": text}


def _migrated(version: str) -> dict[str, str]:
    return {"coreMigrationVersion": "8.8.0", "typeMigrationVersion": version}


def text() -> str:
    """As Kibana imports it: an object a line."""
    return "".join(json.dumps(each, sort_keys=True) + "\n" for each in objects())


if __name__ == "__main__":
    sys.stdout.write(text())
