"""Which days, months and years a query names, and what is near to them."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.episodes.moments import NEAR_DAYS, Period, Span, named, nearness

TODAY = date(2026, 4, 22)

periods = st.builds(
    Period,
    year=st.none() | st.integers(1900, 2099),
    month=st.integers(1, 12),
    day=st.none() | st.integers(1, 31),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("When did we camp in June?", [Period(None, 6, None)]),
        ("What did she show on October 13, 2023?", [Period(2023, 10, 13)]),
        ("What was said on 3 June, 2023", [Period(2023, 6, 3)]),
        ("the 3rd of May 2021", [Period(2021, 5, 3)]),
        ("since 2023-08-14", [Period(2023, 8, 14)]),
        ("in 2023-08", [Period(2023, 8, None)]),
        ("Which plans for 2023?", [Period(2023, None, None)]),
        ("between August 11 and August 15 2023", [Period(None, 8, 11), Period(2023, 8, 15)]),
        ("early May", [Period(None, 5, None)]),
        ("Sept 2020", [Period(2020, 9, None)]),
        ("on the 30th of February", [Period(None, 2, 30)]),
        ("What may I eat?", []),
        ("Did they march?", []),
        ("May", []),
        ("Who is Jan?", []),
        ("flat 2023b, room 12, number 99999", []),
        ("2023-13-01", []),
        ("2023-01-99", []),
        ("", []),
    ],
)
def test_what_a_query_names(text: str, expected: list[Period]) -> None:
    assert named(text, TODAY) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What did I say today?", [Span(TODAY, TODAY, 2)]),
        ("Yesterday", [Span(date(2026, 4, 21), date(2026, 4, 21), 2)]),
        ("3 days ago", [Span(date(2026, 4, 19), date(2026, 4, 19), 2)]),
        ("a week ago", [Span(date(2026, 4, 14), date(2026, 4, 16), 7)]),
        ("two months ago", [Span(date(2026, 2, 14), date(2026, 2, 28), 14)]),
        ("last week", [Span(date(2026, 4, 8), TODAY, 7)]),
        ("this week", [Span(date(2026, 4, 15), TODAY, 7)]),
        ("over the past month", [Span(date(2026, 2, 21), TODAY, 14)]),
        ("last year", [Period(2025, None, None)]),
        ("this year", [Period(2026, None, None)]),
        ("long ago", []),
        ("the last weeks of it", []),
    ],
)
def test_what_is_relative_counts_from_today(text: str, expected: list[Period | Span]) -> None:
    assert named(text, TODAY) == expected


@pytest.mark.parametrize("today", [date.min, date.max])
def test_time_has_a_beginning_and_an_end(today: date) -> None:
    for text in ("yesterday", "999 years ago", "last week", "last year", "this year", "in June"):
        for period in named(text, today):
            assert 0 <= period.nearness(today) <= 1


@pytest.mark.parametrize(
    ("period", "said", "near"),
    [
        (Period(2023, 6, None), date(2023, 6, 1), 1),
        (Period(2023, 6, None), date(2023, 6, 30), 1),
        (Period(2023, 6, None), date(2023, 7, 7), 0.5),
        (Period(2023, 6, None), date(2023, 5, 25), 0.5),
        (Period(2023, 6, None), date(2022, 6, 15), 0),
        (Period(None, 6, None), date(2022, 6, 15), 1),
        (Period(None, 12, 31), date(2022, 1, 7), 0.5),
        (Period(2023, 6, 3), date(2023, 6, 3), 1),
        (Period(2023, None, None), date(2023, 12, 31), 1),
        (Period(2023, 2, 30), date(2023, 2, 28), 1),
    ],
)
def test_how_near_something_was_said(period: Period, said: date, near: float) -> None:
    assert nearness([said], [period]) == [pytest.approx(near)]


def test_what_is_recent_is_near_by_days() -> None:
    days = [TODAY - timedelta(days=back) for back in (0, 1, 2, 3)]
    assert nearness(days, named("What did I say yesterday?", TODAY)) == [0.5, 1, 0.5, 0]


def test_the_nearest_of_several_counts() -> None:
    days = [date(2023, 8, 11), date(2023, 8, 15), date(2023, 10, 1)]
    assert nearness(days, [Period(2023, 8, 11), Period(2023, 8, 15)]) == [1, 1, 0]


@given(st.lists(st.dates(), max_size=20), st.lists(periods, min_size=1, max_size=4))
def test_nearness_is_within_0_and_1_whatever_the_day(said: list[date], asked: list[Period]) -> None:
    found = nearness(said, asked)
    assert len(found) == len(said)
    assert all(0 <= one <= 1 for one in found)


@given(periods, st.dates(date(1901, 1, 1), date(2098, 12, 31)))
def test_it_falls_day_by_day(period: Period, said: date) -> None:
    today, tomorrow = nearness([said, said + timedelta(days=1)], [period])
    assert abs(today - tomorrow) <= 1 / NEAR_DAYS + 1e-9


def test_of_a_text_full_of_dates_a_few_are_read() -> None:
    assert len(named("3 May 2023, " * 10_000, TODAY)) == 8
    assert named("x " * 10_000 + "3 May 2023", TODAY) == []


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    for period in named(text, TODAY):
        assert nearness([date(2024, 2, 29)], [period])[0] <= 1
