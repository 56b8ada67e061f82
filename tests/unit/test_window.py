"""The short-term window: what stays, what leaves first, and that time alone changes nothing."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.sessions.window import Filling, Message, by_time, order_key, priority, weight
from tests.promises import proves

START = datetime(2026, 1, 1, tzinfo=UTC)

roles = st.sampled_from(["system", "user", "tool", "assistant", "handoff", "System"])
moments = st.integers(0, 400 * 86_400_000).map(lambda ms: START + timedelta(milliseconds=ms))


@st.composite
def message_lists(draw: st.DrawFn) -> list[Message]:
    drawn = draw(st.lists(st.tuples(roles, st.integers(0, 60), moments), max_size=25))
    return [Message(str(n), role, "", tokens, at, n) for n, (role, tokens, at) in enumerate(drawn)]


def by_priority(messages: list[Message]) -> list[Message]:
    return sorted(messages, key=lambda message: -order_key(message.role, message.created_at))


def filled(messages: list[Message], budget: int, page: int) -> list[Message]:
    filling, kept, ordered = Filling(budget), [], by_priority(messages)
    for start in range(0, len(ordered), page):
        kept += filling.take(ordered[start : start + page])
    return kept


@given(message_lists(), st.integers(1, 120), st.integers(1, 10))
@proves("sessions.window")
def test_a_window_never_passes_its_budget(messages: list[Message], budget: int, page: int) -> None:
    assert sum(message.tokens for message in filled(messages, budget, page)) <= budget


@given(message_lists(), st.integers(1, 120), st.integers(1, 10))
def test_a_window_is_a_prefix_of_the_order_of_those_that_can_fit(
    messages: list[Message], budget: int, page: int
) -> None:
    kept = filled(messages, budget, page)
    fitting = [message for message in by_priority(messages) if message.tokens <= budget]
    assert kept == fitting[: len(kept)]
    if len(kept) < len(fitting):
        assert sum(message.tokens for message in kept) + fitting[len(kept)].tokens > budget


@given(message_lists(), st.integers(1, 120))
def test_pages_of_any_length_fill_the_same_window(messages: list[Message], budget: int) -> None:
    assert filled(messages, budget, 1) == filled(messages, budget, 7) == filled(messages, budget, 1000)


@given(message_lists(), st.integers(1, 120))
def test_nothing_that_is_larger_than_the_budget_keeps_others_out(messages: list[Message], budget: int) -> None:
    small = [message for message in messages if message.tokens <= budget]
    assert filled(messages, budget, 5) == filled(small, budget, 5)


@given(message_lists(), st.integers(1, 120))
@proves("sessions.priority")
def test_system_messages_are_the_last_to_go(messages: list[Message], budget: int) -> None:
    kept = filled(messages, budget, 5)
    gone = [m for m in messages if m not in kept and m.tokens <= budget]
    if any(message.role == "system" for message in gone):
        assert all(message.role == "system" for message in kept)


@given(roles, moments, roles, moments, st.integers(0, 10_000).map(lambda days: timedelta(days=days)))
def test_the_order_is_that_of_the_priorities_at_every_moment(
    left: str, left_at: datetime, right: str, right_at: datetime, later: timedelta
) -> None:
    # Logarithms, because a priority far in the past is smaller than any double.
    now = max(left_at, right_at) + later
    day_ms = 86_400_000

    def log_priority(role: str, at: datetime) -> float:
        return math.log(weight(role)) - (now - at).total_seconds() * 1000 / day_ms

    if (left == "system") != (right == "system"):
        assert (order_key(left, left_at) > order_key(right, right_at)) == (left == "system")
        return
    difference = log_priority(left, left_at) - log_priority(right, right_at)
    if abs(difference) * day_ms >= 1:
        assert (order_key(left, left_at) > order_key(right, right_at)) == (difference > 0)


@given(roles, moments, st.integers(0, 86_400_000 * 30))
@proves("sessions.priority")
def test_a_priority_is_the_weight_times_the_decay(role: str, at: datetime, age_ms: int) -> None:
    now = at + timedelta(milliseconds=age_ms)
    assert math.isclose(priority(role, at, now), weight(role) * math.exp(-age_ms / 86_400_000), rel_tol=1e-9)
    assert priority(role, now, at) == weight(role)


@given(message_lists())
def test_a_window_is_shown_as_it_was_said(messages: list[Message]) -> None:
    shown = by_time(messages[::-1])
    assert [(m.created_at, m.ordinal) for m in shown] == sorted((m.created_at, m.ordinal) for m in messages)
