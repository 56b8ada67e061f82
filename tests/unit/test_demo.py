"""The demo's conversation and questions fit each other, and the server's limits."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from app.demo.cast import Session, Turn
from app.demo.conversation import REHEARSAL, SECRET, SESSIONS
from app.demo.questions import MODES, QUESTIONS, Question
from app.demo.show import COLOURS, WHO_WIDTH

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TURNS = [turn for session in SESSIONS for turn in session.turns]
# Limits of the wire contract, below which the demo has to stay by far.
ROLE_MAX_CHARS, TAGS_MAX, TAG_MAX_CHARS, BATCH_MAX = 64, 50, 200, 500
ONE_LINE_OF_THOUGHT = 200
# An order number, a reference or an error code: capitals, a hyphen, and digits somewhere.
IDENTIFIER = re.compile(r"\b(?=[\w-]*\d)[A-Z]+(?:-[A-Z0-9]+)+\b")
# Those that Elasticsearch's english analyzer drops.
STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be but by for if in into is it no not of on or such that the their then there "
        "these they this to was will with",
    )
)


def _answering(question: Question) -> list[Turn]:
    return [turn for turn in TURNS if question.answer in turn.text]


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", text.lower())) - STOP_WORDS


def _values(turn: Turn, key: str) -> list[str]:
    return [value for name, _, value in (tag.partition(":") for tag in turn.tags) if name == key]


def _passes(question: Question, session: Session, turn: Turn) -> bool:
    filters = question.filters
    if "role" in filters and turn.role != filters["role"]:
        return False
    if question.since_days is not None and session.days_ago >= question.since_days:
        return False
    for tag_filter in filters.get("tag_filters", []):
        values = _values(turn, tag_filter["key"])
        if tag_filter["op"] == "eq" and tag_filter["value"] not in values:
            return False
        if tag_filter["op"] == "gte" and not any(float(value) >= float(tag_filter["value"]) for value in values):
            return False
    return True


def test_is_long_enough_to_be_worth_searching() -> None:
    assert 5 <= len(SESSIONS) <= 6
    assert 55 <= len(TURNS) <= 75
    assert 8 <= len(QUESTIONS) <= 10
    assert len(REHEARSAL.turns) <= BATCH_MAX


def test_titles_texts_and_questions_are_unique() -> None:
    assert len({session.title for session in SESSIONS}) == len(SESSIONS)
    assert len({turn.text for turn in [*TURNS, SECRET]}) == len(TURNS) + 1
    assert len({question.ask for question in QUESTIONS}) == len(QUESTIONS)


def test_sessions_follow_each_other_to_the_present() -> None:
    days = [session.days_ago for session in SESSIONS]
    assert days == sorted(set(days), reverse=True)
    assert days[-1] == 0


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.title)
def test_times_rise_within_a_session_and_stay_in_the_past(session: Session) -> None:
    times = session.times(NOW)
    assert len(times) == len(session.turns)
    assert all(earlier < later for earlier, later in pairwise(times))
    assert times[-1] <= NOW - timedelta(days=session.days_ago, minutes=1)
    assert times[0] > NOW - timedelta(days=session.days_ago, hours=1)


@pytest.mark.parametrize("turn", [*TURNS, SECRET], ids=lambda turn: turn.text[:30])
def test_turns_keep_within_the_limits_and_print_anywhere(turn: Turn) -> None:
    assert turn.text.isascii()
    assert turn.text == " ".join(turn.text.split())
    assert 0 < len(turn.text) <= ONE_LINE_OF_THOUGHT
    assert 0 < len(turn.role) <= ROLE_MAX_CHARS
    assert len(turn.speaker.name) <= WHO_WIDTH
    assert turn.role == "system" or turn.speaker.name in COLOURS
    assert 0 < len(turn.tags) <= TAGS_MAX
    assert len(set(turn.tags)) == len(turn.tags)
    for tag in turn.tags:
        assert re.fullmatch(r"[a-z]+:[a-z0-9.-]+", tag)
        assert len(tag) <= TAG_MAX_CHARS
    assert _values(turn, "kind"), "each turn says what kind it is"
    for number in [*_values(turn, "confidence"), *_values(turn, "amount"), *_values(turn, "severity")]:
        assert float(number) >= 0
    assert all(0 <= float(value) <= 1 for value in _values(turn, "confidence"))


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.ask)
def test_exactly_one_turn_answers_and_its_own_filters_let_it_through(question: Question) -> None:
    assert len(_answering(question)) == 1
    passing = [turn for session in SESSIONS for turn in session.turns if _passes(question, session, turn)]
    assert _answering(question)[0] in passing
    assert len(passing) > 1, "a filter that leaves one turn leaves nothing to rank"


@pytest.mark.parametrize("question", [q for q in QUESTIONS if "no word in common" in q.shows], ids=lambda q: q.ask)
def test_paraphrases_share_no_word_with_their_answer(question: Question) -> None:
    assert question.mode == "semantic"
    assert not _words(question.ask) & _words(_answering(question)[0].text)


@pytest.mark.parametrize("question", [q for q in QUESTIONS if q.mode == "keyword"], ids=lambda q: q.ask)
def test_keyword_questions_name_an_identifier_of_their_answer(question: Question) -> None:
    (identifier,) = IDENTIFIER.findall(question.ask)
    assert identifier in _answering(question)[0].text


def test_every_identifier_but_the_error_code_is_said_once() -> None:
    said = [identifier for turn in [*TURNS, SECRET] for identifier in IDENTIFIER.findall(turn.text)]
    assert {"HG-48813", "TK-20417-C", "AV-7731-26", "RS-1192", "QUACK-7-NINE"} <= set(said)
    assert {identifier for identifier in said if said.count(identifier) > 1} == {"ERR-GPS-0417"}


def test_each_mode_each_filter_and_an_explanation_are_shown() -> None:
    assert {question.mode for question in QUESTIONS} == set(MODES)
    assert {key for question in QUESTIONS for key in question.filters} == {"tag_filters", "role", "weights"}
    assert any(question.since_days for question in QUESTIONS)
    assert [question.mode for question in QUESTIONS if question.explain] == ["hybrid"]


def test_weights_sum_to_one() -> None:
    for question in QUESTIONS:
        if weights := question.filters.get("weights"):
            assert sum(weights.values()) == pytest.approx(1.0)


def test_body_of_a_search() -> None:
    question = Question("Where?", "", "hybrid", "there", {"role": "tool"}, since_days=7, explain=True)
    assert question.body("keyword", NOW, limit=5) == {
        "query": "Where?",
        "search_mode": "keyword",
        "limit": 5,
        "role": "tool",
        "from_time": "2026-02-22T12:00:00+00:00",
        "explain": True,
    }
    plain = Question("Where?", "", "hybrid", "there").body("hybrid", NOW, limit=5)
    assert plain == {"query": "Where?", "search_mode": "hybrid", "limit": 5}
