"""Lines of an import, read and validated one by one. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import orjson
from pydantic import AliasChoices, Field, ValidationError, field_validator

from app.embedding import ModelInfo
from app.episodes.embedded import FORM, ready, unpacked
from app.episodes.models import NewEpisode
from app.ndjson import Line
from app.transfer.models import LineError
from app.types import CleanText, Id, JsonObject, UtcDateTime, utc_now
from app.validation import validation_failed

_MESSAGE_MAX_CHARS = 500
_NAME_MAX_CHARS = 500
_CONTEXT_MAX_CHARS = 100_000
_CONTEXT_MAX_TURNS = 100


class Row(NewEpisode):
    """A line: an episode as an export gives it. Without an id it gets one."""

    id: Id | None = Field(None, validation_alias=AliasChoices("id", "episode_id"))
    deleted_at: UtcDateTime | None = None
    embedding_model: Annotated[str, Field(max_length=_NAME_MAX_CHARS)] | None = None
    context: Annotated[CleanText, Field(max_length=_CONTEXT_MAX_CHARS)] | None = None
    context_of: list[Id] = Field(default_factory=list, max_length=_CONTEXT_MAX_TURNS)
    embedding_form: int | None = None
    context_vector: str | None = None
    token_codes: str | None = None

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


def embedding_of(row: Row, model: ModelInfo) -> JsonObject:
    """The fields of an embedding that a line brings along; nothing where it must be made anew.

    That is so when it isn't of our model and form, isn't whole, or has a context without saying from which
    episodes: it would outlive them.
    """
    if row.embedding_model != model.model_id or row.embedding_form != FORM:
        return {}
    if row.context is None or bool(row.context) != bool(row.context_of):
        return {}
    encoded = unpacked(row.context_vector, row.token_codes, model)
    if encoded is None:
        return {}
    return ready(encoded, row.content, model.model_id) | {
        "context": row.context,
        "context_of": row.context_of or None,
    }


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
