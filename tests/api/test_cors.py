"""Calls from pages in browsers: scenario 19."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.settings import Settings
from tests.client import Client, connect
from tests.conftest import serving
from tests.promises import proves

PAGE = "https://app.example.com"
ASKS = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type,idempotency-key,x-api-key",
}


@pytest.fixture
async def page(settings: Settings, organisation: Client) -> AsyncIterator[Client]:
    """A caller of a server that lets two origins in."""
    changes = {"cors_origins": f"{PAGE}, https://other.example.com/"}
    async with serving(settings.model_copy(update=changes)) as url, connect(url) as client:
        client.http.headers["Authorization"] = organisation.http.headers["Authorization"]
        yield client


def _names(header: str) -> set[str]:
    return {name.strip().lower() for name in header.split(",")}


@pytest.mark.parametrize("path", ["/memory", "/sessions/x/history", "/nothing"])
@proves("cors.preflight")
async def test_scenario_19_a_preflight_passes_without_credentials(page: Client, path: str) -> None:
    del page.http.headers["Authorization"]
    answer = await page.send("OPTIONS", path, headers=ASKS)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert _names(answer.headers["Access-Control-Allow-Methods"]) >= {"get", "post", "patch", "delete"}
    assert _names(answer.headers["Access-Control-Allow-Headers"]) == {
        "x-api-key", "authorization", "content-type", "idempotency-key",
    }  # fmt: skip
    assert answer.headers["Vary"] == "Origin"


@proves("cors.answers")
async def test_scenario_19_answers_and_errors_can_be_read(page: Client) -> None:
    for path, status in (("/sessions", 200), ("/nothing", 404)):
        answer = await page.send("GET", path, headers={"Origin": "https://other.example.com"})
        assert answer.status_code == status
        assert answer.headers["Access-Control-Allow-Origin"] == "https://other.example.com"
        assert _names(answer.headers["Access-Control-Expose-Headers"]) >= {
            "x-request-id", "retry-after", "x-idempotent-replay", "ratelimit-limit", "ratelimit-remaining",
            "ratelimit-reset",
        }  # fmt: skip


@proves("cors.answers")
async def test_another_origin_gets_no_leave(page: Client) -> None:
    stranger = {"Origin": "https://evil.example.com"}
    assert (await page.send("OPTIONS", "/memory", headers=ASKS | stranger)).status_code == 405
    answer = await page.send("GET", "/sessions", headers=stranger)
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["Vary"] == "Origin"


@proves("cors.off")
async def test_it_is_off_by_default(organisation: Client) -> None:
    assert (await organisation.send("OPTIONS", "/memory", headers=ASKS)).status_code == 405
    answer = await organisation.send("GET", "/sessions", headers={"Origin": PAGE})
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


async def test_all_origins_may_be_let_in(settings: Settings) -> None:
    async with serving(settings.model_copy(update={"cors_origins": "*"})) as url, connect(url) as client:
        answer = await client.send("OPTIONS", "/memory", headers=ASKS)
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (204, "*")
