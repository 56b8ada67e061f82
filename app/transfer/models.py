"""What export and import take and answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import AliasChoices, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from app.types import Id, UtcDateTime
from app.validation import Input

ExportFormat = Literal["json", "ndjson", "csv"]


class ExportQuery(Input):
    """Which episodes, and in which form. Both dates are inclusive."""

    model_config = ConfigDict(populate_by_name=True)

    format: ExportFormat = "json"
    from_date: UtcDateTime | None = Field(None, validation_alias=AliasChoices("from_date", "from_time", "from"))
    to_date: UtcDateTime | None = Field(None, validation_alias=AliasChoices("to_date", "to_time", "to"))
    session_id: Id | None = None
    include_deleted: bool = Field(False, description="Also what is soft-deleted, with the column `deleted_at`.")
    include_vectors: bool = Field(
        False,
        description="Also the embeddings, in NDJSON alone: where the model is the same, an import uses them.",
    )

    @model_validator(mode="after")
    def _vectors_in_lines(self) -> ExportQuery:
        if self.include_vectors and self.format != "ndjson":
            raise PydanticCustomError("include_vectors", "include_vectors needs format=ndjson")
        return self


@dataclass(frozen=True, slots=True)
class LineError:
    """Why a line was not imported. line: from 1."""

    line: int
    code: str
    message: str


@dataclass(slots=True)
class Imported:
    """How an import went. existing: was there already, and is the same. errors: the first hundred."""

    request_id: str
    imported: int = 0
    existing: int = 0
    failed: int = 0
    sessions_created: int = 0
    errors: list[LineError] = field(default_factory=list)
