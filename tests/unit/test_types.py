"""Times, ids, text and metadata as they come in, and as they go out again."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from app.types import (
    METADATA_MAX_BYTES,
    METADATA_MAX_DEPTH,
    CleanText,
    Id,
    Metadata,
    UtcDateTime,
    derived_id,
    epoch_ms,
    from_iso,
    iso,
    new_id,
    utc_now,
)
from tests.promises import proves

TIME: TypeAdapter[datetime] = TypeAdapter(UtcDateTime)
ID: TypeAdapter[str] = TypeAdapter(Id)
TEXT: TypeAdapter[str] = TypeAdapter(CleanText)
METADATA: TypeAdapter[dict[str, Any]] = TypeAdapter(Metadata)

TEN = datetime(2026, 4, 22, 10, tzinfo=UTC)
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=offsets)
millis = moments.map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000))


@pytest.mark.parametrize(
    "text",
    [
        "2026-04-22T10:00:00Z",
        "2026-04-22T10:00:00z",
        "2026-04-22T10:00:00+00:00",
        "2026-04-22T12:00:00+02:00",
        "2026-04-22T12:00:00+0200",
        "2026-04-22T15:30:00+05:30",
        "2026-04-22T05:00:00-05:00",
        "2026-04-22T10:00:00",
        "2026-04-22T10:00",
        "2026-04-22 10:00:00",
        # A `+` that nobody escaped arrives as a space.
        "2026-04-22T12:00:00 02:00",
        "2026-04-22T12:00:00.000 02:00",
        "2026-04-22T12:00 0200",
        "2026-04-22 12:00:00 02:00",
    ],
)
@proves("envelope.times")
def test_every_spelling_of_a_moment_is_that_moment(text: str) -> None:
    read = TIME.validate_python(text)
    assert read == TEN
    assert read.tzinfo is UTC


@proves("envelope.times")
def test_a_date_alone_is_midnight_utc() -> None:
    assert TIME.validate_python("2026-04-01") == datetime(2026, 4, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "now",
        "10:00",
        "1761127200",
        1761127200,
        1761127200.5,
        True,
        None,
        "2026-13-01",
        "2026-02-30T10:00:00Z",
        "2026-04-22T25:00:00Z",
        "2026-04-22T10:00:00+99:00",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "20260-04-22",
        "२०२६-०४-२२",
    ],
)
def test_everything_else_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        TIME.validate_python(value)


@given(moments)
def test_iso_text_with_any_offset_is_read_back(moment: datetime) -> None:
    assert TIME.validate_python(moment.isoformat()) == moment
    assert TIME.validate_python(moment.isoformat().replace("+", " ")) == moment


@given(millis)
def test_what_is_stored_is_read_back_to_the_millisecond(moment: datetime) -> None:
    text = iso(moment)
    assert text.endswith("Z")
    assert from_iso(text) == moment
    assert ("." in text) == (moment.microsecond != 0)


@given(millis)
@example(datetime(1987, 4, 16, 13, 51, 25, 999000, tzinfo=UTC))
@example(datetime(2039, 7, 8, 11, 35, 49, 667000, tzinfo=UTC))
def test_epoch_milliseconds_are_exact(moment: datetime) -> None:
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=epoch_ms(moment)) == moment


def test_now_has_no_more_digits_than_are_stored() -> None:
    now = utc_now()
    assert from_iso(iso(now)) == now


@given(st.uuids())
def test_any_spelling_of_an_id_becomes_the_canonical_one(value: uuid.UUID) -> None:
    for text in (str(value), value.hex, str(value).upper(), f"{{{value}}}", value.urn):
        assert ID.validate_python(text) == str(value)


@pytest.mark.parametrize("value", ["", "x", "123", 7, None, "6f3b0a52-7c6e-5d0a-9a0e-2f6d9d1c7b1", "g" * 32])
def test_what_is_no_uuid_is_no_id(value: object) -> None:
    with pytest.raises(ValidationError, match="must be a UUID"):
        ID.validate_python(value)


@given(
    st.lists(st.text(alphabet="ab", max_size=3), min_size=1), st.lists(st.text(alphabet="ab", max_size=3), min_size=1)
)
def test_the_same_parts_and_no_others_derive_the_same_id(left: list[str], right: list[str]) -> None:
    assert (derived_id(*left) == derived_id(*right)) == (left == right)


def test_new_ids_differ() -> None:
    assert new_id() != new_id()


@given(st.text())
def test_text_that_a_store_takes_is_left_as_it_is(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    if "\x00" not in text:
        assert TEXT.validate_python(text) == text


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "\ud800", "a\udfffb"])
@proves("memory.clean")
def test_nul_and_lone_surrogates_are_refused_wherever_they_are(text: str) -> None:
    with pytest.raises(ValidationError):
        TEXT.validate_python(text)
    for metadata in ({"k": text}, {text: 1}, {"k": [{"deep": [text]}]}, {"k": {text: None}}):
        with pytest.raises(ValidationError):
            METADATA.validate_python(metadata)


def nested(depth: int, leaf: object) -> object:
    return leaf if depth == 0 else {"k": nested(depth - 1, leaf)}


@pytest.mark.parametrize("wrap", [lambda inner: {"k": inner}, lambda inner: {"k": [inner]}])
def test_metadata_are_as_deep_as_the_limit_and_no_deeper(wrap: Any) -> None:
    deepest = METADATA_MAX_DEPTH - (2 if isinstance(wrap(1)["k"], list) else 1)
    assert METADATA.validate_python(wrap(nested(deepest, 1)))
    with pytest.raises(ValidationError, match="at most 20 deep"):
        METADATA.validate_python(wrap(nested(deepest + 1, 1)))


def test_metadata_are_as_large_as_the_limit_and_no_larger() -> None:
    room = METADATA_MAX_BYTES - len(orjson.dumps({"k": ""}))
    assert METADATA.validate_python({"k": "x" * room})
    for too_much in ("x" * (room + 1), "é" * (room // 2 + 1)):
        with pytest.raises(ValidationError, match="at most 65536 bytes"):
            METADATA.validate_python({"k": too_much})


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, 10**400, float("inf"), float("-inf"), float("nan")])
def test_numbers_that_json_cannot_carry_are_refused_and_not_changed(value: float) -> None:
    with pytest.raises(ValidationError, match="send them as text"):
        METADATA.validate_python({"k": [value]})


@pytest.mark.parametrize("value", [2**64 - 1, -(2**63), 1.7976931348623157e308, -0.0, True])
def test_all_other_numbers_are_kept_as_they_are(value: float) -> None:
    kept = METADATA.validate_python({"k": value})["k"]
    assert orjson.loads(orjson.dumps(kept)) == value


@pytest.mark.parametrize("value", [None, [], "x", 7, {1: 2}])
def test_metadata_are_a_json_object(value: object) -> None:
    with pytest.raises(ValidationError):
        METADATA.validate_python(value)
