"""Requests that schemathesis makes up from the OpenAPI document, right ones and wrong ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.core import NotSet

from tests.client import Client
from tests.documented import DOCUMENT
from tests.fuzzing import made_up
from tests.reliability import fuzzed

# Without `security`, so that it makes up no credentials: the client has its own.
SCHEMA = schemathesis.openapi.from_dict({key: value for key, value in DOCUMENT.items() if key != "security"})
MODES = [
    (mode, method.upper(), path)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
    for mode in GenerationMode
    # What takes nothing can't be asked wrongly.
    if mode is GenerationMode.POSITIVE or operation.get("parameters") or "requestBody" in operation
]
EXAMPLES = 10
HEAD_MAX = 8_000
"""Longer ones aren't read by the server."""

NDJSON = "application/x-ndjson"


def one_line(value: Any) -> bytes:
    """Any JSON as a file of one line."""
    return json.dumps(None if isinstance(value, NotSet) else value).encode()


schemathesis.serializer(NDJSON)(lambda context, value: one_line(value))


def sent(case: Case[Any]) -> dict[str, Any]:
    """The case as the client sends it."""
    options: dict[str, Any] = {"params": case.query, "headers": dict(case.headers or {})}
    if isinstance(case.body, bytes) or case.media_type == NDJSON:
        options["content"] = case.body if isinstance(case.body, bytes) else one_line(case.body)
        options["headers"].setdefault("Content-Type", case.media_type or "")
    elif not isinstance(case.body, NotSet):
        options["json"] = case.body
    return options


@pytest.mark.parametrize(
    ("mode", "method", "path"), MODES, ids=[f"{mode.value} {method} {path}" for mode, method, path in MODES]
)
async def test_every_answer_is_as_documented_and_none_is_a_crash(
    member: Client, mode: GenerationMode, method: str, path: str
) -> None:
    operation = SCHEMA[path][method]

    @made_up(EXAMPLES)
    @given(st.data())
    def cases(data: Any) -> None:
        made.append(data.draw(operation.as_strategy(generation_mode=mode)))

    made: list[Case[Any]] = []
    cases()
    for case in made:
        if len(str(member.http.build_request(method, case.formatted_path, params=case.query).url)) > HEAD_MAX:
            # Refused before there is a route: see test_hardening.py.
            continue
        # The client holds the answer against the document.
        response = await member.send(method, case.formatted_path, **sent(case))
        assert response.status_code < 500, case.as_curl_command()
    kind = "right" if mode is GenerationMode.POSITIVE else "wrong"
    fuzzed(f"{kind} requests made up from the OpenAPI document", len(made))
