"""sentence-transformers: the same vectors as without it, and any other model. The one module that imports torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.embedding import describe, open_document_embedder, open_query_embedder
from app.embedding.encoder import RUN_BATCH, EncodedPassage, Passage
from app.embedding.load import ModelSpec, load_onnx, load_sentence
from app.errors import EngineError
from app.settings import Settings
from tests.encoders import query_vector, vectors
from tests.tiny_model import save_tiny_model

pytestmark = pytest.mark.slow

TEXTS = ["hello", "Anna: my dog Rex was sick again, so we went to the vet. " * 3, "", "a longer turn " * 300]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers folder of a tiny model with random weights."""
    path = tmp_path_factory.mktemp("models") / "tiny"
    save_tiny_model(path)
    return path


def test_e5_gives_the_vectors_that_it_gives_without() -> None:
    spec = ModelSpec.of(Settings())
    bare, sentence = load_onnx(spec), load_sentence(spec)
    assert sentence.info == bare.info
    # One run each: what an int8 vector owes to its neighbours is then the same, too.
    texts = [f"{text} {index}" for index in range(RUN_BATCH // len(TEXTS)) for text in TEXTS]
    cosines = np.einsum("ij,ij->i", vectors(bare, texts), vectors(sentence, texts))
    assert cosines.min() > 0.9999
    for text in TEXTS:
        assert query_vector(bare, text) @ query_vector(sentence, text) > 0.9999
    assert sentence.encode_documents([]) == []


def test_any_folder_is_a_model_whose_id_follows_its_weights(folder: Path) -> None:
    spec = ModelSpec(str(folder), Settings().cache_dir, threads=1)
    first = load_sentence(spec)
    assert first.info.dims == 8
    assert first.info.model_id.startswith("tiny-")
    assert first.info.model_id.endswith("-float32")
    assert np.allclose(np.linalg.norm(vectors(first, TEXTS[:2]), axis=1), 1, atol=1e-5)
    assert load_sentence(spec).info == first.info
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert load_sentence(spec).info.model_id != first.info.model_id
    weights.write_bytes(content)


async def test_a_model_of_ones_own_serves_queries(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    settings = Settings(embedding_model=str(folder), embedding_threads=1)
    async with open_query_embedder(settings) as queries:
        first, second = await queries.embed("the very same"), await queries.embed("something else")
        assert first.vector.shape == (8,)
        assert first.vector @ second.vector < 0.999
        # What the worker, which describes it, says of the model is what the server says.
        assert queries.info == await describe(settings)


async def test_the_worker_gets_the_default_model_through_it() -> None:
    async with open_document_embedder(Settings()) as documents:
        assert documents.info == await describe(Settings())
        results = await documents.encode(list(map(Passage, TEXTS)))
        encoded = [result for result in results if isinstance(result, EncodedPassage)]
        assert [one.vector.shape for one in encoded] == [(384,)] * len(TEXTS)
        assert all(one.codes for one in encoded)


def test_a_model_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="set REMEMBR_EMBEDDING_MODEL"):
        load_sentence(ModelSpec(str(tmp_path), tmp_path, threads=1))
