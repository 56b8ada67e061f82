"""The alerting rules: each series that they look at exists, and each is explained."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

from app import metrics

DOCS = Path(__file__).parents[2] / "docs"
RULES: list[dict[str, Any]] = yaml.safe_load((DOCS / "alerts.yml").read_text())["groups"][0]["rules"]
_SERIES = re.compile(r"remembr_\w+")
_SUFFIX = re.compile(r"_(total|count|bucket|sum)$")


def test_the_metrics_have_our_prefix_and_are_described() -> None:
    ours = {family.name: family.documentation for family in REGISTRY.collect() if family.name.startswith("remembr_")}
    measured = [value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]
    assert len(ours) == len(measured) > 10
    assert all(ours.values())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_looks_at_metrics_that_exist_and_is_explained(rule: dict[str, Any]) -> None:
    families = {family.name for family in REGISTRY.collect()}
    named = {_SUFFIX.sub("", name) for name in _SERIES.findall(rule["expr"])}
    assert named
    assert named <= families
    assert rule["annotations"]["summary"]
    assert f"`{rule['alert']}`" in (DOCS / "operations.md").read_text()
