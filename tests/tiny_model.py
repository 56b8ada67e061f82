"""A sentence-transformers model that takes no time, with random weights."""

from __future__ import annotations

from pathlib import Path

from app.embedding.weights import e5_files
from app.settings import Settings


def save_tiny_model(folder: Path, dims: int = 8) -> None:
    """Write it into a folder, which is then a name that the settings take."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(e5_files(Settings().cache_dir).tokenizer))
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=dims)], device="cpu").save(str(folder))
