"""Pages laid end to end are the one long list, in every mode, exact or windowed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.settings import Settings
from tests.api.conftest import Corpus, OpenClient
from tests.client import Client
from tests.conftest import serving
from tests.promises import proves

MODES = ("semantic", "keyword", "hybrid")
QUERY = "the surprise about the garden budget of week 4"
REQUESTS: list[dict[str, Any]] = [
    *({"query": QUERY, "search_mode": mode} for mode in MODES),
    {"query": QUERY, "weights": {"recency": 1}},
    {"query": QUERY, "weights": {"keyword": 1}},
    {"query": "zebra", "search_mode": "keyword", "tags": ["topic:garden"]},
    {"query": QUERY, "search_mode": "keyword", "tag_filters": [{"key": "topic"}]},
    {"query": "An identical sentence", "search_mode": "semantic"},
    {"query": None},
]


@pytest.fixture(scope="session")
async def windowed_url(settings: Settings) -> AsyncIterator[str]:
    """A server to which every scope is too large to score each episode."""
    async with serving(settings.model_copy(update={"exact_search_limit": 0, "search_window": 100})) as url:
        yield url


@pytest.fixture(params=["exact", "windowed"])
async def searcher(
    request: pytest.FixtureRequest, corpus: Corpus, open_client: OpenClient, windowed_url: str
) -> Client:
    """A client of the corpus, of either server."""
    return await open_client(corpus.client, url=windowed_url) if request.param == "windowed" else corpus.client


async def ids(client: Client, **body: Any) -> list[str]:
    return [result["episode_id"] for result in (await client.data("POST", "/memory/search", json=body))["results"]]


@pytest.mark.parametrize("body", REQUESTS, ids=str)
@proves("search.pages")
async def test_pages_laid_end_to_end_are_the_one_long_list(searcher: Client, body: dict[str, Any]) -> None:
    whole = await searcher.data("POST", "/memory/search", json=body | {"limit": 100})
    long = [result["episode_id"] for result in whole["results"]]
    assert len(set(long)) == len(long) == whole["total"] > 0
    size = 9
    pages: list[str] = []
    for offset in range(0, len(long) + size, size):
        page = await searcher.data("POST", "/memory/search", json=body | {"limit": size, "offset": offset})
        assert page["total"] == whole["total"]
        pages += [result["episode_id"] for result in page["results"]]
    assert pages == long


@pytest.mark.parametrize("body", REQUESTS, ids=str)
async def test_a_window_that_holds_all_is_ordered_as_the_exact_list(
    corpus: Corpus, open_client: OpenClient, windowed_url: str, body: dict[str, Any]
) -> None:
    windowed = await open_client(corpus.client, url=windowed_url)
    exact_list, window_list = [
        (await client.data("POST", "/memory/search", json=body | {"limit": 100}))
        for client in (corpus.client, windowed)
    ]
    by_weight_alone = body.get("weights") == {"keyword": 1}
    wanted = [result for result in exact_list["results"] if not (by_weight_alone and result["score"] == 0)]
    assert [result["episode_id"] for result in window_list["results"]] == [result["episode_id"] for result in wanted]
    for one, other in zip(window_list["results"], wanted, strict=True):
        assert one["score"] == pytest.approx(other["score"], abs=1e-5)


@pytest.mark.parametrize("mode", MODES)
async def test_an_explanation_of_the_window_sums_to_the_score(
    corpus: Corpus, open_client: OpenClient, windowed_url: str, mode: str
) -> None:
    windowed = await open_client(corpus.client, url=windowed_url)
    found = await windowed.search(QUERY, search_mode=mode, explain=True, limit=20)
    assert found["results"]
    for result in found["results"]:
        shares = [part["share"] for part in result["explanation"].values()]
        assert sum(shares) == pytest.approx(result["score"], abs=1e-4)
    assert found["results"][0]["explanation"]["keyword"]["score"] > 0 or mode == "semantic"


@pytest.mark.parametrize("mode", ["semantic", "hybrid"])
async def test_a_window_sees_the_scope_and_the_filters(
    corpus: Corpus, stranger: Client, open_client: OpenClient, windowed_url: str, mode: str
) -> None:
    windowed = await open_client(corpus.client, url=windowed_url)
    filters = {"tags": ["topic:music"], "session_id": corpus.session_id}
    body = {"query": QUERY, "search_mode": mode, "limit": 100} | filters
    assert await ids(windowed, **body) == await ids(corpus.client, **body)
    assert await ids(await open_client(stranger, url=windowed_url), **body) == []
    assert await ids(await open_client(stranger, url=windowed_url), query=QUERY, search_mode=mode) == []


async def test_a_window_shorter_than_the_scope_ends_the_list(
    unembedded: Client, open_client: OpenClient, windowed_url: str
) -> None:
    episodes = [{"role": "user", "content": f"lighthouse {n}"} for n in range(130)]
    await unembedded.data("POST", "/memory/batch", status=201, json={"episodes": episodes})
    windowed = await open_client(unembedded, url=windowed_url)
    pages: list[str] = []
    for offset in range(0, 150, 30):
        page = await windowed.search("lighthouse", limit=30, offset=offset)
        assert page["total"] == 100
        pages += [result["episode_id"] for result in page["results"]]
    assert len(set(pages)) == len(pages) == 100


@pytest.mark.parametrize("mode", MODES)
@proves("search.pages")
async def test_an_offset_beyond_the_end_is_an_empty_page_with_the_same_total(searcher: Client, mode: str) -> None:
    whole = await searcher.search(QUERY, search_mode=mode)
    for offset in (64, 100, 99_999, 100_000, 10_000_000):
        page = await searcher.search(QUERY, search_mode=mode, offset=offset)
        assert (page["results"], page["total"]) == ([], whole["total"])


async def test_twenty_is_the_default_length(corpus: Corpus) -> None:
    found = await corpus.client.search(QUERY)
    assert (len(found["results"]), found["total"]) == (20, 64)
