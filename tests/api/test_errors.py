"""Every route refuses alike: the status, the error shape and the code of the contract."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from app.http.routing import Route
from app.main import ROUTES
from tests.api.paths import body_of, each, filled, has_body, has_ids, needed, sends_json
from tests.client import Client
from tests.promises import proves

ID = str(uuid.uuid4())
JSON = {"Content-Type": "application/json"}
LIMIT = 1_048_576


@each(lambda route: not route.public)
async def test_no_credentials_is_401(anonymous: Client, route: Route) -> None:
    error = await anonymous.error(route.method, filled(route, ID), 401)
    assert error["code"] == "AUTHENTICATION_ERROR"


@each(lambda route: not route.public)
async def test_wrong_credentials_are_401(anonymous: Client, route: Route) -> None:
    anonymous.use("rk_" + "0" * 75)
    await anonymous.error(route.method, filled(route, ID), 401, "TOKEN_INVALID")


@each(has_ids)
@proves("auth.bad-id")
async def test_an_id_in_the_path_that_is_no_uuid_is_404(member: Client, route: Route) -> None:
    for path_id in ["nothing", "1", "%00", "%F0%9F%98%80", "..%2F..", "*", "_all", "-" * 36]:
        error = await member.error(route.method, filled(route, path_id), 404, json=body_of(route))
        assert error["code"] == "NOT_FOUND"


@each(has_ids)
async def test_an_id_that_names_nothing_is_404(member: Client, route: Route) -> None:
    error = await member.error(route.method, filled(route, ID), 404, json=body_of(route))
    assert error["details"]["code"].endswith("_NOT_FOUND")


@each()
@proves("envelope.malformed")
async def test_a_wrong_method_is_405_and_says_which_are_right(member: Client, route: Route) -> None:
    response = await member.send("PUT", filled(route, ID))
    assert response.status_code == 405
    assert response.json()["error"]["code"] == "METHOD_NOT_ALLOWED"
    allowed = set(response.headers["Allow"].split(", "))
    assert allowed >= {other.method for other in ROUTES if other.path == route.path}


MALFORMED = [
    b"{",
    b"not json",
    b'{"a": NaN}',
    b'{"a": 1,}',
    b"\xff\xfe",
    b'{"a": "\xc3\x28"}',
    b"{} {}",
    b"[" * 100_000,
]


@each(has_body)
@proves("envelope.malformed")
async def test_a_body_that_is_no_json_is_400(member: Client, route: Route) -> None:
    for content in MALFORMED:
        error = await member.error(
            route.method, filled(route, ID), 400, "MALFORMED_JSON", content=content, headers=JSON
        )
        assert error["code"] == "BAD_REQUEST"


@each(has_body)
async def test_a_body_that_is_no_object_is_422(member: Client, route: Route) -> None:
    for content in (b"[]", b'"text"', b"7", b"true", b"null", b"[{}]"):
        error = await member.error(route.method, filled(route, ID), 422, content=content, headers=JSON)
        assert error["code"] == "VALIDATION_ERROR"
        assert [problem["loc"] for problem in error["details"]["errors"]] == [["body"]]


@each(has_body)
async def test_another_content_type_is_415(member: Client, route: Route) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        headers = {"Content-Type": content_type}
        error = await member.error(route.method, filled(route, ID), 415, content=b"{}", headers=headers)
        assert error["code"] == "UNSUPPORTED_MEDIA_TYPE"


@each(sends_json)
@proves("memory.limits")
async def test_a_body_over_one_mebibyte_is_413(member: Client, route: Route) -> None:
    content = b'{"a": "' + b"x" * LIMIT + b'"}'
    error = await member.error(
        route.method, filled(route, ID), 413, content=content, headers=JSON, params=needed(route)
    )
    assert error["code"] == "PAYLOAD_TOO_LARGE"


async def test_a_body_of_just_one_mebibyte_is_read(member: Client) -> None:
    start, end = b'{"ignored": "', b'"}'
    content = start + b"x" * (LIMIT - len(start) - len(end)) + end
    await member.data("POST", "/sessions", status=201, content=content, headers=JSON)


async def test_a_body_without_a_length_is_bounded_too(member: Client) -> None:
    async def chunks() -> Any:
        for _ in range(17):
            yield b" " * 65_536

    await member.error("POST", "/sessions", 413, content=chunks(), headers=JSON)


@each(lambda route: sends_json(route) and not has_body(route))
@proves("envelope.empty-body")
async def test_clients_may_send_the_json_header_without_a_body(member: Client, route: Route) -> None:
    response = await member.send(route.method, filled(route, ID), headers=JSON, params=needed(route))
    assert response.status_code == (404 if has_ids(route) else route.status)


@each(lambda route: route.keyed)
async def test_a_key_that_can_not_be_one_is_422_wherever_one_is_taken(member: Client, route: Route) -> None:
    body = (route.body.model_json_schema().get("examples") or [{}])[0]
    path = filled(route, await member.session())
    for name in ("Idempotency-Key", "X-Idempotency-Key"):
        await member.error(route.method, path, 422, json=body, headers={name: "x" * 256})


@pytest.mark.parametrize("path", ["/", "/nothing", "/memory/", "/sessions/x/nothing", "/auth", "/%00", "//sessions"])
@proves("envelope.errors", "envelope.malformed")
async def test_an_unknown_path_is_404_in_the_same_shape(anonymous: Client, path: str) -> None:
    error = await anonymous.error("GET", path, 404)
    assert error["code"] == "NOT_FOUND"


@each(lambda route: route.method == "GET" and "limit" in route.query.model_fields)
async def test_a_bad_page_is_422_and_names_the_parameter(member: Client, route: Route) -> None:
    # Above its largest a delivery list's limit counts as the largest.
    largest = () if route.path.endswith("/deliveries") else ("1001",)
    bad = {"limit": ("0", "-1", *largest, "ten", "1.5"), "offset": ("-1", "9" * 30, "x")}
    pages = [(name, value) for name in bad if name in route.query.model_fields for value in bad[name]]
    for name, value in pages:
        error = await member.error(route.method, filled(route, ID), 422, params=needed(route) | {name: value})
        assert [problem["loc"] for problem in error["details"]["errors"]] == [["query", name]]


@each(lambda route: "from_time" in route.query.model_fields)
async def test_a_bad_time_in_a_query_is_422(member: Client, route: Route) -> None:
    for value in ("yesterday", "2026-13-01", "1", "2026-02-30T00:00:00Z", "2026-01-01T25:00:00Z"):
        error = await member.error(route.method, filled(route, ID), 422, params={"from_time": value})
        assert error["details"]["errors"][0]["loc"] == ["query", "from_time"]


@each(lambda route: "from_time" in {**route.query.model_fields, **route.body.model_fields})
@proves("search.times")
async def test_times_out_of_order_are_422_wherever_there_is_a_period(member: Client, route: Route) -> None:
    period = {"from_time": "2026-01-02", "to_time": "2026-01-01T23:59:59Z"}
    where = "json" if "from_time" in route.body.model_fields else "params"
    path = filled(route, await member.session())
    await member.error(route.method, path, 422, "INVALID_TIME_RANGE", **{where: period})


@pytest.mark.parametrize("given", ["abc-123", "x" * 128, "with spaces (and) signs!"])
@proves("envelope.request-id")
async def test_a_request_id_is_taken(anonymous: Client, given: str) -> None:
    for path, status in (("/me", 401), ("/nothing", 404), ("/health", 200)):
        response = await anonymous.send("GET", path, headers={"X-Request-ID": given})
        assert response.status_code == status
        assert response.headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", [None, "", "x" * 129, b"caf\xc3\xa9", b"a\tb"])
@proves("envelope.request-id")
async def test_a_request_id_that_is_not_sane_is_made(member: Client, given: str | bytes | None) -> None:
    headers: dict[str, Any] = {} if given is None else {"X-Request-ID": given}
    ids = set()
    for _ in range(2):
        data = await member.data("POST", "/sessions", status=201, json={}, headers=headers)
        ids.add(data["request_id"])
    assert len(ids) == 2
    assert all(made and made != given for made in ids)


@proves("envelope.success")
async def test_the_request_id_is_in_header_envelope_and_data(member: Client) -> None:
    response = await member.send("POST", "/sessions", json={}, headers={"X-Request-ID": "mine"})
    assert response.headers["X-Request-ID"] == response.json()["request_id"] == "mine"
    assert response.json()["data"]["request_id"] == "mine"
