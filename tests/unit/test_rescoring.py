"""The second stage: nothing falls, nothing leaves 0..1, and each lift lifts what it should."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.embedding import late
from app.episodes.embedded import is_question, speaker
from app.episodes.models import Mix
from app.episodes.ranking import Curves
from app.episodes.rescoring import Candidate, Rescored, Tuning, rescore

MIX = Mix(0.6, 0.3, 0.1)
DIMS = 96
DAY_MS = 86_400_000
# Everything here is ancient but for what says otherwise.
CURVES = Curves(0.7, 0.92, 30.0 * DAY_MS, 10_000 * DAY_MS)
NONE = np.empty((0, DIMS), dtype=np.float32)
Found = tuple[Candidate, float]
PLAIN: Found = (Candidate("plain", "session", 1_000, 1, "user", None, 8, True, None, b""), 0.3)
NOTHING = Tuning(tokens=False, next_turn=0, session=0, says_much=0, states=0, named=0, dated=0)

words = st.text(max_size=40)
candidates = st.lists(
    st.tuples(
        st.builds(
            Candidate,
            episode_id=st.sampled_from([f"id{number}" for number in range(30)]),
            session_id=st.sampled_from([None, "a", "b"]),
            created_ms=st.integers(-(10**12), 10**13),
            ordinal=st.integers(0, 10**16),
            role=st.sampled_from(["user", "Anna", "tool use"]),
            speaker=st.sampled_from([None, "Ben", "Mary Ann"]),
            token_count=st.integers(0, 10**6),
            is_question=st.booleans(),
            said_after=st.sampled_from([None, "id1", "id2", "elsewhere"]),
            codes=st.binary(min_size=DIMS // 8, max_size=DIMS // 8) | st.just(b""),
        ),
        st.floats(0, 1),
    ),
    max_size=40,
    unique_by=lambda pair: pair[0].episode_id,
)
mixes = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(
    lambda pair: Mix(min(pair), max(pair) - min(pair), 1 - max(pair))
)


def scores(given_: list[Found], query: str = "", tuning: Tuning = NOTHING) -> dict[str, float]:
    return {one.episode_id: one.score for one in rescore(given_, query, NONE, None, MIX, CURVES, tuning)}


def other(score: float = 0.3, **changes: object) -> Found:
    return dataclasses.replace(PLAIN[0], **{"episode_id": "other", **changes}), score  # type: ignore[arg-type]


def key(one: Rescored, by_id: dict[str, Candidate]) -> tuple[float, int, int, str]:
    candidate = by_id[one.episode_id]
    return (-one.score, -candidate.created_ms, -candidate.ordinal, one.episode_id)


@given(candidates, mixes, words, st.booleans())
def test_nothing_falls_or_leaves_0_to_1_and_the_order_is_total(
    given_: list[Found], mix: Mix, query: str, by_token: bool
) -> None:
    drawn = np.random.default_rng(1).standard_normal((3, DIMS)).astype(np.float32)
    tokens = late.query(drawn, drawn, np.zeros(DIMS, dtype=np.float32)).tokens
    found = rescore(given_, query, tokens, (0.2, 0.6) if by_token else None, mix, CURVES)
    by_id = {candidate.episode_id: candidate for candidate, _ in given_}
    before = {candidate.episode_id: score for candidate, score in given_}
    assert {one.episode_id for one in found} == set(by_id)
    for one in found:
        assert before[one.episode_id] - 1e-6 <= one.relevance <= 1
        assert 0 <= one.lift < 1
        assert one.relevance - 1e-6 <= one.score <= 1
    assert all(key(first, by_id) < key(second, by_id) for first, second in pairwise(found))


def test_without_a_tuning_the_first_stage_stands() -> None:
    assert scores([PLAIN, other(score=0.5)]) == {"plain": 0.3, "other": 0.5}


def test_what_is_explained_by_the_next_turn_is_lifted() -> None:
    after = other(said_after="plain", score=0.8)
    assert scores([PLAIN, after], tuning=dataclasses.replace(NOTHING, next_turn=0.5)) == {
        "plain": pytest.approx(0.3 + 0.7 * 0.9 * 0.5 * 0.8),
        "other": 0.8,
    }


def test_a_session_that_fits_lifts_its_turns() -> None:
    tuning = dataclasses.replace(NOTHING, session=0.3)
    best = [other(episode_id=f"best{number}", score=0.9) for number in range(3)]
    elsewhere = other(episode_id="elsewhere", session_id="another")
    alone = other(episode_id="alone", session_id=None)
    found = scores([PLAIN, elsewhere, alone, *best], tuning=tuning)
    assert found["plain"] == pytest.approx(0.3 + 0.7 * 0.9 * 0.3 * 0.9)
    assert found["elsewhere"] == pytest.approx(0.3 + 0.7 * 0.9 * 0.3 * 0.1)
    assert found["alone"] == 0.3


def test_what_has_nothing_of_the_query_is_not_lifted_however_new_it_is() -> None:
    new = other(0.1, episode_id="new", created_ms=CURVES.now_ms, token_count=80, is_question=False)
    word = other(0.11, episode_id="word", created_ms=CURVES.now_ms)
    best = [other(0.9, episode_id=f"best{number}") for number in range(3)]
    found = rescore([PLAIN, new, word, *best], "user", NONE, None, MIX, CURVES)
    lifts = {one.episode_id: one.lift for one in found}
    assert lifts["new"] == 0
    assert 0 < lifts["word"] < 0.2 * lifts["plain"]


def test_statements_that_say_much_are_lifted() -> None:
    tuning = dataclasses.replace(NOTHING, says_much=0.1, states=0.1)
    found = scores(
        [PLAIN, other(token_count=80, is_question=False), other(episode_id="long", token_count=10_000)], tuning=tuning
    )
    assert found["plain"] == 0.3
    assert found["long"] == pytest.approx(0.3 + 0.7 * 0.09)
    assert found["other"] == pytest.approx(0.3 + 0.7 * 0.18)


@pytest.mark.parametrize(
    ("query", "lifted"),
    [
        ("What did Anna say?", {"anna"}),
        ("what did ANNA's sister say", {"anna"}),
        ("What did Anna and Ben say?", set()),
        ("Where was Mary?", set()),
        ("Where was Mary Ann?", {"mary"}),
        ("What does the user want?", {"plain", "mary"}),
        ("nobody", set()),
    ],
)
def test_who_is_named_is_lifted_where_no_other_is(query: str, lifted: set[str]) -> None:
    given_ = [
        PLAIN,
        other(episode_id="anna", speaker="Anna", role="assistant"),
        other(episode_id="ben", speaker="Ben", role="assistant"),
        other(episode_id="mary", speaker="Mary Ann"),
    ]
    found = scores(given_, query, dataclasses.replace(NOTHING, named=0.1))
    assert {episode_id for episode_id, score in found.items() if score > 0.3} == lifted


def test_what_was_said_about_when_the_query_names_is_lifted() -> None:
    days = {"then": 5, "a week later": 12, "not": 99}
    given_ = [other(episode_id=name, created_ms=day * DAY_MS) for name, day in days.items()]
    found = scores(given_, "What was it on 6 January 1970?", dataclasses.replace(NOTHING, dated=0.1))
    assert found["then"] == pytest.approx(0.3 + 0.7 * 0.9 * 0.1)
    assert found["a week later"] == pytest.approx(0.3 + 0.7 * 0.9 * 0.05)
    assert found["not"] == 0.3
    assert set(scores(given_, "What was it?", dataclasses.replace(NOTHING, dated=0.1)).values()) == {0.3}


@pytest.mark.parametrize(
    ("content", "asks"),
    [
        ("Where is Mimi?", True), ("Where? There.", False), ("“Why?”", True), ("どこですか？", True), ("أين؟ ", True),
        ("«Πού;»", False), ("Πού\u037e", True), ("?", True), ("", False), ("a?b", False), ("?" * 100_000, True),
    ],
)  # fmt: skip
def test_a_question_is_known_by_its_end(content: str, asks: bool) -> None:
    assert is_question(content) is asks


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("Anna: Good morning", "Anna"), ("Mary Ann: hi", "Mary Ann"), ("Dr. O'Neil: well", "Dr. O'Neil"),
        ("安娜：早上好", "安娜"), ("Good morning", None), ("10:30 is fine", None), ("Anna:", None),
        ("https://example.com is down", None), ("This is a long sentence: with a colon", None), ("", None),
        ("x" * 100 + ": y", None),
    ],
)  # fmt: skip
def test_a_transcripts_speaker_is_read_off_its_beginning(content: str, name: str | None) -> None:
    assert speaker(content) == name
