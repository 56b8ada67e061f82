"""The OpenAPI document says all that the routes say."""

from __future__ import annotations

import json
from typing import Any

from openapi_spec_validator import OpenAPIV31SpecValidator

from app.errors import RemembrError
from app.http.openapi import errors_of
from app.main import BASE_PATH, ROUTES, create_app
from app.settings import Settings
from tests.documented import DOCUMENT
from tests.promises import proves

OPERATIONS: list[tuple[str, str, dict[str, Any]]] = [
    (method.upper(), path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


def test_the_document_is_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []


async def test_every_route_of_the_router_is_documented_and_no_other() -> None:
    # The console is pages for people, and no part of the API.
    router = create_app(Settings(console=False)).router
    served = {
        (route.method, route.resource.canonical.removeprefix(BASE_PATH))
        for route in router.routes()
        if route.resource is not None and route.method != "HEAD"
    } - {("GET", "/metrics")}
    assert served == {(method, path) for method, path, _ in OPERATIONS}


def test_every_operation_is_named_once_and_described() -> None:
    names = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(set(names)) == len(names)
    for method, path, operation in OPERATIONS:
        assert operation["summary"].endswith("."), (method, path)
        assert operation["tags"]


def test_every_schema_is_used() -> None:
    text = json.dumps(DOCUMENT)
    for name in DOCUMENT["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text, name


@proves("envelope.errors")
def test_each_error_has_a_status_of_its_own() -> None:
    for route in ROUTES:
        statuses = [error.status for error in errors_of(route)]
        assert len(set(statuses)) == len(statuses), route.path


def test_every_error_is_an_answer_of_some_route() -> None:
    met = set().union(*(errors_of(route) for route in ROUTES))
    # A wrong method is no operation's answer.
    assert {error.__name__ for error in set(RemembrError.__subclasses__()) - met} == {"MethodNotAllowed"}
