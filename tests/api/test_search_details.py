"""What a search is asked for beside its results: neighbours, matched words, a least score, another clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.conftest import Corpus
from tests.client import Client
from tests.conftest import Embed

MODES = ("semantic", "keyword", "hybrid")
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
TALK = ["Shall we meet?", "Where?", "At the lighthouse", "When?", "On Friday", "Good"]


async def talk(client: Client, said: list[str], **fields: Any) -> list[str]:
    session_id = await client.session()
    return [
        await client.store(
            text, session_id=session_id, created_at=(START + timedelta(minutes=number)).isoformat(), **fields
        )
        for number, text in enumerate(said)
    ]


def texts(turns: list[dict[str, Any]]) -> list[str]:
    return [turn["content"] for turn in turns]


@pytest.mark.parametrize("mode", MODES)
async def test_turns_around_a_result_come_with_it_in_their_order(organisation: Client, embed: Embed, mode: str) -> None:
    ids = await talk(organisation, TALK)
    await talk(organisation, ["Another session", "about gardens"])
    await embed()
    found = await organisation.search("the lighthouse", search_mode=mode, limit=1, include_context=2)
    (result,) = found["results"]
    assert result["content"] == TALK[2]
    assert texts(result["context"]["before"]) == TALK[:2]
    assert texts(result["context"]["after"]) == TALK[3:5]
    assert result["context"]["before"][0] == {
        "episode_id": ids[0], "role": "user", "content": TALK[0], "created_at": "2026-03-01T12:00:00Z",
    }  # fmt: skip
    assert result["explanation"] is None


async def test_neighbours_end_with_the_session_and_leave_out_what_is_deleted(organisation: Client) -> None:
    ids = await talk(organisation, TALK)
    alone = await organisation.store("A lighthouse outside of any session")
    await organisation.data("DELETE", f"/memory/{ids[1]}")
    found = await organisation.search("lighthouse", search_mode="keyword", include_context=10)
    shown = {result["episode_id"]: result["context"] for result in found["results"]}
    assert texts(shown[ids[2]]["before"]) == TALK[:1]
    assert texts(shown[ids[2]]["after"]) == TALK[3:]
    assert shown[alone] is None
    assert found["total"] == 2


async def test_neighbours_are_the_callers_own(organisation: Client, stranger: Client) -> None:
    await talk(stranger, TALK)
    ids = await talk(organisation, TALK)
    found = await organisation.search("lighthouse", search_mode="keyword", include_context=5)
    turns = [turn for result in found["results"] for turns in result["context"].values() for turn in turns]
    assert {turn["episode_id"] for turn in turns} == set(ids) - {ids[2]}


@pytest.mark.parametrize("mode", MODES)
async def test_an_explained_result_shows_which_of_its_words_matched(corpus: Corpus, mode: str) -> None:
    found = await corpus.client.search("surprising gardens", search_mode=mode, explain=True, limit=50)
    for result in found["results"]:
        expected = [word for word in ("surprise", "garden") if word in result["content"]]
        assert result["matched"] == expected
    assert any(len(result["matched"]) == 2 for result in found["results"])


async def test_an_answer_shows_only_what_is_asked_for(corpus: Corpus) -> None:
    plain = (await corpus.client.search("music"))["results"][0]
    assert not {"matched", "context", "explanation"} & set(plain)
    newest = (await corpus.client.search(explain=True, include_context=1, limit=1))["results"][0]
    assert (newest["explanation"], newest["matched"]) == (None, None)


@pytest.mark.parametrize("mode", MODES)
async def test_a_least_score_leaves_out_the_rest_and_counts_what_stays(corpus: Corpus, mode: str) -> None:
    query = "the garden budget of week 3"
    whole = await corpus.client.search(query, search_mode=mode, limit=100)
    least = whole["results"][len(whole["results"]) // 3]["score"] - 1e-6
    wanted = [result for result in whole["results"] if result["score"] >= least]
    assert 0 < len(wanted) < len(whole["results"])
    found = await corpus.client.search(query, search_mode=mode, limit=100, min_score=least)
    assert found["results"] == wanted
    assert found["total"] == len(wanted)
    page = await corpus.client.search(query, search_mode=mode, limit=3, offset=2, min_score=least)
    assert page["results"] == wanted[2:5]
    assert page["total"] == len(wanted)
    assert (await corpus.client.search(query, search_mode=mode, min_score=1))["total"] == 0


async def test_recency_is_counted_from_the_moment_that_is_asked_about(organisation: Client) -> None:
    await organisation.store("old lighthouse", created_at="2020-05-01")
    await organisation.store("new lighthouse", created_at="2026-05-01")

    async def recency(**fields: Any) -> dict[str, float]:
        found = await organisation.search("lighthouse", explain=True, **fields)
        return {result["content"]: result["explanation"]["recency"]["score"] for result in found["results"]}

    now = await recency()
    then = await recency(at="2020-05-31T00:00:00Z")
    assert now["old lighthouse"] < 0.001
    assert then["old lighthouse"] == pytest.approx(0.5, abs=0.01)
    # What was said later isn't hidden, and counts as just said.
    assert then["new lighthouse"] == 1


@pytest.mark.parametrize("mode", ["semantic", "hybrid"])
async def test_pages_join_where_the_second_stage_ends(unembedded: Client, embed: Embed, mode: str) -> None:
    """Two hundred are looked at closely; what comes after them follows in the order of the first stage."""
    session_id = await unembedded.session()
    episodes = [
        {
            "role": "user",
            "content": f"Number {n} of the {('lighthouse', 'garden', 'invoice', 'train')[n % 4]}s, {n % 7} days old",
            "session_id": session_id if n % 3 else None,
        }
        for n in range(230)
    ]
    await unembedded.data("POST", "/memory/batch", status=201, json={"episodes": episodes})
    await embed()
    results: list[dict[str, Any]] = []
    for offset in range(0, 300, 37):
        page = await unembedded.search("an old garden", search_mode=mode, limit=37, offset=offset)
        assert page["total"] == 230
        results += page["results"]
    assert len({result["episode_id"] for result in results}) == len(results) == 230
    scores = [result["score"] for result in results]
    assert scores == sorted(scores, reverse=True)
    for least in (scores[220] - 1e-6, scores[100] - 1e-6):
        wanted = [result for result in results if result["score"] >= least]
        found = await unembedded.search("an old garden", search_mode=mode, limit=100, offset=150, min_score=least)
        assert found["total"] == len(wanted)
        assert found["results"] == wanted[150:250]


@pytest.mark.parametrize(
    ("field", "value"),
    [("include_context", -1), ("include_context", 11), ("min_score", 1.1), ("min_score", -0.1), ("at", "soon")],
)
async def test_what_is_out_of_bounds_is_refused(member: Client, field: str, value: Any) -> None:
    error = await member.error("POST", "/memory/search", 422, json={"query": "x", field: value})
    assert error["details"]["errors"][0]["loc"] == ["body", field]


REPEATED = "The spare key of the boat house hangs behind the third oar on the left"


@pytest.mark.parametrize("mode", MODES)
async def test_near_duplicates_are_shown_once_with_their_number(organisation: Client, embed: Embed, mode: str) -> None:
    said = [REPEATED, REPEATED + ".", REPEATED.upper(), REPEATED.replace("third", "4th"), "Who has the boat key?"]
    for text in said:
        await organisation.store(text)
    await organisation.store(REPEATED, role="assistant")
    await embed()
    asked = {"query": "key of the boat house", "search_mode": mode}
    assert (await organisation.search(**asked))["total"] == 6
    found = await organisation.search(**asked, collapse=True)
    shown = {(result["content"].casefold().rstrip("."), result["role"]): result for result in found["results"]}
    assert {key: result["duplicates"] for key, result in shown.items()} == {
        (REPEATED.casefold(), "user"): 2,
        (REPEATED.casefold(), "assistant"): 0,
        (said[3].casefold(), "user"): 0,
        ("who has the boat key?", "user"): 0,
    }
    assert found["total"] == 4
    scores = [result["score"] for result in found["results"]]
    assert scores == sorted(scores, reverse=True)
    pages = [await organisation.search(**asked, collapse=True, limit=1, offset=offset) for offset in range(5)]
    assert [page["results"] for page in pages] == [[result] for result in found["results"]] + [[]]


async def test_without_words_the_newest_of_what_was_said_again_is_shown(organisation: Client) -> None:
    await talk(organisation, ["Good morning", "What is the weather like?", "Good morning!"])
    found = await organisation.search(collapse=True, explain=True, include_context=1)
    assert texts(found["results"]) == ["Good morning!", "What is the weather like?"]
    assert [result["duplicates"] for result in found["results"]] == [1, 0]
    assert texts(found["results"][0]["context"]["before"]) == ["What is the weather like?"]


async def test_results_are_plain_unless_something_is_asked_for_beside_them(organisation: Client) -> None:
    await organisation.store("Good morning")
    (result,) = (await organisation.search("morning", search_mode="keyword"))["results"]
    assert not {"duplicates", "context", "matched", "explanation"} & set(result)


async def test_what_was_said_when_the_query_says_comes_first(organisation: Client, embed: Embed) -> None:
    for day in range(4):
        said = START - timedelta(days=day)
        await organisation.store("I planned a walk by the river", created_at=said.isoformat(), metadata={"ago": day})
    await embed()
    at = (START + timedelta(hours=1)).isoformat()

    async def first(query: str) -> int:
        return int((await organisation.search(query, at=at))["results"][0]["metadata"]["ago"])

    assert await first("What did I plan?") == 0
    assert await first("What did I plan yesterday?") == 1
    assert await first("What did I plan 3 days ago?") == 3
    assert await first("What did I plan on 27 February?") == 2
