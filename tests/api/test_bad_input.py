"""Whatever is wrong with a field, it is named, no value is repeated, and nothing is stored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.client import Client
from tests.promises import proves

JSON = {"Content-Type": "application/json"}
SECRET = "hunter2"


def nested(depth: int) -> Any:
    """An object of `depth` levels."""
    value: Any = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


EPISODE = {"role": "user", "content": "fine", "tags": ["a:b"], "metadata": {}, "created_at": "2026-01-01"}
BAD_EPISODES: list[tuple[str, Any]] = [
    ("role", None),
    ("role", ""),
    ("role", " \t"),
    ("role", "x" * 65),
    ("role", "a\x00b"),
    ("role", "\udc00"),
    ("role", 7),
    ("role", ["user"]),
    ("content", None),
    ("content", ""),
    ("content", " \n\u3000"),
    ("content", "x" * 100_001),
    ("content", "a\x00b"),
    ("content", "lone \ud800"),
    ("content", {"text": SECRET}),
    ("content", True),
    ("session_id", ""),
    ("session_id", SECRET),
    ("session_id", 7),
    ("session_id", "6f3b0a52-7c6e-4d0a-9a0e-2f6d9d1c7b1"),
    ("tags", "a:b"),
    ("tags", {}),
    ("tags", [""]),
    ("tags", [None]),
    ("tags", [7]),
    ("tags", [["a"]]),
    ("tags", ["x" * 201]),
    ("tags", ["x"] * 51),
    ("tags", ["a\x00b"]),
    ("tags", ["\ud83d"]),
    ("metadata", []),
    ("metadata", SECRET),
    ("metadata", 7),
    ("metadata", nested(21)),
    ("metadata", {"a": [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}),
    ("metadata", {"a": "x" * 65_536}),
    ("metadata", {"a": "b\x00c"}),
    ("metadata", {"a\x00": 1}),
    ("metadata", {"\ud800": 1}),
    ("metadata", {"deep": [{"x": "\udfff"}]}),
    ("created_at", "2999-01-01T00:00:00Z"),
    ("created_at", "yesterday"),
    ("created_at", ""),
    ("created_at", 1767225600),
    ("created_at", "1767225600"),
    ("created_at", "0000-01-01"),
    ("created_at", "2026-02-30"),
    ("created_at", "0001-01-01T00:00:00+14:00"),
    ("created_at", [2026]),
]


def named(value: tuple[str, Any]) -> str:
    return f"{value[0]}={ascii(value[1])[:40]}"


def raw(body: Any) -> dict[str, Any]:
    """By hand: the client's own encoder refuses lone surrogates."""
    return {"content": json.dumps(body).encode(), "headers": JSON}


def places(error: Any) -> set[str]:
    """The fields that an error names; checks that it says nothing else of them."""
    problems = error["details"]["errors"]
    assert problems
    assert all(set(problem) == {"type", "loc", "msg"} for problem in problems)
    assert SECRET not in json.dumps(error)
    return {problem["loc"][1] for problem in problems}


@pytest.mark.parametrize("bad", BAD_EPISODES, ids=named)
@proves("memory.limits", "memory.clean", "memory.created-at", "auth.bad-id")
async def test_a_bad_episode_is_refused_whole_and_in_a_batch(member: Client, bad: tuple[str, Any]) -> None:
    field, value = bad
    before = (await member.search())["total"]
    body = EPISODE | {field: value}
    error = await member.error("POST", "/memory", 422, **raw(body))
    assert error["code"] == "VALIDATION_ERROR"
    assert places(error) == {field}
    answer = await member.data("POST", "/memory/batch", status=201, **raw({"episodes": [body, EPISODE]}))
    assert [item["status"] for item in answer["items"]] == [422, 201]
    assert field in json.dumps(answer["items"][0]["error"]["details"]["errors"][0]["loc"])
    assert (await member.search())["total"] == before + 1


@pytest.mark.parametrize("number", ["1e999", "-1e999"])
async def test_a_number_that_no_double_holds_is_refused(organisation: Client, number: str) -> None:
    content = f'{{"role": "user", "content": "x", "metadata": {{"n": [{number}]}}}}'.encode()
    assert places(await organisation.error("POST", "/memory", 422, content=content, headers=JSON)) == {"metadata"}
    assert (await organisation.search())["total"] == 0


async def test_a_surrogate_where_nobody_looks_changes_no_rule(organisation: Client) -> None:
    ignored = EPISODE | {"unknown": "\ud800"}
    await organisation.data("POST", "/memory", status=201, **raw(ignored))
    for big in (2**64, 10**400):
        error = await organisation.error("POST", "/memory", 422, **raw(ignored | {"metadata": {"n": big}}))
        assert places(error) == {"metadata"}


@proves("envelope.validation")
async def test_every_missing_and_wrong_field_is_named_at_once(organisation: Client) -> None:
    assert places(await organisation.error("POST", "/memory", 422, json={})) == {"role", "content"}
    body: dict[str, Any] = {
        "role": "",
        "content": None,
        "session_id": "x",
        "tags": 1,
        "metadata": [],
        "created_at": "?",
    }
    assert places(await organisation.error("POST", "/memory", 422, json=body)) == set(body)
    assert (await organisation.search())["total"] == 0


@pytest.mark.parametrize(
    "metadata", [[], "x", 7, nested(21), {"a": "x" * 65_536}, {"\ud800": 1}, {"a": "\x00"}], ids=str
)
async def test_a_bad_session_is_refused(member: Client, metadata: Any) -> None:
    before = (await member.data("GET", "/sessions"))["total"]
    error = await member.error("POST", "/sessions", 422, **raw({"metadata": metadata}))
    assert places(error) == {"metadata"}
    assert (await member.data("GET", "/sessions"))["total"] == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("query", 7),
        ("query", ["x"]),
        ("query", "a\x00b"),
        ("query", "\ud800"),
        ("session_id", "x"),
        ("session_id", 7),
        ("role", ""),
        ("role", "x" * 65),
        ("role", 7),
        ("tags", "x"),
        ("tags", [7]),
        ("tags", ["x"] * 51),
        ("tag_filters", {}),
        ("tag_filters", ["x"]),
        ("tag_filters", [{"key": "k"}] * 51),
        ("from_time", "soon"),
        ("from_time", 7),
        ("to_time", "2026-13-01"),
        ("limit", 0),
        ("limit", -1),
        ("limit", 101),
        ("limit", 1.5),
        ("limit", "many"),
        ("limit", 10**30),
        ("offset", -1),
        ("offset", 10**30),
        ("offset", []),
        ("search_mode", "fuzzy"),
        ("search_mode", 7),
        ("search_mode", "Hybrid"),
        ("mode", "fuzzy"),
        ("weights", 1),
        ("explain", "perhaps"),
    ],
)
async def test_a_bad_search_is_refused(member: Client, field: str, value: Any) -> None:
    error = await member.error("POST", "/memory/search", 422, **raw({"query": "x", field: value}))
    assert places(error) == {field}


@proves("envelope.null")
async def test_nulls_are_the_same_as_absence(corpus_of_one: Client) -> None:
    names = (
        "session_id", "role", "tags", "tag_filters", "from_time", "to_time", "limit", "offset", "search_mode", "mode",
        "weights", "explain",
    )  # fmt: skip
    found = await corpus_of_one.search("fine", **dict.fromkeys(names))
    assert found["total"] == 1
    assert (await corpus_of_one.search("fine", tag_filters=[{"key": "a", "op": None, "value": None}]))["total"] == 1


@pytest.fixture
async def corpus_of_one(organisation: Client) -> Client:
    """An organisation with one episode."""
    await organisation.data("POST", "/memory", status=201, json=EPISODE)
    return organisation


@proves("envelope.unknown-fields")
async def test_unknown_fields_are_ignored(corpus_of_one: Client) -> None:
    await corpus_of_one.search("fine", user_id="x", threshold=0.9, search_type={"a": []}, org_id=None)


@pytest.mark.parametrize("path", ["/auth/refresh", "/auth/logout"])
@pytest.mark.parametrize("value", [None, "", 7, ["x"], "x" * 4097], ids=lambda value: ascii(value)[:20])
async def test_a_bad_refresh_token_is_named(anonymous: Client, path: str, value: Any) -> None:
    assert places(await anonymous.error("POST", path, 422, json={"refresh_token": value})) == {"refresh_token"}


@pytest.mark.parametrize("path", ["/auth/refresh", "/auth/logout"])
async def test_a_refresh_token_that_is_none_is_401(anonymous: Client, path: str) -> None:
    for value in ("é" * 10, "a.b.c", "\u202e", "x" * 4096):
        await anonymous.error("POST", path, 401, "TOKEN_INVALID", json={"refresh_token": value})
