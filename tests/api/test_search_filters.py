"""Filters: tags, tag filters with every operator, role, session and times. All are plain data."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from tests.api.conftest import Corpus
from tests.client import Client, connect
from tests.conftest import PASSWORD
from tests.promises import proves

CONFIDENCE = {
    "half": ["confidence:0.5"],
    "sixty": ["confidence:0.6", "x"],
    "high": ["confidence:high"],
    "negative": ["confidence:-1"],
    "thousand": ["confidence:1e3"],
    "none": [],
    "similar": ["confidences:9", "a:confidence:9"],
    "empty": ["confidence:"],
    "bare": ["confidence"],
}


async def stored(client: Client, tags_of: dict[str, list[str]]) -> None:
    """An episode per name, with its tags."""
    episodes = [{"role": "user", "content": name, "tags": tags} for name, tags in tags_of.items()]
    answer = await client.data("POST", "/memory/batch", status=201, json={"episodes": episodes})
    assert answer["failed"] == 0


async def found(client: Client, *filters: dict[str, Any], **fields: Any) -> set[str]:
    return set(await client.contents(None, tag_filters=list(filters), limit=100, **fields))


def condition(op: str | None, value: Any = None, key: str = "confidence") -> dict[str, Any]:
    wanted = {"key": key, "op": op, "value": value}
    return {name: item for name, item in wanted.items() if item is not None}


ALL_OF_KEY = {"half", "sixty", "high", "negative", "thousand", "empty"}


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (condition("eq", "0.6"), {"sixty"}),
        (condition(None, "0.6"), {"sixty"}),
        (condition("eq", 0.6), {"sixty"}),
        (condition("eq", "0.60"), set()),
        (condition("eq"), ALL_OF_KEY),
        (condition("eq", ""), {"empty"}),
        (condition("exists"), ALL_OF_KEY),
        (condition("ne", "0.6"), set(CONFIDENCE) - {"sixty"}),
        (condition("ne"), set(CONFIDENCE) - ALL_OF_KEY),
        (condition("prefix", "hi"), {"high"}),
        (condition("prefix", "0."), {"half", "sixty"}),
        (condition("prefix", ""), ALL_OF_KEY),
        (condition("gte", "0.5"), {"half", "sixty", "thousand"}),
        (condition("gt", "0.5"), {"sixty", "thousand"}),
        (condition("gt", 0.5), {"sixty", "thousand"}),
        (condition("lt", "0.5"), {"negative"}),
        (condition("lte", "0.5"), {"half", "negative"}),
        (condition("lte", -1), {"negative"}),
        (condition("lt", "-1"), set()),
        (condition("gt", "-1.5"), {"half", "sixty", "negative", "thousand"}),
        (condition("gte", "1e3"), {"thousand"}),
        (condition("gte", "1000.0"), {"thousand"}),
        (condition("gt", 1000), set()),
        (condition("gte", ".5"), {"half", "sixty", "thousand"}),
        (condition("gte", "+0.5"), {"half", "sixty", "thousand"}),
        (condition("gt", "-0"), {"half", "sixty", "thousand"}),
        (condition("eq", "0.6", key="Confidence"), set()),
        (condition("gt", "8", key="a:confidence"), {"similar"}),
    ],
    ids=str,
)
@proves("search.tag-filters")
async def test_operators(confidence: Client, wanted: dict[str, Any], names: set[str]) -> None:
    assert await found(confidence, wanted) == names


@pytest.fixture(scope="module")
async def confidence(base_url: str) -> AsyncIterator[Client]:
    """An organisation with every kind of confidence."""
    async with connect(base_url) as client:
        await client.register(f"{uuid.uuid4().hex}@example.com", PASSWORD)
        await stored(client, CONFIDENCE)
        yield client


@proves("search.tag-filters")
async def test_scenario_4_numeric_tags(organisation: Client) -> None:
    tags = {"a": ["confidence:0.6"], "b": ["confidence:high"], "c": ["confidence:-1"], "d": []}
    await stored(organisation, tags)
    for mode in ("keyword", "hybrid", "semantic"):
        answer = await organisation.search("a", tag_filters=[condition("gte", "0.5")], search_mode=mode)
        assert [result["content"] for result in answer["results"]] == ([] if mode == "semantic" else ["a"])


async def test_all_filters_must_hold(confidence: Client) -> None:
    between = [condition("gt", "0.5"), condition("lt", "1000")]
    assert await found(confidence, *between) == {"sixty"}
    assert await found(confidence, *between, tags=["x"]) == {"sixty"}
    assert await found(confidence, *between, tags=["y"]) == set()


@proves("search.tags")
async def test_every_tag_must_match_exactly(organisation: Client) -> None:
    await stored(organisation, {"both": ["a:1", "b:2"], "one": ["a:1"], "longer": ["a:12", "b:2"], "case": ["A:1"]})
    assert await found(organisation, tags=["a:1"]) == {"both", "one"}
    assert await found(organisation, tags=["a:1", "b:2"]) == {"both"}
    assert await found(organisation, tags=["a"]) == set()
    assert await found(organisation, tags=[]) == {"both", "one", "longer", "case"}


async def test_a_key_ends_at_any_colon(organisation: Client) -> None:
    await stored(organisation, {"url": ["source:https://example.com:8080"], "nested": ["a:b:5"], "flat": ["a:c"]})
    assert await found(organisation, condition("eq", "https://example.com:8080", key="source")) == {"url"}
    assert await found(organisation, condition("prefix", "https:", key="source")) == {"url"}
    assert await found(organisation, condition("exists", key="source:https")) == {"url"}
    assert await found(organisation, condition("eq", "b:5", key="a")) == {"nested"}
    assert await found(organisation, condition("exists", key="a")) == {"nested", "flat"}
    assert await found(organisation, condition("gte", 5, key="a:b")) == {"nested"}
    assert await found(organisation, condition("gte", 5, key="a")) == set()


STRANGE = [
    '"', "'", "{}", '{"match_all":{}}', "*", "?", "a*", "\\", "\\*", ".*", "[a-z]+", "(x|y)", "~", "#", "@", "&&",
    "<script>", "' OR 1=1 --", "${jndi:ldap://x}", "_id", "../..", " ", "\n", "😀", "é", "e\u0301", "\u202e", "a b",
]  # fmt: skip


async def test_strange_keys_and_values_are_plain_data(organisation: Client) -> None:
    tags_of = {f"value {n}": [f"key:{text}"] for n, text in enumerate(STRANGE)}
    tags_of |= {f"key {n}": [f"{text}:value"] for n, text in enumerate(STRANGE)}
    tags_of |= {f"tag {n}": [text] for n, text in enumerate(STRANGE)}
    await stored(organisation, tags_of)
    for n, text in enumerate(STRANGE):
        assert await found(organisation, condition("eq", text, key="key")) == {f"value {n}"}
        assert await found(organisation, condition("exists", key=text)) == {f"key {n}"}
        assert await found(organisation, tags=[text]) == {f"tag {n}"}
        begun = {f"value {m}" for m, other in enumerate(STRANGE) if other.startswith(text)}
        assert await found(organisation, condition("prefix", text, key="key")) == begun
    everything = set(tags_of)
    assert await found(organisation, condition("ne", "*", key="key")) == everything - {f"value {STRANGE.index('*')}"}


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (condition("like", "x"), "op"),
        (condition("gt"), None),
        (condition("gt", "high"), None),
        (condition("gte", ""), None),
        (condition("lt", "NaN"), None),
        (condition("lt", "inf"), None),
        (condition("lte", "0x10"), None),
        (condition("lte", "1_000"), None),
        (condition("lte", "١"), None),
        (condition("gt", "1e999"), None),
        (condition("prefix"), None),
        (condition("eq", True), "value"),
        (condition("eq", ["x"]), "value"),
        (condition("eq", {}), "value"),
        (condition("eq", "x" * 201), "value"),
        (condition("eq", "a\x00"), "value"),
        (condition("eq", "x", key=""), "key"),
        (condition("eq", "x", key="k" * 201), "key"),
        ({"value": "x"}, "key"),
        ({"key": None}, "key"),
        ({"key": 7}, "key"),
    ],
    ids=str,
)
@proves("search.bad-filters")
async def test_a_bad_tag_filter_is_refused_and_named(member: Client, wanted: dict[str, Any], field: str | None) -> None:
    body = {"query": "x", "tag_filters": [{"key": "fine"}, wanted]}
    error = await member.error("POST", "/memory/search", 422, json=body)
    loc = ["body", "tag_filters", 1] + ([field] if field else [])
    assert [problem["loc"] for problem in error["details"]["errors"]] == [loc]


async def test_by_role(organisation: Client) -> None:
    for role in ("user", "assistant", "User", "tool"):
        await organisation.store(f"said by {role}", role=role)
    assert await organisation.contents(None, role="user") == ["said by user"]
    assert await organisation.contents("said", role="assistant", search_mode="keyword") == ["said by assistant"]
    assert await organisation.contents(None, role="nobody") == []


async def test_by_session(corpus: Corpus) -> None:
    for query in (None, "the garden budget"):
        answer = await corpus.client.search(query, session_id=corpus.session_id, limit=100)
        assert answer["total"] == 20
        assert {result["session_id"] for result in answer["results"]} == {corpus.session_id}


async def test_filters_and_words_together(corpus: Corpus) -> None:
    for mode in ("semantic", "keyword", "hybrid"):
        answer = await corpus.client.search(
            "the garden budget",
            search_mode=mode,
            role="user",
            tags=["topic:garden"],
            tag_filters=[condition("lt", 30, key="number")],
        )
        assert answer["total"] == 3
        assert {tag for result in answer["results"] for tag in result["tags"]} == {
            "topic:garden", "number:7", "number:17", "number:27",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("start_h", "end_h", "count"), [(0, 59, 60), (10, 12, 3), (10, 10, 1), (59.5, 100, 0), (None, 4, 9), (55, None, 5)]
)
async def test_times_include_both_ends(corpus: Corpus, start_h: float | None, end_h: float | None, count: int) -> None:
    times = {
        name: (corpus.started + timedelta(hours=hours)).isoformat()
        for name, hours in (("from_time", start_h), ("to_time", end_h))
        if hours is not None
    }
    for query in (None, "garden"):
        assert (await corpus.client.search(query, **times))["total"] == count


@pytest.mark.parametrize(
    ("from_time", "count"),
    [
        ("2026-01-07T11:00:00Z", 1),
        ("2026-01-07T11:00:00", 1),
        ("2026-01-07T12:00:00+01:00", 1),
        ("2026-01-07T05:30:00-05:30", 1),
        ("2026-01-07T12:00:00 01:00", 1),
        ("2026-01-07T11:00:00.001Z", 0),
        ("2026-01-07", 12),
        ("2026-01-07 10:00:00Z", 2),
    ],
)
@proves("envelope.times")
async def test_times_come_in_every_iso_form(corpus: Corpus, from_time: str, count: int) -> None:
    assert (await corpus.client.search(None, from_time=from_time))["total"] == count


@proves("search.times")
async def test_times_out_of_order_are_told_so(member: Client) -> None:
    body = {"query": "x", "from_time": "2026-01-02T00:00:00Z", "to_time": "2026-01-01T23:59:59Z"}
    error = await member.error("POST", "/memory/search", 422, "INVALID_TIME_RANGE", json=body)
    assert error["code"] == "VALIDATION_ERROR"
    # One moment, told by two offsets, is in order.
    same = {"from_time": "2026-01-02T00:00:00Z", "to_time": "2026-01-02T02:00:00+02:00"}
    await member.search("x", **same)
