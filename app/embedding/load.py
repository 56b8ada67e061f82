"""Loading the encoder that the settings ask for: blocks for seconds, and may run in a child process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.embedding.catalogue import E5, KNOWN, MINILM
from app.embedding.encoder import Encoder
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What a process needs to load a model; small, without secrets, and can be pickled.

    threads: of one encoding; 0 leaves it to the library, which takes one per core.
    """

    name: str
    cache_dir: Path
    threads: int

    @classmethod
    def of(cls, settings: Settings) -> ModelSpec:
        """The model that the settings name."""
        return cls(settings.embedding_model, settings.cache_dir, settings.embedding_threads)


# The imports below are inside: of torch and ONNX Runtime, a process loads the one it runs.


def load_onnx(spec: ModelSpec) -> Encoder:
    """The bare encoder of e5-small-v2 (0.2 s). Raises EngineError when its files can't be had."""
    from app.embedding.e5 import E5Encoder
    from app.embedding.onnx import OnnxTransformer
    from app.embedding.weights import e5_files

    files = e5_files(spec.cache_dir)
    return E5Encoder(OnnxTransformer(files, spec.threads).read, files.tokenizer, KNOWN[E5])


def load_sentence(spec: ModelSpec) -> Encoder:
    """Any model, through sentence-transformers (five seconds). Raises EngineError when it can't be had."""
    from app.embedding import sentence
    from app.embedding.weights import e5_files

    if spec.name == E5:
        return sentence.load_e5(e5_files(spec.cache_dir), spec.threads)
    if spec.name == MINILM:
        return sentence.load_minilm(spec.threads)
    return sentence.load_any(spec.name, spec.threads)
