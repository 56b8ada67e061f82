"""Bringing a cluster up to this release, at every start and by `remembr-server templates --apply`."""

from __future__ import annotations

import asyncio
import time

from app.elastic.client import open_elasticsearch
from app.elastic.generations import IndexModel
from app.elastic.indices import TemplateChange, ensure
from app.embedding import describe
from app.errors import EngineError, RemembrError
from app.settings import Settings

_ASK_AGAIN_S = 1.0


async def migrate(settings: Settings) -> list[TemplateChange]:
    """Bring templates and indices of the cluster up to this release; waits for Elasticsearch to answer.

    Raises EngineError when it doesn't within `elasticsearch_start_timeout_s`, or when the indices don't fit.
    """
    if not settings.elasticsearch_url:
        raise EngineError("Set REMEMBR_ELASTICSEARCH_URL, or use `remembr-server dev`, which starts an Elasticsearch.")
    info = await describe(settings)
    model = IndexModel(settings.embedding_model, info.model_id, info.dims)
    deadline = time.monotonic() + settings.elasticsearch_start_timeout_s
    async with open_elasticsearch(settings, settings.elasticsearch_url) as es:
        while True:
            try:
                return await ensure(es, settings, model)
            except RemembrError as error:
                if time.monotonic() > deadline:
                    raise EngineError(f"Elasticsearch at {settings.elasticsearch_url} does not answer.") from error
            await asyncio.sleep(_ASK_AGAIN_S)
