"""The OpenAPI 3.1 document, told from the declared routes, their models and the error classes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from app import __version__
from app.errors import (
    AuthenticationError,
    AuthorizationError,
    BadRequest,
    ConflictError,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    RemembrError,
    RequestTimeout,
    Unavailable,
    UnsupportedMediaType,
    ValidationFailed,
)
from app.http.routing import JSON, BareRoute, Nothing, Route

Json = dict[str, Any]

_COMPONENT = "#/components/schemas/{model}"
_PLACEHOLDER = re.compile(r"{(\w+)}")
_TAG_OF = {"me": "auth", "openapi.json": "docs"}
_DESCRIPTION = """Memory for AI agents: store, search and recall episodes.

Times are ISO 8601 in UTC; input takes any offset, and a time without one is UTC. `null` for an optional
field is the same as its absence, and unknown fields are ignored. 429 and 5xx are safe to send again.
The `/health` probes answer at the root of the server too."""
_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}


def document(routes: Sequence[Route], bare_routes: Sequence[BareRoute], base_path: str) -> Json:
    """The whole document. base_path: what the paths are relative to."""
    schemas, components = _schemas(routes, bare_routes)
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    for bare_route in bare_routes:
        paths.setdefault(bare_route.path, {})["get"] = _bare_operation(bare_route, schemas)
    met = {error for route in routes for error in errors_of(route)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Remembr",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": base_path}],
        "security": [{"bearer": []}, {"apiKey": []}],
        "tags": [{"name": tag} for tag in sorted({_tag(path) for path in paths})],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {error.__name__: _failure(error) for error in sorted(met, key=lambda error: error.status)},
            "headers": _HEADERS,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An access token, or an API key."},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def errors_of(route: Route) -> set[type[RemembrError]]:
    """Every error that the route can answer with."""
    found: set[type[RemembrError]] = {PayloadTooLarge, RateLimited, RemembrError, Unavailable, *route.errors}
    if not route.public:
        found.add(AuthenticationError)
    if route.needs:
        found.add(AuthorizationError)
    if _PLACEHOLDER.search(route.path):
        found.add(NotFound)
    if route.body is not Nothing or route.sends != JSON:
        found |= {BadRequest, RequestTimeout, UnsupportedMediaType, ValidationFailed}
    if route.query is not Nothing or route.keyed:
        found.add(ValidationFailed)
    if route.keyed:
        found.add(ConflictError)
    return found


_Key = tuple[Any, JsonSchemaMode]


def _schemas(routes: Sequence[Route], bare_routes: Sequence[BareRoute]) -> tuple[dict[_Key, Json], dict[str, Any]]:
    wanted: set[_Key] = {(route.body, "validation") for route in routes if route.body is not Nothing}
    wanted |= {(route.answer, "serialization") for route in routes if not route.gives}
    wanted |= {
        (answer, "serialization")
        for route in bare_routes
        for answer in route.answers.values()
        if not isinstance(answer, str)
    }
    ordered = sorted(wanted, key=str)
    inputs = [(key, key[1], TypeAdapter(key[0])) for key in ordered]
    made, definitions = TypeAdapter.json_schemas(inputs, ref_template=_COMPONENT)
    return {key: made[key, key[1]] for key in ordered}, definitions.get("$defs", {})


def _operation(route: Route, schemas: dict[_Key, Json]) -> Json:
    parameters = [_path_parameter(name) for name in _PLACEHOLDER.findall(route.path)]
    parameters += _query_parameters(route.query)
    if route.keyed:
        parameters.append(_IDEMPOTENCY_KEY)
    operation = _described(route.handler) | {
        "operationId": f"{route.path.split('/')[1].replace('-', '_')}_{route.handler.__name__}",
        "tags": [_tag(route.path)],
        "parameters": parameters,
        "responses": _responses(route, schemas),
    }
    if route.body is not Nothing:
        operation["requestBody"] = {
            "required": any(info.is_required() for info in route.body.model_fields.values()),
            "content": {JSON: {"schema": schemas[route.body, "validation"]}},
        }
    elif route.sends != JSON:
        operation["requestBody"] = {"required": True, "content": {route.sends: {}}}
    if route.public:
        operation["security"] = []
    if route.needs:
        operation["x-required-scope"] = route.needs
        needs = f"An API key needs `{route.needs}` among its scopes."
        operation["description"] = "\n\n".join(part for part in (operation.get("description"), needs) if part)
    return operation


def _responses(route: Route, schemas: dict[_Key, Json]) -> Json:
    names = ["X-Request-ID", *_RATE_LIMIT]
    if route.keyed:
        names += ["X-Idempotent-Replay", "X-Idempotency-Key-Reused"]
    if route.gives:
        names.append("Content-Disposition")
        content: Json = {media: {} for media in route.gives}
    else:
        content = {JSON: {"schema": _envelope(schemas[route.answer, "serialization"])}}
    responses: Json = {
        str(route.status): {"description": _first_line(route.handler), "headers": _refs(names), "content": content}
    }
    for error in sorted(errors_of(route), key=lambda error: error.status):
        responses[str(error.status)] = {"$ref": f"#/components/responses/{error.__name__}"}
    return responses


def _bare_operation(route: BareRoute, schemas: dict[_Key, Json]) -> Json:
    responses = {}
    for status, answer in route.answers.items():
        response: Json = {"headers": _refs(["X-Request-ID"])}
        if isinstance(answer, str):
            response |= {"description": HTTPStatus(status).phrase} | ({"content": {answer: {}}} if answer else {})
        else:
            schema = schemas[answer, "serialization"]
            response |= {"description": _first_line(answer), "content": {JSON: {"schema": schema}}}
        responses[str(status)] = response
    return _described(route.handler) | {
        "operationId": "_".join(part for part in re.split(r"\W", route.path) if part),
        "tags": [_tag(route.path)],
        "security": [],
        "responses": responses,
    }


def _envelope(data: Json) -> Json:
    return {
        "type": "object",
        "properties": {"success": {"const": True}, "data": data, "request_id": _TEXT},
        "required": ["success", "data", "request_id"],
    }


def _failure(error: type[RemembrError]) -> Json:
    names = ["X-Request-ID", *_RATE_LIMIT, *_SHOWN_WITH.get(error, [])]
    properties = {
        "code": {"const": error.error},
        "message": _TEXT,
        "details": _PROBLEMS if error is ValidationFailed else _DETAILS,
        "request_id": _TEXT,
    }
    inner = {"type": "object", "properties": properties, "required": list(properties)}
    schema = {"type": "object", "properties": {"error": inner}, "required": ["error"]}
    what = "Something went wrong on the server's side." if error is RemembrError else _first_line(error)
    return {"description": what, "headers": _refs(names), "content": {JSON: {"schema": schema}}}


def _path_parameter(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}


def _query_parameters(model: type[BaseModel]) -> Iterable[Json]:
    whole = model.model_json_schema()
    required = whole.get("required", [])
    for name, given in whole.get("properties", {}).items():
        schema = {key: value for key, value in given.items() if key not in ("title", "description", "examples")}
        # In a query string there is no null: it is absence.
        if schema.get("default", "") is None:
            del schema["default"]
        kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
        if len(kinds) == 1:
            del schema["anyOf"]
            schema |= kinds[0]
        parameter: Json = {"name": name, "in": "query", "required": name in required, "schema": schema}
        if "description" in given:
            parameter["description"] = given["description"]
        if "examples" in given:
            parameter["example"] = given["examples"][0]
        yield parameter


def _described(handler: Any) -> Json:
    summary, _, rest = (inspect.getdoc(handler) or "").partition("\n\n")
    described = {"summary": " ".join(summary.split())}
    return described | ({"description": rest.strip()} if rest.strip() else {})


def _first_line(thing: Any) -> str:
    return " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())


def _tag(path: str) -> str:
    first = path.split("/")[1]
    return _TAG_OF.get(first, first)


def _refs(names: Iterable[str]) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


_DETAILS: Json = {
    "type": ["object", "null"],
    "properties": {"code": {"type": "string", "description": "Narrows the error's code."}},
    "additionalProperties": True,
}
_PROBLEM: Json = {
    "type": "object",
    "properties": {
        "type": _TEXT,
        "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
        "msg": _TEXT,
    },
    "required": ["type", "loc", "msg"],
}
_PROBLEMS = _DETAILS | {"properties": _DETAILS["properties"] | {"errors": {"type": "array", "items": _PROBLEM}}}
_SHOWN_WITH: dict[type[RemembrError], list[str]] = {
    AuthenticationError: ["WWW-Authenticate"],
    RateLimited: ["Retry-After"],
    Unavailable: ["Retry-After"],
}
_RATE_LIMIT = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
_HEADERS: Json = {
    "X-Request-ID": {"description": "The request's id, as in the body and the log.", "schema": _TEXT},
    "RateLimit-Limit": {"description": "Requests a minute.", "schema": _COUNT},
    "RateLimit-Remaining": {"description": "Requests left now.", "schema": _COUNT},
    "RateLimit-Reset": {"description": "Seconds until all are there again.", "schema": _COUNT},
    "Retry-After": {"description": "Seconds after which to send it again.", "schema": _COUNT},
    "WWW-Authenticate": {"description": "What credentials to send.", "schema": _TEXT},
    "X-Idempotent-Replay": {"description": "An earlier request made it.", "schema": {"const": "true"}},
    "X-Idempotency-Key-Reused": {
        "description": "The key came with another body before; this is a new write.",
        "schema": {"const": "true"},
    },
    "Content-Disposition": {"description": "The file's name.", "schema": _TEXT},
}
_IDEMPOTENCY_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key and body within 24 hours is one write, however often it is sent.",
    "schema": {"type": "string", "maxLength": 255},
}
