"""Every declared route, and paths that fill its placeholders."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping

import pytest

from app.http.routing import JSON, Nothing, Route
from app.main import ROUTES

_PLACEHOLDER = re.compile(r"{(\w+)}")


def each(wanted: Callable[[Route], bool] = lambda route: True) -> pytest.MarkDecorator:
    """Runs a test with every route that is `wanted`."""
    chosen = [route for route in ROUTES if wanted(route)]
    return pytest.mark.parametrize("route", chosen, ids=[f"{route.method} {route.path}" for route in chosen])


def has_ids(route: Route) -> bool:
    return bool(_PLACEHOLDER.search(route.path))


def has_body(route: Route) -> bool:
    return route.body is not Nothing


def sends_json(route: Route) -> bool:
    """Whether its body, if any, is JSON rather than a file."""
    return route.sends == JSON


def needed(route: Route) -> dict[str, str]:
    """The query parameters without which the route answers 422."""
    return {name: "2026-01-01" for name, field in route.query.model_fields.items() if field.is_required()}


def body_of(route: Route, checkpoint_id: str | None = None) -> dict[str, str] | None:
    """A body for a route that can't do without one to look at its path."""
    needs = "checkpoint_id" in route.body.model_fields
    return {"checkpoint_id": checkpoint_id or str(uuid.uuid4())} if needs else None


def filled(route: Route, ids: Mapping[str, str] | str) -> str:
    """The path with its ids: one for all, or by name. Raises KeyError where one has no name here."""
    return _PLACEHOLDER.sub(lambda match: ids if isinstance(ids, str) else ids[match[1]], route.path)
