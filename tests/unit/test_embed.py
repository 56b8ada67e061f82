"""What an episode is embedded with, how its vector is written, and when a failed one is tried again."""

from __future__ import annotations

import base64
from datetime import timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from app.episodes.due import Said
from app.episodes.embed import CONTEXT_TOKENS, context_of, retry_delay
from app.episodes.vectors import packed

CHARS_PER_TOKEN = 4
MODEL_TOKENS = 480

turns = st.lists(st.text(min_size=1, max_size=3_000), max_size=3).map(
    lambda texts: [Said(index, index, text) for index, text in enumerate(texts)]
)


def test_the_turns_before_are_the_context_oldest_first() -> None:
    assert context_of([Said(1, 1, "Where is Mimi?"), Said(2, 2, "On the radiator.")], 10) == (
        "Where is Mimi?\nOn the radiator."
    )


def test_nothing_before_is_no_context() -> None:
    assert context_of([], 10) == ""


def test_a_context_too_long_loses_its_beginning() -> None:
    said = [Said(1, 1, "old " * 1_000), Said(2, 2, "the last words")]
    context = context_of(said, 10)
    assert context.endswith("old \nthe last words")
    assert len(context) <= CONTEXT_TOKENS * CHARS_PER_TOKEN


def test_a_text_that_fills_the_model_has_no_context() -> None:
    assert context_of([Said(1, 1, "before")], MODEL_TOKENS) == ""
    assert context_of([Said(1, 1, "before")], 100_000) == ""
    assert context_of([Said(1, 1, "before")], MODEL_TOKENS - 1) == "fore"


@given(turns, st.integers(0, 2_000))
def test_a_context_is_an_end_of_what_was_said_and_leaves_room_for_the_text(said: list[Said], own_tokens: int) -> None:
    context = context_of(said, own_tokens)
    assert "\n".join(turn.content for turn in said).endswith(context)
    assert len(context) <= CHARS_PER_TOKEN * max(0, min(CONTEXT_TOKENS, MODEL_TOKENS - own_tokens))
    assert not context[:1].isspace()


@given(st.integers(1, 32_767), st.integers(1, 32_767))
def test_each_failure_waits_at_least_as_long_as_the_one_before_and_an_hour_at_most(left: int, right: int) -> None:
    fewer, more = sorted((left, right))
    assert timedelta(seconds=10) <= retry_delay(fewer) <= retry_delay(more) <= timedelta(hours=1)


def test_the_first_waits_double() -> None:
    assert [retry_delay(attempts).total_seconds() for attempts in (1, 2, 3, 9, 10)] == [10, 20, 40, 2560, 3600]


@given(arrays.arrays(np.float32, st.integers(1, 64), elements=st.floats(-1, 1, width=32)))
def test_a_packed_vector_holds_the_same_numbers_big_endian(
    vector: np.ndarray[tuple[int], np.dtype[np.float32]],
) -> None:
    unpacked = np.frombuffer(base64.b64decode(packed(vector), validate=True), dtype=">f4")
    assert np.array_equal(unpacked.astype(np.float32), vector)
