"""Installations of their own: a server with indices that nobody else writes to."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from elasticsearch import AsyncElasticsearch

from app.elastic.client import open_elasticsearch
from app.migrate import migrate
from app.settings import Settings
from tests.client import Client, connect
from tests.conftest import PASSWORD, serving
from tests.prefixes import forget


@asynccontextmanager
async def installation(
    settings: Settings, **changes: Any
) -> AsyncIterator[tuple[Client, AsyncElasticsearch, Settings]]:
    """One with changed settings, removed at the end: an organisation in it, Elasticsearch, the settings."""
    own = settings.model_copy(update={"index_prefix": f"test-{uuid.uuid4().hex[:8]}"} | changes)
    assert own.elasticsearch_url is not None
    await migrate(own)
    async with open_elasticsearch(own, own.elasticsearch_url) as es:
        try:
            async with serving(own) as url, connect(url) as client:
                await client.register(f"{uuid.uuid4().hex}@example.com", PASSWORD)
                yield client, es, own
        finally:
            await forget(es, own.index_prefix)
