"""Measure the direction that all token vectors of e5-small-v2 have in common, and keep it beside the code.

python scripts/measure_centre.py

From the demo's conversation: ordinary talk, and none that search is measured with.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import app.embedding
from app.demo.conversation import SESSIONS
from app.embedding.e5 import DOCUMENT_PREFIX
from app.embedding.encoder import Vector
from app.embedding.onnx import OnnxTransformer
from app.embedding.weights import e5_files
from app.settings import Settings


def measure() -> Vector:
    """Shape (384,)."""
    transformer = OnnxTransformer(e5_files(Settings().cache_dir), threads=1)
    prefix = len(transformer.tokenize([DOCUMENT_PREFIX])[0]) - 1
    turns = [DOCUMENT_PREFIX + turn.text for session in SESSIONS for turn in session.turns]
    tokens = np.concatenate([read[prefix:-1] for read in transformer.read(turns)])
    mean: Vector = (tokens / np.linalg.norm(tokens, axis=1, keepdims=True)).mean(axis=0)
    return mean


if __name__ == "__main__":
    np.save(Path(app.embedding.__file__).with_name("e5_centre.npy"), measure())
