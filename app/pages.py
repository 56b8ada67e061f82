"""Which part of a listing is wanted."""

from __future__ import annotations

from pydantic import Field

from app.validation import Input

PAGE_MAX = 1_000
OFFSET_MAX = 10_000_000


class Page(Input):
    """`limit` and `offset` of a listing."""

    limit: int = Field(20, ge=1, le=PAGE_MAX)
    offset: int = Field(0, ge=0, le=OFFSET_MAX)
