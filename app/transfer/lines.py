"""Lines of an import, read and validated one by one. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from pydantic import ValidationError, field_validator

from app.episodes.models import NewEpisode
from app.ndjson import Line
from app.transfer.models import LineError
from app.types import Id, UtcDateTime, utc_now
from app.validation import validation_failed

_MESSAGE_MAX_CHARS = 500


class Row(NewEpisode):
    """A line: an episode as an export gives it. Without an id it gets one."""

    id: Id | None = None
    deleted_at: UtcDateTime | None = None

    @field_validator("deleted_at")
    @classmethod
    def _deleted_before(cls, value: datetime | None) -> datetime | None:
        if value is not None and value > utc_now():
            raise ValueError("must not be in the future")
        return value.replace(microsecond=value.microsecond // 1000 * 1000) if value else None


@dataclass(frozen=True, slots=True)
class ReadRow:
    """A valid line. fingerprint: of its bytes."""

    number: int
    row: Row
    fingerprint: str


def read_rows(lines: Sequence[Line], content_max: int) -> list[ReadRow | LineError]:
    """Each line's episode, or what is wrong with it. content_max: characters."""
    return [_read(line, content_max) for line in lines]


def _read(line: Line, content_max: int) -> ReadRow | LineError:
    if line.text is None:
        return LineError(line.number, "LINE_TOO_LONG", "The line is longer than a request body may be.")
    try:
        given = orjson.loads(line.text)
    except orjson.JSONDecodeError as error:
        return LineError(line.number, "MALFORMED_JSON", f"The line is not valid JSON: {error}."[:_MESSAGE_MAX_CHARS])
    try:
        row = Row.model_validate(given)
    except ValidationError as error:
        problems = validation_failed(error, "line").details["errors"]
        text = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in problems)
        return LineError(line.number, "VALIDATION_ERROR", text[:_MESSAGE_MAX_CHARS])
    if len(row.content) > content_max:
        message = f"line.content: must have at most {content_max} characters, not {len(row.content)}"
        return LineError(line.number, "VALIDATION_ERROR", message)
    return ReadRow(line.number, row, hashlib.sha256(line.text).hexdigest())
