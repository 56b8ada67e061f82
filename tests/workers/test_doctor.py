"""What the doctor says of installations that are well, and of some that aren't."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import orjson
import pytest
from typer.testing import CliRunner

from app.cli import app as command
from app.container import Core, open_core
from app.doctor import Finding, examine, wait_for
from app.elastic.indices import AUDIT, EPISODES
from app.migrate import migrate
from app.settings import Settings
from app.types import iso, utc_now
from tests.client import Client


async def said(core: Core, about: str) -> list[Finding]:
    """What it says about one thing."""
    return [finding for finding in await wait_for(examine(core), 60) if finding.about == about]


@asynccontextmanager
async def own_core(settings: Settings, prefix: str) -> AsyncIterator[Core]:
    own = settings.model_copy(update={"index_prefix": f"{settings.index_prefix}-{prefix}"})
    async with open_core(own) as core:
        await migrate(own)
        yield core
        made = await core.es.indices.get(index=f"{own.index_prefix}-*")
        await core.es.indices.delete(index=list(made))


async def test_nothing_is_bad_about_the_tests_own_installation(core: Core) -> None:
    findings = await examine(core)
    assert [finding for finding in findings if finding.state == "bad"] == []
    about = {finding.about for finding in findings}
    assert about >= {"settings", "Elasticsearch", "disk", "blocks", "templates", "indices", "shards", "clocks"}
    assert about >= {"backlog", "Redis", "model"}
    assert all(finding.advice for finding in findings if finding.state != "good")


async def test_what_waits_for_long_is_told(core: Core, client: Client) -> None:
    episode_id = await client.store("forgotten by all workers")
    before = iso(utc_now() - timedelta(hours=1))
    await core.es.update(
        index=EPISODES.alias(core.settings.index_prefix),
        id=episode_id,
        routing=client.org_id,
        doc={"embedding_due_at": before},
        refresh=True,
    )
    told = [finding for finding in await said(core, "backlog") if "embedding" in finding.said]
    assert [(finding.state, "60 minutes" in finding.said) for finding in told] == [("look", True)]


async def test_an_index_that_is_missing_or_blocked_and_a_template_that_differs_are_told(settings: Settings) -> None:
    async with own_core(settings, "sick") as core:
        prefix = core.settings.index_prefix
        await core.es.indices.put_settings(index=AUDIT.alias(prefix), settings={"index.blocks.write": True})
        (blocked,) = await said(core, "blocks")
        assert (blocked.state, AUDIT.concrete(prefix) in blocked.said) == ("bad", True)
        await core.es.indices.delete(index=AUDIT.concrete(prefix))
        (missing,) = await said(core, "indices")
        assert (missing.state, AUDIT.alias(prefix) in missing.said) == ("bad", True)
        await core.es.indices.delete_index_template(name=AUDIT.alias(prefix))
        (template,) = await said(core, "templates")
        assert (template.state, "templates --apply" in template.advice) == ("bad", True)


async def test_stores_that_are_away_are_told_and_nothing_else_is_guessed(settings: Settings) -> None:
    nowhere = {"elasticsearch_url": "http://127.0.0.1:9", "redis_url": "redis://127.0.0.1:9/0"}
    async with open_core(settings.model_copy(update=nowhere)) as core:
        findings = await examine(core)
    assert {finding.about: finding.state for finding in findings if finding.about != "settings"} == {
        "elasticsearch": "bad",
        "Redis": "look",
        "model": "bad",
    }


async def test_in_production_weak_settings_are_bad(core: Core) -> None:
    strict = replace(core, settings=core.settings.model_copy(update={"environment": "production"}))
    found = await said(strict, "settings")
    assert any(finding.state == "bad" and "REMEMBR_JWT_SECRET" in finding.said for finding in found)


def test_the_command_prints_findings_and_fails_when_one_is_bad(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("elasticsearch_url", "redis_url"):
        monkeypatch.setenv(f"REMEMBR_{name.upper()}", str(getattr(settings, name)))
    monkeypatch.setenv("REMEMBR_INDEX_PREFIX", f"{settings.index_prefix}-nothing-here")
    result = CliRunner().invoke(command, ["doctor", "--json"])
    assert result.exit_code == 1
    findings = orjson.loads(result.stdout)
    assert {"about": "indices", "state": "bad"}.items() <= next(f for f in findings if f["about"] == "indices").items()
    plain = CliRunner().invoke(command, ["doctor"])
    assert plain.exit_code == 1
