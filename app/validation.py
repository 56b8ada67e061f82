"""From pydantic's errors to ours: each field named, no value repeated."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from app.errors import ValidationFailed

_NAMED_MAX = 5
_PART_MAX_CHARS = 100


def validation_failed(error: ValidationError, where: str) -> ValidationFailed:
    """where: body, query, path or header, or the place within one."""
    errors: list[dict[str, Any]] = [
        {"type": item["type"], "loc": [where, *_printable(item["loc"])], "msg": item["msg"]}
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    fields = ", ".join(
        ".".join(str(part) for part in item["loc"][1:]) or where for item in errors[:_NAMED_MAX]
    )
    return ValidationFailed(f"The request is not valid: {fields}.", errors=errors)


def _printable(loc: tuple[int | str, ...]) -> list[int | str]:
    return [
        part if isinstance(part, int) else part.encode("utf-8", "replace").decode()[:_PART_MAX_CHARS]
        for part in loc
    ]
