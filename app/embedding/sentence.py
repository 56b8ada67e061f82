"""Encoder over sentence-transformers: any model it can load, and e5-small-v2 on ONNX Runtime within it.

Importing this module imports torch (five seconds, 400 MB): only a child process should.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import InputModule, Normalize
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers.utils import logging as transformers_logging

from app.embedding.catalogue import E5, KNOWN, MINILM, UNKNOWN_SCALE, minilm_folder
from app.embedding.e5 import MAX_TOKENS, E5Encoder
from app.embedding.encoder import RUN_BATCH, EncodedPassage, EncodedQuery, ModelInfo, Passage, Vector, cut
from app.embedding.onnx import OnnxTransformer
from app.embedding.weights import OnnxFiles
from app.errors import EngineError

# A model without a limit of its own: what one episode's vector can sensibly stand for.
_DEFAULT_MAX_TOKENS = 8_192


class OrtModule(InputModule):
    """First module of a SentenceTransformer: tokenizers and ONNX Runtime in place of a torch model.

    sentence-transformers' own ONNX backend needs optimum, which no release of it from 6.0 on can use.
    """

    def __init__(self, transformer: OnnxTransformer) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.transformer = transformer
        self.tokenizer = transformer.tokenizer
        self.max_seq_length = MAX_TOKENS

    def preprocess(self, inputs: Sequence[Any], prompt: str | None = None, **kwargs: Any) -> dict[str, Any]:
        """Ids and mask of the texts, each behind `prompt`: two tensors of shape (n, longest)."""
        rows = self.transformer.tokenize([(prompt or "") + text for text in inputs])
        ids, mask = self.transformer.pad(rows)
        return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Adds `token_embeddings` of shape (n, tokens, dims)."""
        tokens = self.transformer.run(features["input_ids"].numpy(), features["attention_mask"].numpy())
        return features | {"token_embeddings": torch.from_numpy(tokens)}

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Always raises: the graph belongs to the cache folder and is never written again."""
        raise EngineError(f"{E5} can't be saved from here: copy its files out of the cache folder.")


class SentenceEncoder:
    """An Encoder over a loaded SentenceTransformer, with the prompts that the model brings.

    A context is put before its text, and the vector is that of both.
    """

    def __init__(self, model: SentenceTransformer, info: ModelInfo) -> None:
        self.info = info
        self._model = model
        limit = model.max_seq_length
        self._max_tokens = int(min(limit, _DEFAULT_MAX_TOKENS)) if limit else _DEFAULT_MAX_TOKENS

    def encode_query(self, text: str) -> EncodedQuery:
        """A search query."""
        vector = self._model.encode_query(
            cut(text, self._max_tokens), normalize_embeddings=True, show_progress_bar=False
        )
        return EncodedQuery(np.asarray(vector, dtype=np.float32), np.empty((0, self.info.dims), dtype=np.float32))

    def encode_documents(self, passages: Sequence[Passage]) -> list[EncodedPassage]:
        """Texts to be found; sentence-transformers batches texts of like length."""
        if not passages:
            return []
        texts = [f"{passage.context}\n{passage.text}" if passage.context else passage.text for passage in passages]
        vectors = self._model.encode_document(
            [cut(text, self._max_tokens) for text in texts],
            batch_size=RUN_BATCH,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        return [EncodedPassage(vector) for vector in np.asarray(vectors, dtype=np.float32)]


def load_e5(files: OnnxFiles, threads: int) -> E5Encoder:
    """e5-small-v2 as a SentenceTransformer; threads as in OnnxTransformer."""
    info = KNOWN[E5]
    # Only pooling is left to torch: more of its threads than one cost more than they bring.
    torch.set_num_threads(1)
    model = SentenceTransformer(
        modules=[OrtModule(OnnxTransformer(files, threads)), Pooling(info.dims, "mean"), Normalize()],
        device="cpu",
    )

    def read(texts: Sequence[str]) -> list[Vector]:
        tokens = model.encode(
            list(texts), output_value="token_embeddings", batch_size=RUN_BATCH, show_progress_bar=False
        )
        return [vectors.numpy() for vectors in tokens]

    return E5Encoder(read, files.tokenizer, info)


def load_minilm(threads: int) -> SentenceEncoder:
    """all-minilm-l6-v2 out of its Python package. Raises EngineError when that isn't installed."""
    return SentenceEncoder(_load(str(minilm_folder()), threads), KNOWN[MINILM])


def load_any(name: str, threads: int) -> SentenceEncoder:
    """The model of that folder, or of that name in the Hugging Face cache or hub.

    HF_HUB_OFFLINE is respected. The model_id carries a fingerprint of the weights, so that vectors of a
    changed model are never mixed.
    Raises EngineError when it can't be loaded.
    """
    model = _load(name, threads)
    folder = Path(name)
    if folder.is_dir():
        label, version = folder.resolve().name, _fingerprint(folder)
    else:
        label, version = name, _commit(model)
    precision = str(model.dtype).removeprefix("torch.")
    model_id = "-".join(part for part in (label, version, precision) if part)
    dims = model.get_embedding_dimension() or len(cast(Vector, model.encode("dimensions")))
    return SentenceEncoder(model, ModelInfo(model_id, dims, UNKNOWN_SCALE))


def _load(name: str, threads: int) -> SentenceTransformer:
    if threads:
        torch.set_num_threads(threads)
    # Its bars would stand between the lines of the JSON log.
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        return SentenceTransformer(name)
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise EngineError(
            f"The embedding model {name!r} can't be loaded ({error}): set REMEMBR_EMBEDDING_MODEL to `{E5}`, "
            f"`{MINILM}`, a sentence-transformers folder, or a name that the Hugging Face hub knows."
        ) from error


def _fingerprint(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]


def _commit(model: SentenceTransformer) -> str:
    config = getattr(getattr(model[0], "auto_model", None), "config", None)
    return (getattr(config, "_commit_hash", None) or "")[:12]
