"""Indices that a test makes beside those of the run."""

from __future__ import annotations

from elasticsearch import AsyncElasticsearch


async def forget(es: AsyncElasticsearch, prefix: str) -> None:
    """Delete every index and template of a prefix."""
    made = await es.indices.get(index=f"{prefix}-*")
    if made.body:
        await es.indices.delete(index=list(made))
    await es.indices.delete_index_template(name=f"{prefix}-*")
    await es.cluster.delete_component_template(name=f"{prefix}-*")
