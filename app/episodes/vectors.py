"""Vectors as text: base64 of big-endian float32, the form of a `dense_vector` that costs least to send and parse."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_UNIT_TOLERANCE = 1e-4


def packed(vector: NDArray[np.float32] | Sequence[float]) -> str:
    """A vector as text."""
    return base64.b64encode(np.asarray(vector, dtype=">f4").tobytes()).decode()


def unit_vector(text: str, dims: int) -> NDArray[np.float32] | None:
    """The vector packed in the text; None unless it has `dims` dimensions and length 1, as embeddings have."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(raw) != 4 * dims:
        return None
    vector = np.frombuffer(raw, dtype=">f4").astype(np.float32)
    with np.errstate(all="ignore"):
        length = float(np.sum(np.square(vector.astype(np.float64))))
    return vector if abs(length - 1) <= _UNIT_TOLERANCE else None
