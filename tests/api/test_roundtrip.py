"""What goes in comes out, byte for byte; and no body of any shape is more than a refusal."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.http.routing import Route
from app.types import METADATA_MAX_BYTES
from tests.api.paths import each, filled, has_body
from tests.client import Client
from tests.promises import proves

LONGEST = 100_000
JSON = {"Content-Type": "application/json"}


def every_plane() -> str:
    """100,000 characters from all of Unicode's planes, unassigned and private ones too."""
    points = (point for point in range(1, 0x110000, 12) if not 0xD800 <= point <= 0xDFFF)
    text = "".join(map(chr, points))
    assert {ord(character) >> 16 for character in text} == set(range(17))
    return text.ljust(LONGEST, "x")


async def through(client: Client, **fields: Any) -> None:
    """Store, then read by search and by history; both must give exactly what was stored."""
    session_id = await client.session(**fields.get("metadata", {}))
    body = {"role": "user", "session_id": session_id} | fields
    await client.data("POST", "/memory", status=201, json=body)
    found = await client.search(None, session_id=session_id)
    past = await client.data("GET", f"/sessions/{session_id}/history")
    for read in (found["results"], past["episodes"]):
        assert len(read) == 1
        assert {name: read[0][name] for name in body} == body
    shown = await client.data("GET", f"/sessions/{session_id}")
    assert shown["session"]["metadata"] == fields.get("metadata", {})


@pytest.mark.parametrize(
    "content",
    [
        every_plane(),
        "x" * LONGEST,
        "\U0001f600" * LONGEST,
        "\u0301" * LONGEST,
        "  leading and trailing \r\n\t ",
        "\ufeffbom \u202e \u200b \x01\x1f\x7f\x85\u2028",
        "e\u0301 is not \u00e9",
        '{"json": "inside", "\\": \'quotes\'}',
        "<|endoftext|> <s> [CLS]",
    ],
    ids=["planes", "ascii", "emoji", "marks", "space", "controls", "forms", "json", "tokens"],
)
@proves("memory.unicode")
async def test_content_comes_out_byte_for_byte(unembedded: Client, content: str) -> None:
    await through(unembedded, content=content)


async def test_a_long_text_is_found_by_its_words(unembedded: Client) -> None:
    content = "filler " * 10_000 + "lighthouse"
    await unembedded.store(content)
    assert await unembedded.contents("lighthouse", search_mode="keyword") == [content]


@pytest.mark.parametrize(
    "metadata",
    [
        {"": "empty", " ": "blank", "a.b": 1, "a": {"b": 2, ".": 3, "..": {}, "c.d.e": []}},
        {".": 1, "..": 2, ".a": 3, "a.": 4, "a..b": 5},
        {"$ref": "$where", "_id": 1, "_source": {"_index": 2}, "__proto__": {}, "constructor": None},
        {"😀": "😀", "é": "e\u0301", "\u202e": "\u200b", "日本語": ["語"]},
        {"k" * 60_000: 1},
        {"k": "v" * 65_000},
        {"numbers": [0, -1, 2**53, 2**63 - 1, -(2**63), 2**64 - 1, 0.1, 1e300, 5e-324, -0.5]},
        {"mixed": [1, "a", None, True, {}, [], [[1], "b"], {"c": [{}]}]},
        {"date": "2026-01-01", "number": "12", "bool": "true", "geo": {"lat": 1, "lon": "x"}},
        {str(n): n for n in range(5_000)},
        {"deep": {"2": {"3": {"4": {"5": {"6": {"7": {"8": {"9": {"10": [[[[[[[[[[]]]]]]]]]]}}}}}}}}}},
    ],
    ids=lambda value: ascii(value)[:30],
)
async def test_metadata_comes_out_as_it_went_in(unembedded: Client, metadata: dict[str, Any]) -> None:
    await through(unembedded, content="x", metadata=metadata)


@proves("memory.limits")
async def test_metadata_may_fill_its_limit(unembedded: Client) -> None:
    room = METADATA_MAX_BYTES - len('{"":""}')
    await through(unembedded, content="x", metadata={"k" * (room // 2): "v" * (room - room // 2)})


async def test_episodes_may_have_metadata_of_clashing_types(unembedded: Client) -> None:
    values: list[Any] = [1, "text", {"b": 1}, [[]], True, "2026-01-01"]
    for metadata in [*({"a": value} for value in values), {"a.b": 1}]:
        await through(unembedded, content="x", metadata=metadata)


@pytest.mark.parametrize("role", ["system", "a role with spaces", "😀" * 64, "Ünïcode", "*", "\t x"])
async def test_a_role_is_any_word(unembedded: Client, role: str) -> None:
    await through(unembedded, content="x", role=role)
    assert (await unembedded.search(None, role=role))["total"] == 1


async def test_tags_come_out_in_their_order_with_repeats(unembedded: Client) -> None:
    await through(unembedded, content="x", tags=["b", "a", "b", "k:v", " ", "😀" * 200, "\U0010fffd"])


PLAUSIBLE = st.sampled_from(
    ["user", "x", "", "a:b", "gte", "eq", "keyword", "semantic", "2026-01-01", "2026-01-01T00:00:00+14:00",
     "6f3b0a52-7c6e-4d0a-9a0e-2f6d9d1c7b11", "ada@example.com", "correct-horse-battery-staple", "0001-01-01",
     "9999-12-31T23:59:59-12:00", "1e308", "-0"]
)  # fmt: skip
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=8)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    ANY_TEXT,
    PLAUSIBLE,
)
FIELDS = st.sampled_from(
    ["key", "value", "op", "semantic", "keyword", "recency", "role", "content", "session_id", "tags", "metadata"]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(FIELDS, ANY_TEXT), inner, max_size=4)
    ),
    max_leaves=12,
)


def bodies(names: list[str]) -> st.SearchStrategy[Any]:
    """Objects with the route's own fields, mostly filled with something else."""
    ours = st.dictionaries(st.sampled_from(names), VALUES, max_size=len(names))
    return st.one_of(ours, st.builds(lambda known, more: known | more, ours, st.dictionaries(ANY_TEXT, VALUES)), VALUES)


@each(has_body)
@given(data=st.data())
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
async def test_no_body_is_more_than_a_refusal(unembedded: Client, route: Route, data: st.DataObject) -> None:
    body = data.draw(bodies([*route.body.model_fields, "mode"]))
    response = await unembedded.send(
        route.method, filled(route, unembedded.user_id), content=json.dumps(body).encode(), headers=JSON
    )
    assert response.status_code in (200, 201, 401, 404, 409, 422), response.text
    assert response.json()


@given(metadata=st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
async def test_metadata_that_is_taken_is_given_back(unembedded: Client, metadata: dict[str, Any]) -> None:
    given_json = json.dumps(metadata)
    body = f'{{"metadata": {given_json}}}'.encode()
    response = await unembedded.send("POST", "/sessions", content=body, headers=JSON)
    if response.status_code == 422:
        assert "\\u0000" in given_json or "\\ud" in given_json
        return
    session = response.json()["data"]
    read = (await unembedded.data("GET", f"/sessions/{session['session_id']}"))["session"]["metadata"]
    assert same(read, metadata)
    assert same(session["metadata"], metadata)


def same(left: Any, right: Any) -> bool:
    """Equality of JSON; integers beyond 64 bits come back as the nearest double."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float) and isinstance(right, int) and not isinstance(right, bool):
        return math.isclose(left, right, rel_tol=1e-15)
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)
