"""What an embedding adds to an episode's document, and the version of how it is made."""

from __future__ import annotations

import re

from app.embedding import EncodedPassage, ModelInfo, late
from app.episodes.vectors import packed, unit_vector
from app.types import JsonObject, iso, utc_now

FORM = 2
"""How an embedding is made: which text, which fields. Episodes of an earlier form are found by what they have, and
embedded again. 1: own text and text with context, a vector each."""

VECTOR_FIELDS = ("context_vector", "token_codes")

_BASE64 = re.compile("[A-Za-z0-9+/]*")
_SPEAKER = re.compile(r"\s*([^\W\d_][\w.'\u2019-]*(?: [\w.'\u2019-]+){0,2})\s?(?::\s|\uff1a)\s*\S")
_SPEAKER_MAX_CHARS = 40
_QUESTION = re.compile("[?\uff1f\u061f\u037e\u055e][\\s\"'\u00bb\u201d\u2019\u300d)\\]]*$")
"""The question marks of Latin and Cyrillic, CJK, Arabic, Greek and Armenian texts, at the end or within quotes."""


def ready(encoded: EncodedPassage, content: str, model_id: str) -> JsonObject:
    """The fields of an episode that is embedded."""
    return {
        "context_vector": packed(encoded.vector),
        "token_codes": encoded.codes.decode() or None,
        "speaker": speaker(content),
        "is_question": is_question(content),
        "embedding_form": FORM,
        "embedding_status": "ready",
        "embedding_model": model_id,
        "embedding_generated_at": iso(utc_now()),
        "embedding_error": None,
        "embedding_due_at": None,
    }


def unpacked(vector: str | None, codes: str | None, model: ModelInfo) -> EncodedPassage | None:
    """The inverse, for what comes from elsewhere; None where it isn't whole, or not of that model's shape."""
    values = unit_vector(vector, model.dims) if vector is not None else None
    if values is None or (codes is not None) != (model.token_scale is not None):
        return None
    if codes is None:
        return EncodedPassage(values)
    chars = late.chars_of_code(model.dims)
    if not codes or len(codes) % chars or len(codes) > late.CODES_MAX * chars or not _BASE64.fullmatch(codes):
        return None
    return EncodedPassage(values, codes.encode())


def speaker(content: str) -> str | None:
    """Who says it, where the text itself begins with that, as transcripts do: `Anna: Good morning.`"""
    named = _SPEAKER.match(content[: 2 * _SPEAKER_MAX_CHARS])
    return named[1] if named and len(named[1]) <= _SPEAKER_MAX_CHARS else None


def is_question(content: str) -> bool:
    """Whether it ends by asking something."""
    return _QUESTION.search(content.rstrip()[-16:]) is not None
