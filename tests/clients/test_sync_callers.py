"""Synchronous callers: an event loop per call over one HTTP client, as the published adapters do it."""

from __future__ import annotations

import asyncio

import pytest
from remembr import RemembrClient

from app.settings import Settings
from tests.client import Client, connect
from tests.conftest import serving
from tests.promises import proves

SDK_HEADERS = {
    "User-Agent": "python-httpx/0.28.1",
    "Accept": "application/json",
    "Content-Type": "application/json",
}


@proves("envelope.sync-callers")
async def test_one_client_outlives_the_event_loop_of_its_first_call(base_url: str, api_key: str) -> None:
    def calls() -> tuple[str, list[str], list[str]]:
        client = RemembrClient(api_key=api_key, base_url=base_url)
        session = asyncio.run(client.create_session())
        for n in range(3):
            asyncio.run(client.store(f"turn {n}", session_id=session.session_id))
        past = asyncio.run(client.get_session_history(session.session_id))
        found = asyncio.run(client.search("turn", session_id=session.session_id))
        me = client.request("GET", "/me")
        return (
            me["auth_method"],
            [episode.content for episode in past],
            sorted(result.content for result in found.results),
        )

    said = ["turn 0", "turn 1", "turn 2"]
    assert await asyncio.to_thread(calls) == ("api_key", said, said)


async def test_a_refusal_ends_the_connection_too(base_url: str) -> None:
    def calls() -> list[int | None]:
        client = RemembrClient(api_key="rk_wrong", base_url=base_url)
        statuses = []
        for _ in range(2):
            with pytest.raises(Exception, match="API key") as refused:
                asyncio.run(client.list_sessions())
            statuses.append(getattr(refused.value, "status_code", None))
        return statuses

    assert await asyncio.to_thread(calls) == [401, 401]


@pytest.mark.parametrize("path", ["/health", "/me", "/sessions", "/nothing"])
@proves("envelope.sync-callers")
async def test_such_callers_are_told_that_the_connection_closes(organisation: Client, path: str) -> None:
    response = await organisation.send("GET", path, headers=SDK_HEADERS)
    assert response.headers["Connection"] == "close"


@pytest.mark.parametrize("header", list(SDK_HEADERS))
async def test_every_other_caller_keeps_its_connection(organisation: Client, header: str) -> None:
    headers = SDK_HEADERS | {header: "*/*" if header == "Accept" else "text/plain"}
    response = await organisation.send("GET", "/sessions", headers=headers)
    assert response.headers.get("Connection") != "close"


@proves("envelope.sync-callers")
async def test_a_setting_switches_it_off(settings: Settings) -> None:
    async with serving(settings.model_copy(update={"close_sync_clients": False})) as url, connect(url) as client:
        response = await client.send("GET", "/health", headers=SDK_HEADERS)
    assert response.headers.get("Connection") != "close"
