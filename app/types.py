"""Value types shared by every slice: times, ids, clean text and bounded JSON."""

from __future__ import annotations

import math
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, BeforeValidator, Field

JsonObject = dict[str, Any]

METADATA_MAX_BYTES = 64 * 1024
METADATA_MAX_DEPTH = 20

# A `+` that was not escaped in a query string arrives as a space.
_SPACED_OFFSET = re.compile(r"^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?) (\d\d:?\d\d)$")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO_DATE = re.compile(r"^\d{4}-\d\d-\d\d")
_SURROGATE = re.compile("[\ud800-\udfff]")


def utc_now() -> datetime:
    """The current time in UTC, cut to milliseconds: what an Elasticsearch `date` can hold."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def epoch_ms(moment: datetime) -> int:
    """Whole milliseconds since 1970-01-01 UTC, rounded down."""
    # In whole numbers: seconds as a float lose a millisecond now and then.
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def from_epoch_ms(moment_ms: int) -> datetime:
    """Inverse of `epoch_ms`, in UTC."""
    return _EPOCH + timedelta(milliseconds=moment_ms)


def iso(moment: datetime) -> str:
    """`2026-04-22T10:00:00Z`, with milliseconds where they are not zero."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return text.replace("+00:00", "Z")


def from_iso(text: str) -> datetime:
    """Inverse of `iso`, for times that we stored ourselves."""
    return datetime.fromisoformat(text)


def _read_time(value: object) -> object:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _ISO_DATE.match(value):
        raise ValueError("must be an ISO 8601 time such as 2026-04-22T10:00:00Z")
    return _SPACED_OFFSET.sub(r"\1+\2", value)


def _to_utc(value: datetime) -> datetime:
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie between the years 1 and 9999 in UTC") from None


UtcDateTime = Annotated[datetime, BeforeValidator(_read_time), AfterValidator(_to_utc)]
"""ISO 8601 with any offset (none means UTC), or a date alone (midnight UTC); always UTC inside."""


def _read_uuid(value: object) -> str:
    if isinstance(value, str):
        try:
            return str(uuid.UUID(value))
        except ValueError:
            pass
    raise ValueError("must be a UUID")


Id = Annotated[str, BeforeValidator(_read_uuid), Field(json_schema_extra={"format": "uuid"})]
"""A UUID in its canonical spelling."""


def new_id() -> str:
    """A random UUID."""
    return str(uuid.uuid4())


def derived_id(*parts: str) -> str:
    """A UUID that the same parts always give, so that a repeat meets what the first one made."""
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join(parts)))


_NAMESPACE = uuid.UUID("6f3b0a52-7c6e-5d0a-9a0e-2f6d9d1c7b11")


def clean_text(value: str) -> str:
    """Refuse what no store or client survives. Raises ValueError on NUL and lone surrogates."""
    if "\x00" in value:
        raise ValueError("must not contain NUL characters")
    if _SURROGATE.search(value):
        raise ValueError("must not contain lone surrogates; it is not valid Unicode")
    return value


CleanText = Annotated[str, AfterValidator(clean_text)]


def _bounded(value: JsonObject) -> JsonObject:
    _check_json(value, METADATA_MAX_DEPTH)
    size = len(orjson.dumps(value))
    if size > METADATA_MAX_BYTES:
        raise ValueError(f"must be at most {METADATA_MAX_BYTES} bytes of JSON, not {size}")
    return value


def _check_json(value: object, depth_left: int) -> None:
    if isinstance(value, str):
        clean_text(value)
    elif isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise ValueError("must not contain integers of more than 64 bits; send them as text")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must not contain numbers beyond those of a double; send them as text")
    elif isinstance(value, dict | list):
        if depth_left == 0:
            raise ValueError(f"must be nested at most {METADATA_MAX_DEPTH} deep")
        if isinstance(value, dict):
            for key in value:
                clean_text(key)
        for item in value.values() if isinstance(value, dict) else value:
            _check_json(item, depth_left - 1)


Metadata = Annotated[JsonObject, AfterValidator(_bounded)]
"""A JSON object of at most 64 KiB, nested at most 20 deep."""
