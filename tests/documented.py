"""Holds every answer against the OpenAPI document: the route, its status, type, headers and body.

Objects are closed for this: a field that an answer has and the document doesn't is a failure too.
"""

from __future__ import annotations

import functools
import re
from typing import Any

import httpx
import jsonschema_rs

from app.http.health import PROBES
from app.http.openapi import document
from app.main import BASE_PATH, DOCS, ROUTES

DOCUMENT = document(ROUTES, (*PROBES, *DOCS), BASE_PATH)
_OWN_HEADERS = re.compile(r"x-(?!content-type-options|frame-options)|ratelimit|retry-after|www-authenticate")


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile("/".join("[^/]+" if part.startswith("{") else re.escape(part) for part in template.split("/")))


_TEMPLATES = [(_pattern(template), template) for template in DOCUMENT["paths"]]


def template_of(method: str, url: httpx.URL) -> tuple[str | None, bool]:
    """The documented path that `url` is one of, if any, and whether it takes the method."""
    path = url.raw_path.decode().partition("?")[0].removeprefix(BASE_PATH)
    found = [template for pattern, template in _TEMPLATES if pattern.fullmatch(path)]
    for template in found:
        if method.lower() in DOCUMENT["paths"][template]:
            return template, True
    return (found[0] if found else None), False


def check(response: httpx.Response) -> None:
    """Raises AssertionError unless the document says that this can be answered to that request."""
    method, url = response.request.method, response.request.url
    if method == "HEAD" or "Access-Control-Request-Method" in response.request.headers:
        # Browsers' questions, which are no routes of the API.
        return
    template, takes_method = template_of(method, url)
    if template is None or not takes_method:
        assert response.status_code == (404 if template is None else 405), f"{method} {url} isn't documented"
        return
    where = f"{method} {template} {response.status_code}"
    described = _described(method, template, response.status_code)
    assert described is not None, f"{where} isn't documented"
    named = {name.lower() for name in described.get("headers", {})}
    assert "x-request-id" in response.headers
    assert {name for name in response.headers if _OWN_HEADERS.match(name)} <= named, where
    media = response.headers.get("Content-Type", "").partition(";")[0]
    assert media in described.get("content", {"": {}}), f"{where}: {media}"
    if "schema" in described.get("content", {}).get(media, {}):
        problems = list(_validator(method, template, response.status_code).iter_errors(response.json()))
        assert not problems, f"{where}: {problems[0]}"


def _described(method: str, template: str, status: int) -> Any:
    response = DOCUMENT["paths"][template][method.lower()]["responses"].get(str(status))
    if response is not None and "$ref" in response:
        return DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]]
    return response


@functools.cache
def _validator(method: str, template: str, status: int) -> Any:
    schema = _described(method, template, status)["content"]["application/json"]["schema"]
    components = {"schemas": DOCUMENT["components"]["schemas"]}
    return jsonschema_rs.Draft202012Validator(_closed(schema | {"components": components}), validate_formats=True)


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        closed.setdefault("additionalProperties", False)
    return closed
