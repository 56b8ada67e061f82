"""What holds answers against the document refuses each that differs."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.documented import check

TOKEN = {"access_token": "a"}
ANSWER = {"success": True, "data": TOKEN, "request_id": "r"}
ERROR = {"code": "NOT_FOUND", "message": "m", "details": {"code": "C", "more": 1}, "request_id": "r"}


def answer(
    path: str = "/auth/refresh", status: int = 200, body: Any = ANSWER, method: str = "POST", **headers: str
) -> httpx.Response:
    request = httpx.Request(method, f"http://test/api/v1{path}")
    shown = {"X-Request-ID": "r"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json=body, headers=shown, request=request)


@pytest.mark.parametrize(
    "right",
    [
        answer(),
        answer(body=ANSWER | {"data": TOKEN | {"token_type": "bearer"}}, RateLimit_Limit="3"),
        answer("/memory/x/status", 404, {"error": ERROR}, "GET"),
        answer("/nothing", 404, {}),
        answer("/memory", 405, {}, "PUT"),
    ],
)
def test_what_is_documented_is_taken(right: httpx.Response) -> None:
    check(right)


@pytest.mark.parametrize(
    "wrong",
    [
        answer(status=201),
        answer(status=403, body={"error": ERROR}),
        answer(body=ANSWER | {"more": 1}),
        answer(body=ANSWER | {"data": TOKEN | {"more": 1}}),
        answer(body=ANSWER | {"data": {}}),
        answer(body=ANSWER | {"data": {"access_token": None}}),
        answer(body=TOKEN),
        answer(X_Secret="1"),
        answer(Content_Type="text/html"),
        answer("/memory/x/status", 404, {"error": ERROR | {"code": "GONE"}}, "GET"),
        answer("/memory/x/status", 404, {"error": ERROR | {"details": []}}, "GET"),
        answer("/nothing", 200),
    ],
)
def test_what_is_not_documented_is_refused(wrong: httpx.Response) -> None:
    with pytest.raises(AssertionError):
        check(wrong)
