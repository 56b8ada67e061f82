"""What an export takes."""

from __future__ import annotations

from typing import Literal

from pydantic import AliasChoices, ConfigDict, Field

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
