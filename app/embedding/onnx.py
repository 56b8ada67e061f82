"""A model over ONNX Runtime and tokenizers alone: light enough for the server process.

Importing torch and sentence-transformers takes five seconds and 400 MB; nothing here may do so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Tokenizer

from app.embedding.e5 import MAX_TOKENS
from app.embedding.encoder import RUN_BATCH, Vector
from app.embedding.weights import OnnxFiles

Ids = NDArray[np.int64]


class OnnxTransformer:
    """A BERT-like graph: texts to token vectors, without pooling.

    threads: intra-op threads of one run; 0 lets ONNX Runtime take one per core.
    Safe to use from several threads. Raises onnxruntime's own exceptions on files it can't load.
    """

    def __init__(self, files: OnnxFiles, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        # The graph is one chain: a second operator is never ready.
        options.inter_op_num_threads = 1
        # Threads that spin while they wait take the core from Elasticsearch, for nothing measurable.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = ort.InferenceSession(str(files.graph), options, providers=["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_file(str(files.tokenizer))
        self.tokenizer.enable_truncation(MAX_TOKENS)
        self.tokenizer.no_padding()

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text with its special tokens, at most 512."""
        return [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))]

    def pad(self, rows: Sequence[Sequence[int]]) -> tuple[Ids, Ids]:
        """Ids and attention mask, both of shape (n, longest)."""
        ids = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = row
            mask[index, : len(row)] = 1
        return ids, mask

    def run(self, ids: Ids, mask: Ids) -> Vector:
        """Token vectors, shape (n, tokens, dims)."""
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return cast(Vector, self._session.run(["last_hidden_state"], feed)[0])

    def read(self, texts: Sequence[str]) -> list[Vector]:
        """Token vectors of each text, shape (tokens, dims).

        Texts of like length share a run, so that little of it is padding. An int8 graph scales its activations over
        the whole run, so a vector depends a little on its neighbours (cosine 0.998): no ranking changed measurably.
        """
        rows = self.tokenize(texts)
        by_length = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        vectors: dict[int, Vector] = {}
        for start in range(0, len(rows), RUN_BATCH):
            group = by_length[start : start + RUN_BATCH]
            tokens = self.run(*self.pad([rows[index] for index in group]))
            vectors |= {index: tokens[place, : len(rows[index])] for place, index in enumerate(group)}
        return [vectors[index] for index in range(len(rows))]
