"""What every request's model does alike, and from pydantic's errors to ours: each field named, no value repeated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, JsonValue, ValidationError, model_validator

from app.errors import ValidationFailed
from app.types import JsonObject

_NAMED_MAX = 5
_PART_MAX_CHARS = 100


class Input(BaseModel):
    """Base of what a request gives, at any depth. `null` for an optional field is the same as its
    absence, and unknown fields are ignored: published clients send both."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        required = {name for name, info in cls.model_fields.items() if info.is_required()}
        return {key: item for key, item in value.items() if item is not None or key in required}


def examples(*bodies: JsonObject) -> dict[str, JsonValue]:
    """Bodies that are valid, for `json_schema_extra` of a model: the API's description shows them."""
    return {"examples": list(bodies)}


def validation_failed(error: ValidationError, where: str) -> ValidationFailed:
    """where: body, query, path or header, or the place within one."""
    errors: list[dict[str, Any]] = [
        {"type": item["type"], "loc": [where, *_printable(item["loc"])], "msg": item["msg"]}
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    fields = ", ".join(".".join(str(part) for part in item["loc"][1:]) or where for item in errors[:_NAMED_MAX])
    return ValidationFailed(f"The request is not valid: {fields}.", errors=errors)


def _printable(loc: tuple[int | str, ...]) -> list[int | str]:
    return [
        part if isinstance(part, int) else part.encode("utf-8", "replace").decode()[:_PART_MAX_CHARS] for part in loc
    ]
