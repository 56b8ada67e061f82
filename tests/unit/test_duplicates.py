"""Near-duplicates: what counts as said again, and that nothing is lost but that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.episodes.duplicates import collapse

LONG = "We agreed that the release goes out on Friday after lunch, once the last tests have passed on staging."

texts = st.lists(
    st.tuples(st.sampled_from(["user", "assistant"]), st.text(alphabet="ab 12é", max_size=12)), max_size=30
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("I like tea.", "I like tea."),
        ("I like tea.", "  i LIKE\ntea. "),
        (LONG, LONG + "!"),
        (LONG, LONG.replace("after lunch", "after our lunch")),
        (
            "会議は金曜日の午後に始まります。資料を忘れないでください。",
            "会議は金曜日の午後に始まります。資料を忘れないでください",
        ),
    ],
)
def test_what_is_said_again_counts_once(one: str, other: str) -> None:
    assert collapse([("user", one), ("user", other)]) == [(0, 1)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("I like tea.", "I like coffee."),
        (LONG, LONG.replace("Friday after lunch", "Monday in the morning")),
        (LONG + " Room 5.", LONG + " Room 6."),
        (LONG, LONG + " " + LONG.upper()[:60] + " and then we talked of something else"),
        ("yes", "no"),
        ("", "yes"),
    ],
)
def test_what_says_something_else_stays(one: str, other: str) -> None:
    assert collapse([("user", one), ("user", other)]) == [(0, 0), (1, 0)]


def test_two_who_say_the_same_are_two() -> None:
    assert collapse([("user", "Good morning"), ("assistant", "Good morning"), ("user", "Good morning")]) == [
        (0, 1),
        (1, 0),
    ]


@given(texts)
def test_every_text_is_kept_or_counted_and_the_order_stays(said: list[tuple[str, str]]) -> None:
    kept = collapse(said)
    places = [place for place, _ in kept]
    assert places == sorted(set(places))
    assert places[:1] == ([0] if said else [])
    assert len(kept) + sum(count for _, count in kept) == len(said)
    assert collapse([said[place] for place in places]) == [(number, 0) for number in range(len(places))]
