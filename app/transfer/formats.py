"""Rows as bytes of a file: JSON, newline-delimited JSON, CSV. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import orjson

from app.elastic.index import Hit
from app.episodes.embedded import VECTOR_FIELDS
from app.episodes.queries import EMBEDDED_FIELDS
from app.episodes.vectors import packed
from app.transfer.models import ExportFormat
from app.types import JsonObject

COLUMNS = ("id", "session_id", "role", "content", "tags", "metadata", "created_at", "embedding_status")
DELETED_COLUMN = "deleted_at"

_EMPTY = {"tags": list[str], "metadata": dict[str, object]}
# What spreadsheets take for a formula, the full-width forms too; a tab or line break before it is skipped by some.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@dataclass(frozen=True, slots=True)
class FileFormat:
    """How a file begins, how rows go on (`first`: whether they are its first), and how it ends."""

    content_type: str
    opening: Callable[[Sequence[str]], bytes]
    rows: Callable[[Sequence[JsonObject], bool], bytes]
    closing: bytes


def columns(*, deleted: bool, vectors: bool) -> tuple[str, ...]:
    """Columns in their order."""
    return (*COLUMNS, *((DELETED_COLUMN,) if deleted else ()), *(EMBEDDED_FIELDS if vectors else ()))


def own_embedding(hit: Hit, readable: Collection[str]) -> Hit:
    """The hit with vectors as text; without its context where that was taken from episodes that the caller
    doesn't read, since it repeats their words. readable: ids."""
    source = dict(hit.source)
    if not set(source.get("context_of") or ()) <= set(readable):
        for name in ("context", "context_of", *VECTOR_FIELDS):
            source.pop(name, None)
    if source.get("context_vector") is not None:
        source["context_vector"] = packed(source["context_vector"])
    return replace(hit, source=source)


def row_of(hit: Hit, names: Sequence[str]) -> JsonObject:
    """An episode's values by column, in the columns' order."""
    source = hit.source | {"id": hit.id}
    row: JsonObject = {}
    for name in names:
        value = source.get(name)
        row[name] = _EMPTY[name]() if value is None and name in _EMPTY else value
    return row


def _json_rows(rows: Sequence[JsonObject], first: bool) -> bytes:
    return (b"\n" if first else b",\n") + b",\n".join(map(orjson.dumps, rows))


def _lines(rows: Sequence[JsonObject], first: bool) -> bytes:
    return b"".join(orjson.dumps(row) + b"\n" for row in rows)


def _csv_rows(rows: Sequence[JsonObject], first: bool) -> bytes:
    return _csv([_cell(value) for value in row.values()] for row in rows)


def _csv(lines: object) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(lines)  # type: ignore[arg-type]
    return text.getvalue().encode()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        text = ";".join(value)
    elif isinstance(value, dict):
        text = orjson.dumps(value).decode()
    else:
        text = str(value)
    # An apostrophe makes it text; people see the value, and no formula runs.
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


# CSV has no byte order mark: scripts would take it for a part of the first column's name, and every spreadsheet
# lets one choose UTF-8.
FORMATS: dict[ExportFormat, FileFormat] = {
    "json": FileFormat("application/json", lambda names: b"[", _json_rows, b"\n]\n"),
    "ndjson": FileFormat("application/x-ndjson", lambda names: b"", _lines, b""),
    "csv": FileFormat("text/csv", lambda names: _csv([names]), _csv_rows, b""),
}
