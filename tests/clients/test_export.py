"""Exports by the published client and its command line."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from remembr import RemembrClient

from tests.client import Client
from tests.clients.test_cli import Cli, cli

__all__ = ["cli"]

AWKWARD = ['quotes " and {braces} and [brackets]', "back\\slash", "emoji \U0001f600", "two\nlines, one cell", "=1+1"]


async def rows(sdk: RemembrClient, **wanted: Any) -> list[dict[str, Any]]:
    """What an export yields."""
    found = await sdk.export(**wanted)
    assert not isinstance(found, bytes)
    return [row async for row in found]


async def test_scenario_17_every_row_is_yielded(sdk: RemembrClient, organisation: Client) -> None:
    """Scenario 17: `async for` yields every row; CSV bytes run no formula."""
    episodes = [{"role": "user", "content": text} for text in AWKWARD * 40]
    await organisation.data("POST", "/memory/batch", status=201, json={"episodes": episodes})
    found = await rows(sdk)
    assert [row["content"] for row in found] == AWKWARD * 40
    table = await sdk.export(format="csv")
    assert isinstance(table, bytes)
    read = list(csv.DictReader(io.StringIO(table.decode(), newline="")))
    assert [row["id"] for row in read] == [row["id"] for row in found]
    assert [row["content"] for row in read[:5]] == [*AWKWARD[:4], "'=1+1"]


@pytest.mark.parametrize("zone", [None, UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))])
async def test_scenario_12_dates_may_be_aware_of_any_zone_or_naive(sdk: RemembrClient, zone: timezone | None) -> None:
    """Scenario 12."""
    stored = await sdk.store("timely")
    now = datetime.now(UTC)
    moment = now.replace(tzinfo=None) if zone is None else now.astimezone(zone)
    hour = timedelta(hours=1)
    inside = await rows(sdk, from_date=moment - hour, to_date=moment + hour, include_deleted=True)
    assert [row["id"] for row in inside] == [stored.episode_id]
    assert await rows(sdk, from_date=moment + hour) == []
    assert await rows(sdk, to_date=moment - hour) == []


async def test_scenario_7_what_was_exported_is_all_there_was(sdk: RemembrClient, organisation: Client) -> None:
    """Scenario 7: an export of the user's data, then the user is forgotten, and an export is empty."""
    session = await sdk.create_session()
    for text in ("one", "two"):
        await sdk.store(text, session_id=session.session_id)
    assert [row["content"] for row in await rows(sdk)] == ["one", "two"]
    assert [row["content"] for row in await rows(sdk, session_id=session.session_id)] == ["one", "two"]
    await sdk.forget_user(organisation.user_id)
    assert await rows(sdk) == []
    table = await sdk.export(format="csv")
    assert isinstance(table, bytes)
    assert len(table.splitlines()) == 1


@pytest.mark.parametrize("form", ["json", "csv"])
async def test_scenario_2_an_export_becomes_a_file(cli: Cli, organisation: Client, tmp_path: Path, form: str) -> None:
    """Scenario 2: `remembr export --format json|csv --from 2026-01-01`, non-empty and valid."""
    for text in AWKWARD:
        await organisation.store(text)
    await organisation.store("too old", created_at="2025-12-31T23:59:59Z")
    ended = await cli("export", "--format", form, "--from", "2026-01-01")
    assert ended.code == 0, ended
    text = (tmp_path / f"remembr_export.{form}").read_bytes().decode()
    found = json.loads(text) if form == "json" else list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["content"].lstrip("'") for row in found] == AWKWARD
