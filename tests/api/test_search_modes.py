"""By meaning, by words, by both: what each mode finds, and what its scores say."""

from __future__ import annotations

import uuid
from itertools import pairwise
from typing import Any

import pytest

from tests.api.conftest import Corpus
from tests.client import Client
from tests.conftest import Embed
from tests.promises import proves

MODES = ("semantic", "keyword", "hybrid")
FRIDAYS = "User prefers email notifications on Fridays"


async def test_scenario_1_quick_start(anonymous: Client) -> None:
    body = {"email": f"Quick-{uuid.uuid4().hex}@Example.com", "password": "correct-horse-battery-staple"}
    await anonymous.data("POST", "/auth/register", status=201, json=body | {"org_name": "Acme"})
    tokens = await anonymous.data("POST", "/auth/login", json=body)
    anonymous.use(tokens["access_token"])
    key = await anonymous.data("POST", "/api-keys", status=201, json={"name": "quick start", "scope": "agent"})
    assert (await anonymous.send("GET", "/health")).status_code == 200
    anonymous.use(key["api_key"])
    session_id = await anonymous.session()
    await anonymous.store(FRIDAYS, session_id=session_id)
    found = await anonymous.search("When should I send notifications?", session_id=session_id)
    assert found["results"][0]["content"] == FRIDAYS
    assert float(f"{found['results'][0]['score']:.2f}") > 0


async def test_scenario_15_semantic_finds_a_paraphrase_within_the_filters(organisation: Client, embed: Embed) -> None:
    session_id = await organisation.session()
    cat = "Our cat Mimi sleeps on the radiator all day"
    at = {"created_at": "2026-02-01", "tags": ["kind:pet"]}
    await organisation.store(cat, session_id=session_id, **at)
    await organisation.store(cat + ", said elsewhere", **at)
    await organisation.store(cat + ", untagged", session_id=session_id, created_at="2026-02-01")
    await organisation.store(cat + ", too late", session_id=session_id, **at | {"created_at": "2026-03-01"})
    await organisation.store("The invoice was paid in May", session_id=session_id, **at)
    await embed()
    found = await organisation.contents(
        "a pet keeping itself warm",
        search_mode="semantic",
        session_id=session_id,
        tags=["kind:pet"],
        to_time="2026-02-28",
    )
    assert found == [cat, "The invoice was paid in May"]


async def test_scenario_15_keyword_finds_exact_ids_and_log_lines(organisation: Client) -> None:
    for content in (
        "Order 1842 is late",
        "Order 1843 is late",
        "2026-04-01T10:00:00Z ERROR oauth timeout after 30s",
        "The outing was about to time out",
    ):
        await organisation.store(content)
    assert (await organisation.contents("Order 1842", search_mode="keyword"))[0] == "Order 1842 is late"
    assert await organisation.contents("1842", search_mode="keyword") == ["Order 1842 is late"]
    assert (await organisation.contents("oauth timeout", search_mode="keyword"))[0].endswith("oauth timeout after 30s")


async def test_keyword_finds_only_what_has_a_word_of_the_query(organisation: Client) -> None:
    await organisation.store("about lighthouses")
    await organisation.store("about trains")
    found = await organisation.search("lighthouse keeper", search_mode="keyword")
    assert [result["content"] for result in found["results"]] == ["about lighthouses"]
    assert found["total"] == 1


@pytest.mark.parametrize("filters", [{"tags": ["kind:x"]}, {"tag_filters": [{"key": "kind"}]}])
@proves("search.keyword-filters")
async def test_with_tag_filters_keyword_ranks_what_no_word_hits_last(
    organisation: Client, filters: dict[str, Any]
) -> None:
    for content in ("oldest", "a lighthouse", "newer", "newest"):
        await organisation.store(content, tags=["kind:x"])
    await organisation.store("another lighthouse", tags=["kindred:x"])
    found = await organisation.search("lighthouse", search_mode="keyword", **filters)
    assert [result["content"] for result in found["results"]] == ["a lighthouse", "newest", "newer", "oldest"]
    scores = [result["score"] for result in found["results"]]
    assert scores[0] > 0
    assert scores[1:] == [0, 0, 0]
    assert found["total"] == 4


async def test_scenario_3_agents_share_what_they_tag(organisation: Client) -> None:
    session_id = await organisation.session()
    written = [
        ("researcher", "Feedback carryover topic", "finding"),
        ("writer", "First draft about carryover", "draft"),
        ("writer", "Second draft about carryover", "draft"),
        ("critic", "Compare transformers with state-space models explicitly.", "feedback"),
        ("critic", "Need stronger evidence around inference cost tradeoffs.", "advice"),
    ]
    for agent, content, kind in written:
        tags = [f"agent:{agent}", "topic:carryover", f"kind:{kind}", "confidence:0.6"]
        await organisation.store(content, session_id=session_id, role="assistant", tags=tags)

    async def recipe(query: str, **wanted: str) -> Any:
        filters = [{"key": key, "value": value, "op": "eq"} for key, value in wanted.items()]
        return await organisation.search(
            query, session_id=session_id, search_mode="keyword", tag_filters=[{"key": "topic"}, *filters]
        )

    feedback = await recipe("Feedback carryover topic", topic="carryover", kind="feedback")
    assert [result["content"] for result in feedback["results"]] == [written[3][1]]
    advice = await recipe("How should research improve next time?", kind="advice", agent="critic")
    assert (advice["total"], advice["results"][0]["content"]) == (1, written[4][1])
    drafts = await recipe("draft", kind="draft")
    assert [result["content"] for result in drafts["results"]] == [written[2][1], written[1][1]]
    assert (await recipe("draft", kind="draft", agent="critic"))["total"] == 0


@pytest.mark.parametrize("tag_filter", [{"key": "kind", "value": "preference"}, {"key": "kind"}])
async def test_scenario_5_customer_support(organisation: Client, tag_filter: dict[str, str]) -> None:
    await organisation.store("Customer wants Friday billing summaries.", tags=["kind:preference"])
    await organisation.store("We sent a billing update on Monday.", tags=["done"])
    found = await organisation.search("How should we send billing updates?", tag_filters=[tag_filter])
    assert found["total"] == 1
    assert found["results"][0]["content"] == "Customer wants Friday billing summaries."


async def test_scenario_6_coding_assistant(organisation: Client, embed: Embed) -> None:
    rule = "LangGraph adapter must pass idempotency_key on every write"
    for content in (rule, "The release is on Thursday", "Tests live beside the code", "CrewAI needs two sessions"):
        await organisation.store(content)
    question = "What do we require for LangGraph writes?"
    assert (await organisation.contents(question))[0] == rule
    await embed()
    assert (await organisation.contents(question))[0] == rule


@proves("search.no-floor")
async def test_a_pending_episode_is_found_by_a_query_that_shares_no_word(organisation: Client) -> None:
    await organisation.store(FRIDAYS)
    assert await organisation.contents("What about mail at the weekend's eve?") == [FRIDAYS]


async def test_before_anything_is_embedded_words_count_for_more_than_company(organisation: Client) -> None:
    for number in range(4):
        await organisation.store(f"frost {number}")
    session_id = await organisation.session()
    for number in range(4):
        await organisation.store(f"a long sentence about something else {number}", session_id=session_id)
    found = await organisation.contents("frost")
    assert set(found[:4]) == {f"frost {number}" for number in range(4)}
    assert len(found) == 8


@proves("search.no-floor")
async def test_hybrid_ranks_everything_in_scope_pending_or_not(organisation: Client, embed: Embed) -> None:
    await organisation.store("The lighthouse was painted red")
    await embed()
    await organisation.store("Trains to the coast are late")
    found = await organisation.search("lighthouse")
    assert found["total"] == 2
    assert found["results"][0]["content"] == "The lighthouse was painted red"
    assert (await organisation.search("lighthouse", search_mode="semantic"))["total"] == 1


@pytest.mark.parametrize("mode", MODES)
@proves("search.scores")
async def test_scores_lie_in_0_to_1_and_never_rise(corpus: Corpus, mode: str) -> None:
    found = await corpus.client.search("the garden budget of week 3", search_mode=mode, limit=100)
    scores = [result["score"] for result in found["results"]]
    assert len(scores) > 10
    assert all(0 <= score <= 1 for score in scores)
    assert all(higher >= lower for higher, lower in pairwise(scores))
    assert isinstance(found["query_time_ms"], int)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("weights", [None, {"semantic": 0.2, "keyword": 0.3, "recency": 0.5}])
async def test_the_shares_of_an_explanation_sum_to_the_score(
    corpus: Corpus, mode: str, weights: dict[str, float] | None
) -> None:
    found = await corpus.client.search("music of week 2", search_mode=mode, weights=weights, explain=True)
    full = {"semantic": (1, 0, 0), "keyword": (0, 1, 0), "hybrid": (0.2, 0.3, 0.5) if weights else (0.6, 0.3, 0.1)}
    assert found["results"]
    for result in found["results"]:
        parts = [result["explanation"][name] for name in ("semantic", "keyword", "recency")]
        assert tuple(part["weight"] for part in parts) == full[mode]
        parts.append(result["explanation"]["lift"])
        assert all(0 <= part["score"] <= 1 for part in parts)
        assert all(part["share"] == pytest.approx(part["score"] * part["weight"], abs=1e-5) for part in parts)
        assert sum(part["share"] for part in parts) == pytest.approx(result["score"], abs=1e-4)


async def test_only_an_explained_result_shows_its_parts(corpus: Corpus) -> None:
    assert "explanation" not in (await corpus.client.search("music"))["results"][0]


async def test_weights_steer_hybrid(corpus: Corpus) -> None:
    query = "Please remind me of travel"
    newest = await corpus.client.search(query, weights={"recency": 1.0}, limit=64)
    times = [result["created_at"] for result in newest["results"]]
    assert times == sorted(times, reverse=True)
    by_meaning = await corpus.client.search(query, weights={"semantic": 1}, limit=64)
    semantic = await corpus.client.search(query, search_mode="semantic", limit=64)
    assert by_meaning["results"] == semantic["results"]
    by_words = await corpus.client.search(query, weights={"keyword": 1}, limit=64)
    keyword = await corpus.client.search(query, search_mode="keyword", limit=64)
    found = {hit["episode_id"]: hit["score"] for hit in keyword["results"]}
    # Hybrid also ranks what only its context makes fit.
    same = {hit["episode_id"]: hit["score"] for hit in by_words["results"] if hit["episode_id"] in found}
    # Lucene adds the same floats in another order.
    assert same == pytest.approx(found, abs=2e-6)


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ({"semantic": 0.6}, (0.6, 0.3, 0.1)),
        ({"semantic": 0.5, "keyword": 0.5}, (0.5, 0.5, 0)),
        ({"keyword": 0.2, "semantic": 0.7}, (0.7, 0.2, 0.1)),
        ({"recency": 1}, (0, 0, 1)),
        ({"semantic": 0.6, "keyword": 0.3, "recency": 0.1000000001}, (0.6, 0.3, 0.1)),
        ({"semantic": None}, (0.6, 0.3, 0.1)),
        ({}, (0.6, 0.3, 0.1)),
    ],
)
@proves("search.weights")
async def test_weights_left_out_are_filled_in(corpus: Corpus, given: Any, full: tuple[float, ...]) -> None:
    found = await corpus.client.search("music", weights=given, explain=True, limit=1)
    parts = found["results"][0]["explanation"]
    weights = tuple(parts[name]["weight"] for name in ("semantic", "keyword", "recency"))
    assert weights == pytest.approx(full, abs=1e-6)


@pytest.mark.parametrize(
    ("weights", "loc"),
    [
        ({"semantic": 0.9}, ["body"]),
        ({"semantic": 0.5, "keyword": 0.3, "recency": 0.1}, ["body"]),
        ({"semantic": 0, "keyword": 0, "recency": 0}, ["body"]),
        ({"semantic": 0.600002, "keyword": 0.3, "recency": 0.1}, ["body"]),
        ({"semantic": -0.1, "keyword": 1.1}, ["body", "weights", "semantic"]),
        ({"semantic": "much"}, ["body", "weights", "semantic"]),
        ([0.6, 0.3, 0.1], ["body", "weights"]),
    ],
)
@proves("search.weights")
async def test_weights_that_do_not_sum_to_1_are_refused(member: Client, weights: Any, loc: list[str]) -> None:
    error = await member.error("POST", "/memory/search", 422, json={"query": "x", "weights": weights})
    problem = error["details"]["errors"][0]
    assert problem["loc"] == loc
    assert "weights" in problem["loc"] or "weights" in problem["msg"]


@pytest.mark.parametrize("mode", ["semantic", "keyword"])
@proves("search.weights")
async def test_weights_with_another_mode_are_ignored(corpus: Corpus, mode: str) -> None:
    plain = await corpus.client.search("music", search_mode=mode)
    weighted = await corpus.client.search("music", search_mode=mode, weights={"semantic": 0.1, "recency": 0.1})
    assert weighted["results"] == plain["results"]


@pytest.mark.parametrize("mode", MODES)
@proves("search.default")
async def test_mode_is_another_name_of_search_mode(corpus: Corpus, mode: str) -> None:
    plain = await corpus.client.search("music of week 2", search_mode=mode)
    assert (await corpus.client.search("music of week 2", mode=mode))["results"] == plain["results"]
    both = await corpus.client.search("music of week 2", mode="keyword", search_mode=mode)
    assert both["results"] == plain["results"]


@proves("search.default")
async def test_hybrid_is_the_default(corpus: Corpus) -> None:
    plain = await corpus.client.search("music of week 2")
    assert plain["results"] == (await corpus.client.search("music of week 2", search_mode="hybrid"))["results"]


@pytest.mark.parametrize("query", [None, "", "  \n\t "])
@pytest.mark.parametrize("mode", MODES)
@proves("search.no-query")
async def test_without_words_the_filters_count_newest_first(corpus: Corpus, query: str | None, mode: str) -> None:
    found = await corpus.client.search(query, search_mode=mode, tags=["topic:music"], limit=100)
    assert found["total"] == len(found["results"]) == 12
    assert {result["score"] for result in found["results"]} == {1.0}
    times = [result["created_at"] for result in found["results"]]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize("mode", MODES)
@proves("search.scores")
async def test_among_equals_the_newest_is_first(corpus: Corpus, mode: str) -> None:
    found = await corpus.client.search("An identical sentence", search_mode=mode, weights={"keyword": 1}, limit=4)
    assert {result["content"] for result in found["results"]} == {"An identical sentence"}
    assert len({result["score"] for result in found["results"]}) == 1
    times = [result["created_at"] for result in found["results"]]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize("mode", MODES)
async def test_a_query_is_plain_words_whatever_it_looks_like(corpus: Corpus, mode: str) -> None:
    for query in ('"music', "music AND (", "*", "?", "/.*/", "music~9999", "a:b", "\\", "{'a'}", "😀", "x" * 50_000):
        await corpus.client.search(query, search_mode=mode, limit=1)


async def test_a_query_of_a_hundred_thousand_characters_is_read(corpus: Corpus) -> None:
    await corpus.client.search("word " * 20_000, limit=1)
    error = await corpus.client.error("POST", "/memory/search", 422, json={"query": "x" * 100_001})
    assert error["details"]["errors"][0]["loc"] == ["body", "query"]
