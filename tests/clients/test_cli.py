"""The command line of the published client, as a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.client import Client
from tests.processes import Ended

TIMEOUT_S = 60


Cli = Callable[..., Awaitable[Ended]]


@pytest.fixture
def cli(base_url: str, api_key: str, tmp_path: Path) -> Cli:
    """Runs `remembr` with arguments; its home is empty and its terminal wide."""
    environment = os.environ | {
        "HOME": str(tmp_path),
        "REMEMBR_API_KEY": api_key,
        "REMEMBR_BASE_URL": base_url,
        "COLUMNS": "300",
        "NO_COLOR": "1",
    }

    async def run(*arguments: str, **extra: str) -> Ended:
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("remembr"),
            *arguments,
            env=environment | extra,
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
        return Ended(process.returncode or 0, out.decode(), err.decode())

    return run


async def test_scenario_2_health_is_green(cli: Cli) -> None:
    ended = await cli("health")
    assert (ended.code, "status: ok" in ended.out) == (0, True), ended


async def test_scenario_2_what_is_stored_is_found(cli: Cli, organisation: Client) -> None:
    session_id = await organisation.session()
    text = "Customer wants Friday billing summaries."
    stored = await cli("store", text, "--session", session_id, "--tags", "kind:preference,topic:billing", "--json")
    assert stored.code == 0, stored
    assert stored.json["session_id"] == session_id
    assert stored.json["tags"] == ["kind:preference", "topic:billing"]
    found = await cli("search", "When to send billing?", "--session", session_id, "--limit", "5", "--json")
    assert [result["episode_id"] for result in found.json] == [stored.json["episode_id"]]
    table = await cli("search", "billing", "--session", session_id, "--limit", "5")
    assert (table.code, "1 total" in table.out, text in table.out) == (0, True, True), table


async def test_scenario_2_sessions_are_listed_and_shown(cli: Cli, organisation: Client) -> None:
    session_id = await organisation.session(thread="support-42")
    await organisation.store("A question", session_id=session_id)
    listed = await cli("sessions", "list", "--json")
    assert [(session["session_id"], session["org_id"]) for session in listed.json] == [
        (session_id, organisation.org_id)
    ]
    shown = await cli("sessions", "get", session_id)
    assert shown.code == 0, shown
    assert all(part in shown.out for part in (session_id, "support-42", "user: A question", "Token usage"))
    assert (await cli("sessions", "get", session_id, "--json")).json["messages"][0]["content"] == "A question"


async def test_failures_end_with_a_sentence(cli: Cli) -> None:
    missing = await cli("sessions", "get", str(uuid.uuid4()))
    assert (missing.code, "not found" in missing.err) == (1, True), missing
    refused = await cli("store", "x", REMEMBR_API_KEY="rk_wrong")
    assert (refused.code, "HTTP 401: [AUTHENTICATION_ERROR]" in refused.err) == (1, True), refused
