"""Write docs/reference/api.md out of the OpenAPI document, which is told from the routes.

python scripts/document_api.py > docs/reference/api.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from app.http.health import PROBES
from app.http.openapi import document as openapi
from app.main import BASE_PATH, DOCS, ROUTES

Schema = dict[str, Any]

_HEAD = f"""# REST API

All paths are under `{BASE_PATH}`. Send a key or a token as `Authorization: Bearer ...`. A success is
`{{"success": true, "data": ..., "request_id": "..."}}`; an error has `error` with `code`, `message` and `details`.
Times are ISO 8601 in UTC. The same as OpenAPI 3.1: `GET /openapi.json`, and to read and try: `/docs`.

Made from the routes by `python scripts/document_api.py`.
"""
_SHOWN_STATUSES = {"401", "408", "413", "415", "429", "500", "503"}
"""What any of them may answer isn't said at each."""
_TITLES = {"auth": "Accounts", "me": "Accounts", "api-keys": "Keys"}


def document() -> str:
    """The page as Markdown."""
    told = openapi(ROUTES, (*PROBES, *DOCS), BASE_PATH)
    schemas = told["components"]["schemas"]
    groups: dict[str, list[str]] = {}
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            if method in ("get", "post", "patch", "delete"):
                name = (operation.get("tags") or ["others"])[0]
                title = _TITLES.get(name, name.capitalize())
                groups.setdefault(title, []).append("\n".join(_section(method, path, operation, schemas)))
    return _HEAD + "".join(f"\n## {title}\n\n" + "\n".join(sections) for title, sections in groups.items())


def _section(method: str, path: str, operation: Schema, schemas: Schema) -> Iterator[str]:
    yield f"### `{method.upper()} {path}`\n"
    yield operation["summary"] + (f" {operation['description']}" if operation.get("description") else "") + "\n"
    query = [each for each in operation.get("parameters", []) if each.get("in") == "query"]
    body = operation.get("requestBody", {}).get("content", {})
    fields = [(each["name"], each["schema"], each.get("description", "")) for each in query]
    if "application/json" in body:
        fields += _fields(body["application/json"]["schema"], schemas)
    if fields:
        yield "| field | | |\n| --- | --- | --- |"
        yield "".join(f"| `{name}` | {_kind(schema)} | {said} |\n" for name, schema, said in fields)
    others = [kind for kind in body if kind != "application/json"]
    if others:
        yield f"Body: {', '.join(f'`{kind}`' for kind in others)}.\n"
    success = next(status for status in operation["responses"] if status.startswith("2"))
    refused = [status for status in operation["responses"] if status >= "4" and status not in _SHOWN_STATUSES]
    yield f"Answers {success}{_answer(operation['responses'][success], schemas)}" + (
        f" Refuses with {', '.join(refused)}.\n" if refused else "\n"
    )


def _fields(schema: Schema, schemas: Schema) -> list[tuple[str, Schema, str]]:
    whole = _resolved(schema, schemas)
    needed = whole.get("required", [])
    return [
        (name, field, " ".join(filter(None, ["Required." if name in needed else "", field.get("description", "")])))
        for name, field in whole.get("properties", {}).items()
    ]


def _resolved(schema: Schema, schemas: Schema) -> Schema:
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rsplit("/", 1)[1]]
    return schema


def _answer(response: Schema, schemas: Schema) -> str:
    content = response.get("content", {})
    kinds = [kind for kind in content if kind != "application/json"]
    if kinds:
        return f" with {', '.join(f'`{kind}`' for kind in content)}."
    schema = content.get("application/json", {}).get("schema", {})
    data = schema.get("properties", {}).get("data", schema)
    if data.get("type") == "array":
        return " with a list, each of" + _names(data["items"], schemas)
    return " with" + _names(data, schemas) if data else "."


def _names(schema: Schema, schemas: Schema) -> str:
    names = ", ".join(f"`{name}`" for name in _resolved(schema, schemas).get("properties", {}))
    return f" {names}." if names else " an object."


def _kind(schema: Schema) -> str:
    if "$ref" in schema:
        return "object"
    if "anyOf" in schema:
        return _kind(next(each for each in schema["anyOf"] if each.get("type") != "null"))
    kind = str(schema.get("format") or schema.get("type") or "anything")
    if "enum" in schema:
        kind = " / ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        kind = f"list of {_kind(schema.get('items', {}))}"
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        kind += f", {low:g} to {high:,}"
    default = schema.get("default")
    return kind if default in (None, "") else f"{kind}; {str(default).lower() if default is False else default}"


if __name__ == "__main__":
    sys.stdout.write(document())
