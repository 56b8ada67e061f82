"""Flat tags, `key:value` tags and the filters on them."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from app.elastic.scope import Query
from app.types import CleanText
from app.validation import Input

TAG_MAX_CHARS = 200
_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)


class Op(StrEnum):
    """How a tag filter compares."""

    EQ = "eq"
    NE = "ne"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    EXISTS = "exists"
    PREFIX = "prefix"


_COMPARISONS = frozenset({Op.GT, Op.GTE, Op.LT, Op.LTE})


class TagFilter(Input):
    """A condition on tags of the form `key:value`. Without a value, `eq` and `exists` mean any value
    of that key and `ne` none at all; comparisons read values as numbers."""

    key: Annotated[CleanText, Field(min_length=1, max_length=TAG_MAX_CHARS)]
    op: Op = Op.EQ
    value: Annotated[CleanText, Field(max_length=TAG_MAX_CHARS)] | None = None

    @field_validator("value", mode="before")
    @classmethod
    def _number_as_text(cls, value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        return value

    @model_validator(mode="after")
    def _fits(self) -> TagFilter:
        if self.op in _COMPARISONS:
            if self.value is None or number(self.value) is None:
                raise ValueError(f"the operator {self.op} needs a number as value")
        elif self.op is Op.PREFIX and self.value is None:
            raise ValueError("the operator prefix needs a value")
        return self


def number(text: str) -> float | None:
    """The decimal number that a tag's value spells, or None."""
    if not _DECIMAL.match(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def sortable(value: float) -> str:
    """16 hex digits that sort as the numbers do: IEEE 754 bits, sign flipped, negatives inverted."""
    bits: int = struct.unpack(">Q", struct.pack(">d", value + 0.0))[0]
    bits = bits ^ 0xFFFFFFFFFFFFFFFF if bits >> 63 else bits | 1 << 63
    return f"{bits:016x}"


def tag_numbers(tags: Iterable[str]) -> list[str]:
    """What the field `tag_numbers` holds: a term per numeric `key:value` tag, on which a term range
    is a numeric range of that key alone. The key's length goes first, so that no key's terms fall
    between another's."""
    terms = []
    for tag in tags:
        key, colon, text = tag.rpartition(":")
        value = number(text) if colon and key else None
        if value is not None:
            terms.append(_term(key, sortable(value)))
    return terms


def _term(key: str, digits: str) -> str:
    return f"{len(key)}:{key}:{digits}"


def clauses(tags: Sequence[str], tag_filters: Sequence[TagFilter]) -> list[Query]:
    """Filter clauses: every tag and every filter must hold."""
    return [*({"term": {"tags": tag}} for tag in tags), *(_clause(wanted) for wanted in tag_filters)]


def _clause(wanted: TagFilter) -> Query:
    if wanted.op in _COMPARISONS:
        value = number(wanted.value or "")
        assert value is not None
        return _range(wanted.key, wanted.op, sortable(value))
    any_value: Query = {"prefix": {"tags": {"value": f"{wanted.key}:"}}}
    exact: Query = {"term": {"tags": f"{wanted.key}:{wanted.value}"}}
    match wanted.op:
        case Op.EQ:
            return any_value if wanted.value is None else exact
        case Op.NE:
            return {"bool": {"must_not": [any_value if wanted.value is None else exact]}}
        case Op.PREFIX:
            return {"prefix": {"tags": {"value": f"{wanted.key}:{wanted.value}"}}}
        case _:
            return any_value


def _range(key: str, op: Op, digits: str) -> Query:
    bounds = {op.value: _term(key, digits)}
    if op in (Op.GT, Op.GTE):
        bounds["lte"] = _term(key, "f" * 16)
    else:
        bounds["gte"] = _term(key, "0" * 16)
    return {"range": {"tag_numbers": bounds}}
