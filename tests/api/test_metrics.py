"""/metrics: what happened is counted, by names that are bounded, and only for those who may read it."""

from __future__ import annotations

import asyncio
import re
import uuid

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from app.container import WorkerContainer
from app.main import BASE_PATH
from app.settings import Settings
from tests.client import Client
from tests.conftest import Embed, serving
from workers.run import note_backlog

Sample = dict[str, float]
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}")
TOKEN = "a-token-for-those-who-measure"


async def read(base_url: str, **options: object) -> httpx.Response:
    async with httpx.AsyncClient() as http:
        return await http.get(base_url.removesuffix(BASE_PATH) + "/metrics", **options)  # type: ignore[arg-type]


async def samples(base_url: str) -> Sample:
    """Value of each time series, by its name and labels."""
    response = await read(base_url)
    assert response.status_code == 200
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def rise(before: Sample, after: Sample, name: str, **labels: str) -> float:
    """By how much the series of these labels, whatever their others, have risen together."""

    def total(among: Sample) -> float:
        wanted = [str(pair) for pair in labels.items()]
        return sum(
            value
            for series, value in among.items()
            if series.startswith(f"{name}[") and all(pair in series for pair in wanted)
        )

    return total(after) - total(before)


async def test_what_happens_is_counted(base_url: str, organisation: Client, embed: Embed) -> None:
    before = await samples(base_url)
    await organisation.store("one")
    await organisation.search("one")
    await organisation.error("GET", f"/memory/{uuid.uuid4()}/status", 404)
    await embed()
    after = await samples(base_url)
    seconds = "remembr_http_request_seconds_count"
    assert rise(before, after, seconds, method="POST", route=f"{BASE_PATH}/memory", status="201") == 1
    route = f"{BASE_PATH}/memory/{{episode_id}}/status"
    assert rise(before, after, seconds, route=route, status="404") == 1
    assert rise(before, after, "remembr_errors_total", code="NOT_FOUND") == 1
    assert rise(before, after, "remembr_commit_writes_count") >= 1
    assert rise(before, after, "remembr_elasticsearch_seconds_count", operation="search", outcome="ok") >= 1
    assert rise(before, after, "remembr_elasticsearch_seconds_count", operation="bulk") >= 1
    assert rise(before, after, "remembr_query_vectors_total", source="model") == 1
    assert rise(before, after, "remembr_embedded_total", outcome="ready") >= 1


async def test_no_label_holds_an_id(base_url: str, organisation: Client) -> None:
    session_id = await organisation.session()
    await organisation.data("GET", f"/sessions/{session_id}")
    await organisation.send("GET", f"/{uuid.uuid4()}")
    await organisation.http.request("BREW", "/memory")
    text = (await read(base_url)).text
    assert not _UUID.search(text)
    assert "BREW" not in text


async def test_what_waits_is_counted_with_its_age(
    base_url: str, organisation: Client, worker_container: WorkerContainer, embed: Embed
) -> None:
    await embed()
    await organisation.store("this waits")
    await organisation.search()
    # Ages are told in tenths of a second.
    await asyncio.sleep(0.2)
    await note_backlog(worker_container)
    waiting = await samples(base_url)
    assert waiting["remembr_waiting[('what', 'embeddings')]"] >= 1
    assert waiting["remembr_waiting_oldest_seconds[('what', 'embeddings')]"] > 0
    await embed()
    await note_backlog(worker_container)
    after = await samples(base_url)
    assert after["remembr_waiting[('what', 'embeddings')]"] < waiting["remembr_waiting[('what', 'embeddings')]"]


async def test_others_need_the_token(settings: Settings) -> None:
    async with serving(settings.model_copy(update={"metrics_token": SecretStr(TOKEN)})) as url:
        assert (await read(url)).status_code == 401
        assert (await read(url, headers={"Authorization": "Bearer another"})).status_code == 401
        assert (await read(url, headers={"Authorization": f"Bearer {TOKEN}"})).status_code == 200


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded"])
async def test_without_a_token_what_comes_through_a_proxy_is_refused(base_url: str, name: str) -> None:
    assert (await read(base_url, headers={name: "127.0.0.1"})).status_code == 404
