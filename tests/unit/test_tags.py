"""Numeric tags: a range of terms is a range of numbers, of one key and of no other."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.episodes.tags import Op, TagFilter, clauses, number, sortable, tag_numbers
from tests.promises import proves

Comparison = Callable[[float, float], bool]

COMPARISONS: dict[Op, Comparison] = {
    Op.GT: lambda left, right: left > right,
    Op.GTE: lambda left, right: left >= right,
    Op.LT: lambda left, right: left < right,
    Op.LTE: lambda left, right: left <= right,
}

doubles = st.floats(allow_nan=False, allow_infinity=False)
# Keys that look like the terms' own punctuation, or like the beginning of one another.
odd_keys = st.one_of(
    st.sampled_from(["a", "a:", ":a", "a:1", "1:a", "1", ":", "ab", "a b", "10:a", "é", "😀", "a:f", "a:0"]),
    st.text(alphabet="ab:019f-. ", min_size=1, max_size=6),
    st.text(min_size=1, max_size=8).filter(lambda text: text.isprintable()),
)
numerals = st.one_of(
    doubles.map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(["0", "-0", "0.0", "-0.0", ".5", "5.", "+1", "1e3", "1E-3", "007"]),
)
others = st.one_of(st.sampled_from(["high", "", "nan", "inf", "1,5", "0x10", "1_000", "1e999"]), st.text(max_size=5))
tag_lists = st.lists(st.tuples(odd_keys, st.one_of(numerals, others)), max_size=6)


def matches(query: dict[str, Any], terms: list[str]) -> bool:
    """A `range` query on a keyword field, as Lucene runs it: terms compare as UTF-8 bytes."""
    bounds = {bound: term.encode() for bound, term in query["range"]["tag_numbers"].items()}
    tests = {
        "gt": lambda term: term > bounds["gt"],
        "gte": lambda term: term >= bounds["gte"],
        "lt": lambda term: term < bounds["lt"],
        "lte": lambda term: term <= bounds["lte"],
    }
    return any(all(tests[bound](term.encode()) for bound in bounds) for term in terms)


@given(doubles, doubles)
@example(0.0, -0.0)
def test_sortable_text_orders_as_the_numbers_do(left: float, right: float) -> None:
    assert (sortable(left) < sortable(right)) == (left < right)
    assert (sortable(left) == sortable(right)) == (left == right)


@pytest.mark.parametrize("value", [0.0, -0.0, 5e-324, -5e-324, 1.7976931348623157e308, -1.7976931348623157e308])
def test_sortable_text_has_sixteen_digits_within_the_open_ends(value: float) -> None:
    assert len(sortable(value)) == 16
    assert "0" * 16 < sortable(value) < "f" * 16


@given(tag_lists, odd_keys, st.sampled_from(sorted(COMPARISONS)), st.one_of(doubles, st.integers(-3, 3).map(float)))
def test_a_comparison_meets_the_numbers_of_its_key_and_nothing_else(
    tags: list[tuple[str, str]], key: str, op: Op, limit: float
) -> None:
    stored = [f"{name}:{value}" for name, value in tags]
    (query,) = clauses([], [TagFilter(key=key, op=op, value=repr(limit))])
    expected = any(
        tag.startswith(f"{key}:")
        and ":" not in (text := tag.removeprefix(f"{key}:"))
        and (value := number(text)) is not None
        and COMPARISONS[op](value, limit)
        for tag in stored
    )
    assert matches(query, tag_numbers(stored)) == expected


@given(odd_keys, doubles, st.sampled_from(sorted(COMPARISONS)), doubles)
def test_what_is_stored_is_compared_exactly(key: str, stored: float, op: Op, limit: float) -> None:
    (query,) = clauses([], [TagFilter(key=key, op=op, value=repr(limit))])
    assert matches(query, tag_numbers([f"{key}:{stored!r}"])) == COMPARISONS[op](stored, limit)


@given(doubles)
def test_every_double_is_read_back_from_its_own_spelling(value: float) -> None:
    assert number(repr(value)) == value


@pytest.mark.parametrize("text", ["1", "-1", "+1", "1.", ".5", "1e3", "-1.5E-3", "007"])
def test_decimal_numbers_are_numbers(text: str) -> None:
    assert number(text) == float(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1 ",
        " 1",
        "1\n",
        "nan",
        "NaN",
        "inf",
        "-Infinity",
        "1e999",
        "0x1",
        "1_0",
        "1,5",
        "١",
        "1.2.3",
        ".",
        "e5",
    ],
)
def test_everything_else_is_text(text: str) -> None:
    assert number(text) is None


@given(st.text(alphabet="0123456789+-.eE_ xn", max_size=12))
def test_a_number_is_always_finite_and_what_python_reads(text: str) -> None:
    value = number(text)
    if value is not None:
        assert math.isfinite(value)
        assert value == float(text)


@pytest.mark.parametrize("tag", ["7", ":7", "confidence:high", "confidence:", "confidence"])
def test_a_tag_without_key_or_number_has_no_term(tag: str) -> None:
    assert tag_numbers([tag]) == []


@pytest.mark.parametrize("op", sorted(COMPARISONS))
@pytest.mark.parametrize("value", [None, "high", "", "nan", True])
def test_a_comparison_needs_a_number(op: Op, value: object) -> None:
    with pytest.raises(ValidationError):
        TagFilter.model_validate({"key": "confidence", "op": op, "value": value})


@pytest.mark.parametrize(("value", "text"), [(5, "5"), (-0.5, "-0.5"), (1e21, "1e+21")])
@proves("search.bad-filters")
def test_a_json_number_is_taken_as_value(value: float, text: str) -> None:
    assert TagFilter.model_validate({"key": "k", "value": value}).value == text


def test_prefix_needs_a_value_and_may_be_empty() -> None:
    with pytest.raises(ValidationError):
        TagFilter(key="topic", op=Op.PREFIX)
    assert TagFilter(key="topic", op=Op.PREFIX, value="").value == ""
