"""Bringing a cluster up to this release: what differs is shown, older is replaced, newer is left alone."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch

from app.elastic import indices
from app.elastic.client import open_elasticsearch
from app.elastic.generations import IndexModel, note
from app.elastic.indices import COMPONENTS, EPISODES, INDICES, TemplateChange
from app.embedding import describe
from app.errors import EngineError
from app.migrate import migrate
from app.settings import Settings
from tests.prefixes import forget

TIMEOUT_S = 60
TEMPLATES = len(COMPONENTS) + len(INDICES)


@pytest.fixture
async def fresh(settings: Settings) -> AsyncIterator[Settings]:
    """Settings whose prefix the cluster has never seen; what a test makes under it goes again."""
    prefix = f"{settings.index_prefix}-t{uuid.uuid4().hex[:6]}"
    assert settings.elasticsearch_url is not None
    yield settings.model_copy(update={"index_prefix": prefix})
    async with open_elasticsearch(settings, settings.elasticsearch_url) as es:
        await forget(es, prefix)


@pytest.fixture
async def es(settings: Settings) -> AsyncIterator[AsyncElasticsearch]:
    assert settings.elasticsearch_url is not None
    async with open_elasticsearch(settings, settings.elasticsearch_url) as client:
        yield client


async def dims(settings: Settings) -> int:
    return (await describe(settings)).dims


def states(changes: list[TemplateChange]) -> dict[str, str]:
    return {change.name: change.state for change in changes}


async def command(settings: Settings, *arguments: str) -> tuple[int, str, str]:
    """Run `remembr-server templates`; gives exit code, standard output and standard error."""
    environment = os.environ | {
        "REMEMBR_ELASTICSEARCH_URL": str(settings.elasticsearch_url),
        "REMEMBR_INDEX_PREFIX": settings.index_prefix,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.cli", "templates", *arguments),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def put_episodes_template(es: AsyncElasticsearch, settings: Settings, version: int, **changes: Any) -> None:
    """Another release's template of the episodes index in the cluster."""
    body = indices.load("episodes", indices.values(settings, await dims(settings)))
    body["template"]["settings"]["index"] |= changes
    await es.indices.put_index_template(
        name=EPISODES.alias(settings.index_prefix),
        index_patterns=body["index_patterns"],
        composed_of=body["composed_of"],
        priority=body["priority"],
        template=body["template"],
        meta=body["_meta"] | {"version": version},
    )


async def test_the_command_shows_what_it_would_do_and_does_it_when_told(
    fresh: Settings, es: AsyncElasticsearch
) -> None:
    code, shown, errors = await command(fresh)
    assert code == 0, errors
    assert [line.split()[0] for line in shown.splitlines()] == ["create"] * TEMPLATES
    assert not await es.indices.exists_index_template(name=EPISODES.alias(fresh.index_prefix))
    code, applied, errors = await command(fresh, "--apply")
    assert code == 0, errors
    assert applied == shown
    assert await es.indices.exists_alias(name=EPISODES.alias(fresh.index_prefix))
    code, again, errors = await command(fresh)
    assert code == 0, errors
    assert [line.split()[0] for line in again.splitlines()] == ["keep"] * TEMPLATES


async def test_applying_twice_keeps_everything(fresh: Settings) -> None:
    assert set(states(await migrate(fresh)).values()) == {"create"}
    assert set(states(await migrate(fresh)).values()) == {"keep"}


async def test_several_processes_may_start_at_once(fresh: Settings, es: AsyncElasticsearch) -> None:
    await asyncio.gather(*(migrate(fresh) for _ in range(4)))
    made = await es.indices.get_alias(name=f"{fresh.index_prefix}-*")
    aliases = sorted(alias for index in made.body.values() for alias in index["aliases"])
    assert aliases == sorted(definition.alias(fresh.index_prefix) for definition in INDICES)


async def test_an_older_template_is_replaced_and_the_difference_shown(fresh: Settings, es: AsyncElasticsearch) -> None:
    await migrate(fresh)
    name = EPISODES.alias(fresh.index_prefix)
    await put_episodes_template(es, fresh, version=0, max_result_window=777)
    (planned,) = [change for change in await indices.plan(es, fresh, await dims(fresh)) if change.state != "keep"]
    assert (planned.name, planned.state) == (name, "update")
    assert '-        "max_result_window": "777"' in planned.diff
    assert '+        "max_result_window": "100000"' in planned.diff
    assert states(await migrate(fresh))[name] == "update"
    assert set(states(await migrate(fresh)).values()) == {"keep"}


async def test_a_newer_template_is_never_overwritten(fresh: Settings, es: AsyncElasticsearch) -> None:
    await migrate(fresh)
    name = EPISODES.alias(fresh.index_prefix)
    await put_episodes_template(es, fresh, version=999, max_result_window=777)
    for _ in range(2):
        changes = states(await migrate(fresh))
        assert changes.pop(name) == "newer"
        assert set(changes.values()) == {"keep"}
    found = await es.indices.get_index_template(name=name)
    template = found.body["index_templates"][0]["index_template"]
    assert template["_meta"]["version"] == 999
    assert template["template"]["settings"]["index"]["max_result_window"] == "777"
    code, shown, _ = await command(fresh, "--apply")
    assert code == 0
    assert "newer" in shown


async def test_a_model_of_other_dimensions_is_refused_with_what_to_do(fresh: Settings, es: AsyncElasticsearch) -> None:
    await migrate(fresh)
    large = IndexModel("large", "large-fp32", 768)
    # It says itself whose vectors it holds, and that rules.
    await indices.ensure(es, fresh, large)
    await note(es, EPISODES.concrete(fresh.index_prefix), embedding=None)
    with pytest.raises(EngineError, match=r"384 dimensions.*gives 768.*REMEMBR_EMBEDDING_MODEL.*REMEMBR_INDEX_PREFIX"):
        await indices.ensure(es, fresh, large)


async def test_every_index_takes_what_its_template_says(fresh: Settings, es: AsyncElasticsearch) -> None:
    await migrate(fresh)
    for definition in INDICES:
        found = await es.indices.get(index=definition.alias(fresh.index_prefix))
        ((name, index),) = found.body.items()
        assert name == definition.concrete(fresh.index_prefix)
        assert index["mappings"]["dynamic"] == "strict"
        assert {"org_id", "user_id", "agent_id", "created_at"} <= set(index["mappings"]["properties"])
        assert index["settings"]["index"]["translog"]["durability"].lower() == "request"


async def test_without_an_address_the_command_says_what_to_set() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REMEMBR_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.cli", "templates"),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    assert process.returncode == 1
    assert out == b""
    assert b"REMEMBR_ELASTICSEARCH_URL" in err
    assert b"Traceback" not in err


async def test_an_index_of_an_older_release_gets_the_fields_it_lacks(es: AsyncElasticsearch, fresh: Settings) -> None:
    await migrate(fresh)
    sessions = indices.SESSIONS
    alias, index = sessions.alias(fresh.index_prefix), sessions.concrete(fresh.index_prefix)
    await es.indices.delete(index=index)
    old = {"dynamic": "strict", "properties": {"session_id": {"type": "keyword"}, "org_id": {"type": "keyword"}}}
    await es.indices.delete_index_template(name=alias)
    await es.indices.create(index=index, mappings=old, aliases={alias: {}})

    await migrate(fresh)

    mapping = (await es.indices.get_mapping(index=alias)).body[index]["mappings"]
    assert {"session_id", "metadata", "deleted_at", "user_id", "created_at"} <= mapping["properties"].keys()
