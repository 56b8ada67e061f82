"""The bare encoder of e5-small-v2, with its real weights."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

from app.embedding import describe, open_query_embedder
from app.embedding.encoder import RUN_BATCH, Encoder, cut
from app.embedding.load import ModelSpec, load_onnx
from app.settings import Settings
from tests.encoders import query_vector, vectors

TURNS = [
    "Anna: my dog Rex was sick again, so we went to the vet.",
    "Ben: the painting class starts in March.",
    "Anna: we booked the flight to Lisbon for our holiday.",
    "Ben: I got the new job at the bank!",
]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_onnx(ModelSpec.of(Settings()))


def test_the_vectors_have_the_shape_that_is_described(encoder: Encoder) -> None:
    documents = vectors(encoder, TURNS)
    query = query_vector(encoder, "who was ill?")
    assert documents.shape == (4, 384)
    assert query.shape == (384,)
    assert documents.dtype == query.dtype == np.float32
    assert np.allclose(np.linalg.norm([*documents, query], axis=1), 1, atol=1e-5)
    assert encoder.info.dims == 384
    assert encoder.encode_documents([]) == []


@pytest.mark.parametrize(
    ("query", "best"),
    [("Whose pet was ill?", 0), ("When does the art course begin?", 1), ("travel plans", 2), ("career", 3)],
)
def test_the_turn_that_answers_comes_first(encoder: Encoder, query: str, best: int) -> None:
    assert int(np.argmax(vectors(encoder, TURNS) @ query_vector(encoder, query))) == best


def test_the_scale_holds_real_cosines(encoder: Encoder) -> None:
    cosines = vectors(encoder, TURNS) @ query_vector(encoder, "Whose pet was ill?")
    low, high = encoder.info.scale
    assert low < np.median(cosines) < cosines.max() < high


def test_queries_and_documents_carry_different_prefixes(encoder: Encoder) -> None:
    cosine = query_vector(encoder, TURNS[0]) @ vectors(encoder, [TURNS[0]])[0]
    assert 0.8 < cosine < 0.995


def test_batches_keep_the_order_and_hardly_change_a_vector(encoder: Encoder) -> None:
    texts = [f"{turn} And {'so on, ' * (index % 9)}number {index}." for index in range(RUN_BATCH) for turn in TURNS]
    together = vectors(encoder, texts)
    alone = np.concatenate([vectors(encoder, [text]) for text in texts])
    assert np.einsum("ij,ij->i", together, alone).min() > 0.99
    assert (np.argmax(together @ alone.T, axis=1) == np.arange(len(texts))).mean() > 0.9


def test_a_query_is_repeatable(encoder: Encoder) -> None:
    assert np.array_equal(query_vector(encoder, "the same"), query_vector(encoder, "the same"))


@pytest.mark.parametrize("text", ["", " ", "\ud800", "\x00", "a" * 100_000, "我" * 100_000, " " * 99_999 + "x"])
def test_any_text_has_a_vector_soon(encoder: Encoder, text: str) -> None:
    start = time.perf_counter()
    assert np.isfinite(vectors(encoder, [text])).all()
    assert np.isfinite(query_vector(encoder, text)).all()
    assert time.perf_counter() - start < 3


def test_what_lies_beyond_the_window_changes_nothing(encoder: Encoder) -> None:
    window = "one of the many turns of a long talk. " * 100
    first, second = vectors(encoder, [window + "cats", window + "dogs"])
    assert first @ second > 0.9999


def test_cutting_keeps_words_behind_white_space() -> None:
    assert cut(" \n" * 50_000 + "word", 512) == "word"
    assert cut("two  words", 512) == "two  words"
    assert len(cut("word " * 50_000, 512)) == 8_192


async def test_the_described_model_is_the_loaded_one() -> None:
    async with open_query_embedder(Settings()) as embedder:
        assert embedder.info == await describe(Settings())


def test_the_server_imports_neither_torch_nor_sentence_transformers() -> None:
    code = (
        "import asyncio, sys\n"
        "from app.embedding import open_query_embedder\n"
        "from app.settings import Settings\n"
        "async def main():\n"
        "    async with open_query_embedder(Settings()) as embedder:\n"
        "        print((await embedder.embed('hello')).vector.shape)\n"
        "asyncio.run(main())\n"
        "print(sorted({'torch', 'sentence_transformers', 'transformers'} & sys.modules.keys()))\n"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.split("\n")[:2] == ["(384,)", "[]"], done.stderr
