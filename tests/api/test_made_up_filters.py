"""Filters with whatever could be taken for something else, held against what they mean, in plain Python."""

from __future__ import annotations

import operator
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from app.episodes.tags import number
from tests.client import Client, connect
from tests.conftest import PASSWORD
from tests.fuzzing import HOSTILE, made_up
from tests.promises import proves
from tests.reliability import fuzzed

KEYS = ("k", "a:b", *HOSTILE[:24])
VALUES = ("", "v", "0.5", "7", *HOSTILE)
ROLES = ("user", "assistant", "system")
TEXT = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))


@dataclass(frozen=True)
class Row:
    content: str
    tags: tuple[str, ...]
    role: str
    session_id: str | None


@dataclass(frozen=True)
class Stored:
    client: Client
    rows: list[Row]
    sessions: list[str]


@pytest.fixture(scope="module")
async def stored(base_url: str) -> AsyncIterator[Stored]:
    """Episodes with every hostile string as a tag, as a key and as a value; and somebody else's, with the same."""
    async with connect(base_url) as client, connect(base_url) as stranger:
        for caller in (stranger, client):
            await caller.register(f"{uuid.uuid4().hex}@example.com", PASSWORD)
            sessions = [await caller.session() for _ in range(2)]
            rows = [
                Row(f"word{place}", tags, ROLES[place % 3], [*sessions, None][place % 4 % 3])
                for place, tags in enumerate(_tags())
            ]
            bodies = [
                {"role": row.role, "content": row.content, "tags": list(row.tags), "session_id": row.session_id}
                for row in rows
            ]
            answer = await caller.data("POST", "/memory/batch", status=201, json={"episodes": bodies})
            assert answer["failed"] == 0
        yield Stored(client, rows, sessions)


def _tags() -> list[tuple[str, ...]]:
    alone = [(text,) for text in HOSTILE if text.strip()]
    pairs = [(f"{key}:{VALUES[place % len(VALUES)]}", f"k:{value}") for place, (key, value) in enumerate(_pairs())]
    return [*alone, *pairs, ()]


def _pairs() -> list[tuple[str, str]]:
    return [(key, VALUES[(place * 7) % len(VALUES)]) for place, key in enumerate(KEYS)]


FILTER = st.fixed_dictionaries(
    {"key": st.one_of(st.sampled_from(KEYS), TEXT.filter(lambda text: 0 < len(text) <= 40))},
    optional={
        "op": st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte", "exists", "prefix"]),
        "value": st.one_of(st.sampled_from(VALUES), TEXT.map(lambda text: text[:40]), st.integers(-9, 9)),
    },
)
SEARCH = st.fixed_dictionaries(
    {},
    optional={
        "tag_filters": st.lists(FILTER, min_size=1, max_size=2),
        "tags": st.lists(st.sampled_from([tag for tags in _tags() for tag in tags]), min_size=1, max_size=2),
        "role": st.sampled_from(ROLES),
        "session": st.integers(0, 1),
    },
)


def holds(wanted: dict[str, Any], tags: tuple[str, ...]) -> bool | None:
    """Whether a filter lets tags through; None where it can't be asked so."""
    key, op, value = wanted["key"], wanted.get("op", "eq"), wanted.get("value")
    text = None if value is None else str(value)
    values = [tag.removeprefix(f"{key}:") for tag in tags if tag.startswith(f"{key}:")]
    if op in ("gt", "gte", "lt", "lte"):
        limit = None if text is None else number(text)
        if limit is None:
            return None
        # A comparison's key is all before the last colon, so that it knows what its number is.
        numbers = [number(tag.rpartition(":")[2]) for tag in tags if tag.rpartition(":")[0] == key]
        compared = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}[op]
        return any(compared(one, limit) for one in numbers if one is not None)
    if op == "prefix":
        return None if text is None else any(one.startswith(text) for one in values)
    there = bool(values) if op == "exists" or text is None else text in values
    return not there if op == "ne" else there


def expected(search: dict[str, Any], stored: Stored) -> set[str] | None:
    found = set()
    for row in stored.rows:
        answers = [holds(wanted, row.tags) for wanted in search.get("tag_filters", [])]
        if None in answers:
            return None
        fits = all(answers) and set(search.get("tags", [])) <= set(row.tags)
        fits = fits and search.get("role") in (None, row.role)
        if "session" in search:
            fits = fits and row.session_id == stored.sessions[search["session"]]
        if fits:
            found.add(row.content)
    return found


@proves("search.tag-filters")
async def test_a_filter_is_data_whatever_is_in_it(stored: Stored) -> None:
    searches: list[dict[str, Any]] = []

    @made_up(150)
    @hypothesis.given(SEARCH)
    def cases(search: dict[str, Any]) -> None:
        searches.append(search)

    cases()
    for search in searches:
        body: dict[str, Any] = {name: value for name, value in search.items() if name != "session"}
        if "session" in search:
            body["session_id"] = stored.sessions[search["session"]]
        wanted = expected(search, stored)
        if wanted is None:
            await stored.client.error("POST", "/memory/search", 422, json={"query": None, "limit": 100} | body)
        else:
            assert set(await stored.client.contents(None, limit=100, **body)) == wanted, search
    fuzzed("filters, against what they mean in Python", len(searches))


async def test_a_query_is_words_whatever_is_in_it(stored: Stored) -> None:
    """Nothing in it finds more than its words do."""
    queries: list[str] = []

    @made_up(60)
    @hypothesis.given(st.lists(st.one_of(TEXT, st.sampled_from([row.content for row in stored.rows])), max_size=4))
    def cases(parts: list[str]) -> None:
        queries.append(" ".join(parts))

    cases()
    for query in queries:
        if not query.strip():
            continue
        found = set(await stored.client.contents(query, search_mode="keyword", limit=100))
        named = {row.content for row in stored.rows if row.content in query.split()}
        assert found == named or found <= {row.content for row in stored.rows if row.content in query}, query
        assert named <= found
    fuzzed("queries of hostile words", len(queries))
