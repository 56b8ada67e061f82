"""Embedders as the settings ask for them, opened and closed with their process."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.embedding import child
from app.embedding.catalogue import E5, KNOWN
from app.embedding.document import DocumentEmbedder
from app.embedding.encoder import AsyncEncoder, ModelInfo
from app.embedding.load import ModelSpec, load_onnx, load_sentence
from app.embedding.process import ProcessEncoder
from app.embedding.query import QueryEmbedder
from app.embedding.thread import ThreadEncoder
from app.settings import Settings

# Maven or the hub may have to bring the model first.
LOAD_TIMEOUT_S = 1_800.0
QUERY_TIMEOUT_S = 10.0
# 64 texts of 512 tokens take 10 s on an idle core.
BATCH_TIMEOUT_S = 120.0
# Documents can wait, searches on the same machine can't (bench/importing.py).
DOCUMENTS_NICENESS = 10


@asynccontextmanager
async def open_query_embedder(settings: Settings) -> AsyncIterator[QueryEmbedder]:
    """The server's embedder, its model loaded: e5-small-v2 in threads here, any other in a child process.

    Raises EngineError when the model can't be had.
    """
    embedder = QueryEmbedder(await _query_encoder(ModelSpec.of(settings)), settings.query_cache_size)
    try:
        yield embedder
    finally:
        await embedder.close()


@asynccontextmanager
async def open_document_embedder(settings: Settings) -> AsyncIterator[DocumentEmbedder]:
    """The worker's embedder, its model loaded: sentence-transformers in a child process.

    Raises EngineError when the model can't be had.
    """
    encoder = await ProcessEncoder.start(
        functools.partial(load_sentence, ModelSpec.of(settings)),
        load_timeout_s=LOAD_TIMEOUT_S,
        timeout_s=BATCH_TIMEOUT_S,
        niceness=DOCUMENTS_NICENESS,
    )
    embedder = DocumentEmbedder(encoder)
    try:
        yield embedder
    finally:
        await embedder.close()


async def describe(settings: Settings) -> ModelInfo:
    """Identity, size and scale of the model in the settings: at once where it is known by name.

    Any other model is loaded for it in a child process, which takes seconds. Raises EngineError.
    """
    if info := KNOWN.get(settings.embedding_model):
        return info
    async with open_document_embedder(settings) as embedder:
        return embedder.info


async def _query_encoder(spec: ModelSpec) -> AsyncEncoder:
    if spec.name != E5:
        return await ProcessEncoder.start(
            functools.partial(load_sentence, spec), load_timeout_s=LOAD_TIMEOUT_S, timeout_s=QUERY_TIMEOUT_S
        )
    # Two queries on a core each are answered sooner than two that share both.
    spec = dataclasses.replace(spec, threads=spec.threads or 1)
    encoder = await asyncio.to_thread(child.made, functools.partial(load_onnx, spec))
    return ThreadEncoder(encoder, parallel=min(4, os.cpu_count() or 1), timeout_s=QUERY_TIMEOUT_S)
